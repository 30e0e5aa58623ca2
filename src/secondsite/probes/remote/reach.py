"""Try whether addresses answer: one file of plain Python, copied to a host and run there as root.

``reach.py watch`` tries again and again until its standard input ends or SIGTERM comes; ``reach.py silence`` tries
once, over many new flows. The order is one line of JSON on standard input; answers go to standard output as JSON Lines.

A refusal or a reset is an answer. "Unreachable" is one only if the address itself said so: a router that says so for a
dead host is not that host's answer. Port 0 stands for an ICMP echo.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import json
import os
import selectors
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

ECHO = 0
_IP_RECVERR = 11
_OFFENDER = slice(20, 24)  # struct sock_extended_err is 16 bytes; then a sockaddr_in, its address at 4
_ECHO_REQUEST, _ECHO_REPLY = 8, 0
_LINGER_RESET = struct.pack("ii", 1, 0)
_REFUSALS = (errno.ECONNREFUSED, errno.ECONNRESET)
_IN_PROGRESS = (0, errno.EINPROGRESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One thing to try."""

    site: str
    address: str
    port: int
    every_s: float = 0.1


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One try under way; ``number`` tells one echo from another."""

    target: Target
    asked: float
    number: int
    connection: socket.socket


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """How one try ended: open, refused or silent; ``by`` names a router that spoke for a silent address."""

    target: Target
    asked: float
    t: float
    answer: str
    by: str = ""


class Prober:
    """Starts tries and collects how they end; one thread, no waiting of its own."""

    def __init__(self, *, timeout_s: float) -> None:
        """Try nothing yet."""
        self._timeout_s = timeout_s
        self._selector = selectors.DefaultSelector()
        self._open: dict[int, Attempt] = {}
        self._number = 0

    def __len__(self) -> int:
        """Count the tries under way."""
        return len(self._open)

    def start(self, target: Target) -> Heard | None:
        """Begin a try, over a new flow; one that fails at once has ended already."""
        self._number += 1
        asked = time.monotonic()
        kind = (socket.SOCK_RAW, socket.IPPROTO_ICMP) if target.port == ECHO else (socket.SOCK_STREAM, 0)
        connection = socket.socket(socket.AF_INET, *kind)
        connection.settimeout(0)
        attempt = Attempt(target=target, asked=asked, number=self._number, connection=connection)
        ended = self._send_echo(attempt) if target.port == ECHO else self._send_connect(attempt)
        if ended is not None:
            connection.close()
            return Heard(target=target, asked=asked, t=time.monotonic(), answer=ended[0], by=ended[1])
        events = selectors.EVENT_READ if target.port == ECHO else selectors.EVENT_WRITE
        self._selector.register(connection, events, attempt)
        self._open[self._number] = attempt
        return None

    def collect(self, wait_s: float) -> Iterator[Heard]:
        """Wait at most so long, and yield every try that has ended."""
        for key, _ in self._selector.select(max(0.0, wait_s)):
            attempt: Attempt = key.data
            ended = _echo_answer(attempt) if attempt.target.port == ECHO else _connect_answer(attempt)
            if ended is not None:
                yield self._end(attempt, *ended)
        now = time.monotonic()
        for attempt in [one for one in self._open.values() if now - one.asked >= self._timeout_s]:
            yield self._end(attempt, "silent", "")

    def give_up(self) -> Iterator[Heard]:
        """End every try under way as silent."""
        for attempt in list(self._open.values()):
            yield self._end(attempt, "silent", "")

    def _end(self, attempt: Attempt, answer: str, by: str) -> Heard:
        self._selector.unregister(attempt.connection)
        del self._open[attempt.number]
        attempt.connection.close()
        return Heard(target=attempt.target, asked=attempt.asked, t=time.monotonic(), answer=answer, by=by)

    def _send_connect(self, attempt: Attempt) -> tuple[str, str] | None:
        connection = attempt.connection
        connection.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
        code = connection.connect_ex((attempt.target.address, attempt.target.port))
        return None if code in _IN_PROGRESS else _meaning(attempt, code)

    def _send_echo(self, attempt: Attempt) -> tuple[str, str] | None:
        head = struct.pack("!BBHHH", _ECHO_REQUEST, 0, 0, os.getpid() & 0xFFFF, attempt.number & 0xFFFF)
        packet = head[:2] + struct.pack("!H", checksum(head)) + head[4:]
        try:
            attempt.connection.sendto(packet, (attempt.target.address, 0))
        except OSError as error:
            return _meaning(attempt, error.errno or 0)
        return None


def checksum(packet: bytes) -> int:
    """Return the Internet checksum of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _connect_answer(attempt: Attempt) -> tuple[str, str]:
    code = attempt.connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return ("open", "") if code == 0 else _meaning(attempt, code)


def _echo_answer(attempt: Attempt) -> tuple[str, str] | None:
    """Read what came; None if it is somebody else's."""
    try:
        packet, (sender, _) = attempt.connection.recvfrom(2048)
    except OSError:
        return None
    head = (packet[0] & 0x0F) * 4
    kind, _, _, identity, number = struct.unpack("!BBHHH", packet[head : head + 8])
    mine = (kind, identity, number) == (_ECHO_REPLY, os.getpid() & 0xFFFF, attempt.number & 0xFFFF)
    return ("open", "") if mine and sender == attempt.target.address else None


def _meaning(attempt: Attempt, code: int) -> tuple[str, str]:
    """Say what an error means: somebody's answer is the address's only if it came from there."""
    if code in _REFUSALS:
        return "refused", ""
    by = _offender(attempt.connection) if attempt.target.port != ECHO else ""
    return ("refused", "") if by == attempt.target.address else ("silent", by or errno.errorcode.get(code, str(code)))


def _offender(connection: socket.socket) -> str:
    """Return who sent the ICMP error that ended a connection; empty if it was this host itself."""
    try:
        _, ancillary, _, _ = connection.recvmsg(1, 512, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
    except OSError:
        return ""
    for level, kind, content in ancillary:
        if level == socket.IPPROTO_IP and kind == _IP_RECVERR and len(content) >= _OFFENDER.stop:
            return str(ipaddress.IPv4Address(content[_OFFENDER])) if any(content[_OFFENDER]) else ""
    return ""


def watch(targets: Sequence[Target], *, vantage: str, timeout_s: float, stopping: threading.Event) -> None:
    """Try every target at its pace, and say how each try ended, until stopped."""
    prober = Prober(timeout_s=timeout_s)
    begun = time.monotonic()
    next_at = {target: begun + index * 0.01 for index, target in enumerate(targets)}
    while not stopping.is_set():
        now = time.monotonic()
        for target, at in next_at.items():
            if now >= at:
                _say(prober.start(target), vantage)
                next_at[target] = max(at + target.every_s, now)
        for heard in prober.collect(min(min(next_at.values()) - time.monotonic(), 0.02)):
            _say(heard, vantage)
        sys.stdout.flush()


def _say(heard: Heard | None, vantage: str) -> None:
    if heard is not None:
        line = {"t": heard.t, "asked": heard.asked, "vantage": vantage, "site": heard.target.site, "by": heard.by}
        line |= {"address": heard.target.address, "port": heard.target.port, "answer": heard.answer}
        sys.stdout.write(json.dumps(line) + "\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long silence is listened for: until ``most_s``, or sooner when references answered in good time.

    Sooner means: ``least_s`` have passed, and ``factor`` times as long as the slowest answer of a reference took.
    """

    least_s: float
    most_s: float
    factor: float

    def is_over(self, elapsed: float, reference_answers_s: Sequence[float]) -> bool:
        """Say whether an answer that has not come by now counts as none."""
        if elapsed >= self.most_s or not reference_answers_s:
            return elapsed >= self.most_s
        return elapsed >= max(self.least_s, self.factor * max(reference_answers_s))


def silence(
    targets: Sequence[Target], *, flows: int, references: Collection[str], patience: Patience
) -> dict[str, dict[str, object]]:
    """Try every target over so many new flows at once; return by address how many there were and what was heard."""
    prober = Prober(timeout_s=patience.most_s)
    ended = [heard for target in targets for _ in range(flows) if (heard := prober.start(target)) is not None]
    began = time.monotonic()
    while len(prober) and not patience.is_over(time.monotonic() - began, _answered_within(ended, references)):
        ended += prober.collect(0.01)
    ended += prober.give_up()
    return {
        address: _told([heard for heard in ended if heard.target.address == address])
        for address in dict.fromkeys(target.address for target in targets)
    }


def _answered_within(ended: Sequence[Heard], references: Collection[str]) -> list[float]:
    return [one.t - one.asked for one in ended if one.target.address in references and one.answer != "silent"]


def _never_left(heard: Heard) -> bool:
    """Say whether this host itself refused to send: that nobody answered then tells nothing of the address."""
    return heard.answer == "silent" and heard.by.startswith("E")


def _told(ended: Sequence[Heard]) -> dict[str, object]:
    here = [heard for heard in ended if not _never_left(heard)]
    answers = [heard for heard in here if heard.answer != "silent"]
    return {
        "flows": len(here),
        "answers": len(answers),
        "heard": sorted({f"{heard.target.port} {heard.answer}" for heard in answers}),
        "listened_s": round(min((heard.t - heard.asked for heard in here if heard.answer == "silent"), default=0.0), 3),
    }


def _stop_at_end_of_input(stopping: threading.Event) -> None:
    while sys.stdin.readline():
        pass
    stopping.set()


def main() -> int:
    """Do what the first argument says."""
    words: Mapping[str, object] = json.loads(sys.stdin.readline())
    listed = words["targets"]
    assert isinstance(listed, list)  # noqa: S101  our own sender's
    targets = [Target(**target) for target in listed]
    if sys.argv[1:] == ["silence"]:
        told, references = words["patience"], words["references"]
        assert isinstance(told, dict) and isinstance(references, list)  # noqa: S101, PT018  our own sender's
        found = silence(targets, flows=int(str(words["flows"])), references=references, patience=Patience(**told))
        sys.stdout.write(json.dumps(found) + "\n")
        return 0
    if sys.argv[1:] == ["watch"]:
        stopping = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stopping.set())
        threading.Thread(target=_stop_at_end_of_input, args=(stopping,), daemon=True).start()
        with contextlib.suppress(BrokenPipeError):
            timeout_s = float(str(words["timeout_s"]))
            watch(targets, vantage=str(words["vantage"]), timeout_s=timeout_s, stopping=stopping)
        return 0
    sys.stderr.write("usage: reach.py watch | silence\n")
    return 2


if __name__ == "__main__":
    raise SystemExit(main())
