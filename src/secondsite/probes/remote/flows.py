"""Open many connections at once and say what came of each: plain Python, copied to a host and run there as root.

The order is one line of JSON on standard input: ``tries`` (each: own address, target's address, tcp or udp, port),
``timeout_s`` and ``mark``. The answer is one line of JSON: for each try ``[answer, by]``, in the order of the order.
Every packet bears ``mark`` in its DSCP field, so that hosts on its way can tell a try from their own traffic.

A refusal is an answer only if the target itself sent it: ``by`` names a router that spoke for a silent target.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import json
import resource
import selectors
import socket
import struct
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

OPEN, REFUSED, SILENT = "open", "refused", "silent"
_IP_RECVERR = 11
_OFFENDER = slice(20, 24)  # struct sock_extended_err is 16 bytes; then a sockaddr_in, its address at 4
_LINGER_RESET = struct.pack("ii", 1, 0)
_REFUSALS = (errno.ECONNREFUSED, errno.ECONNRESET)
_IN_PROGRESS = (0, errno.EINPROGRESS)
_DATAGRAM = b"secondsite: is this flow allowed?"
_DSCP_SHIFT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One connection to open."""

    source: str
    target: str
    protocol: str
    port: int


@dataclass(slots=True, kw_only=True)
class _Attempt:
    """One try under way."""

    what: Try
    connection: socket.socket
    ended: tuple[str, str] | None = None


def try_all(tries: Sequence[Try], *, timeout_s: float, mark: int) -> list[tuple[str, str]]:
    """Open all of them at once, and return for each: open, refused or silent, and who spoke for a silent target."""
    _allow_files(len(tries) + 64)
    attempts = [_start(one, mark=mark) for one in tries]
    begun = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for attempt in attempts:
            if attempt.ended is None:
                is_tcp = attempt.what.protocol == "tcp"
                selector.register(attempt.connection, _event(is_tcp=is_tcp), attempt)
        _collect(selector, until=begun + timeout_s / 2)
        for key in selector.get_map().values():  # a datagram may be lost; TCP sends again by itself
            if key.data.what.protocol == "udp":
                _send(key.data)
        _collect(selector, until=begun + timeout_s)
    for attempt in attempts:
        attempt.connection.close()
    return [attempt.ended or (SILENT, "") for attempt in attempts]


def _event(*, is_tcp: bool) -> int:
    return selectors.EVENT_WRITE if is_tcp else selectors.EVENT_READ


def _collect(selector: selectors.BaseSelector, *, until: float) -> None:
    while selector.get_map() and (left := until - time.monotonic()) > 0:
        for key, _ in selector.select(left):
            attempt: _Attempt = key.data
            attempt.ended = _connected(attempt) if attempt.what.protocol == "tcp" else _answered(attempt)
            if attempt.ended is not None:
                selector.unregister(attempt.connection)


def _start(what: Try, *, mark: int) -> _Attempt:
    kind = socket.SOCK_STREAM if what.protocol == "tcp" else socket.SOCK_DGRAM
    connection = socket.socket(socket.AF_INET, kind)
    attempt = _Attempt(what=what, connection=connection)
    connection.settimeout(0)
    connection.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, mark << _DSCP_SHIFT)
    connection.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
    if what.protocol == "tcp":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
    try:
        connection.bind((what.source, 0))
        code = connection.connect_ex((what.target, what.port))
    except OSError as error:
        code = error.errno or errno.EIO
    if code not in _IN_PROGRESS:
        attempt.ended = _meaning(attempt, code)
    elif what.protocol == "udp":
        _send(attempt)
    return attempt


def _send(attempt: _Attempt) -> None:
    with contextlib.suppress(OSError):  # an error that came meanwhile is read with the answer
        attempt.connection.send(_DATAGRAM)


def _connected(attempt: _Attempt) -> tuple[str, str]:
    code = attempt.connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return (OPEN, "") if code == 0 else _meaning(attempt, code)


def _answered(attempt: _Attempt) -> tuple[str, str] | None:
    try:
        attempt.connection.recv(2048)
    except BlockingIOError:
        return None
    except OSError as error:
        return _meaning(attempt, error.errno or errno.EIO)
    return OPEN, ""


def _meaning(attempt: _Attempt, code: int) -> tuple[str, str]:
    """Say what an error means: it is the target's answer only if it came from there."""
    by = _offender(attempt.connection)
    if code in _REFUSALS and by in {"", attempt.what.target}:
        return REFUSED, ""
    return SILENT, by or errno.errorcode.get(code, str(code))


def _offender(connection: socket.socket) -> str:
    """Return who sent the ICMP error that ended a connection; empty if none came."""
    try:
        _, ancillary, _, _ = connection.recvmsg(1, 512, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
    except OSError:
        return ""
    for level, kind, content in ancillary:
        if level == socket.IPPROTO_IP and kind == _IP_RECVERR and len(content) >= _OFFENDER.stop:
            return str(ipaddress.IPv4Address(content[_OFFENDER])) if any(content[_OFFENDER]) else ""
    return ""


def _allow_files(number: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(number, hard), hard))


def main() -> int:
    """Do what the order says."""
    order = json.loads(sys.stdin.readline())
    tries = [Try(source=one[0], target=one[1], protocol=one[2], port=one[3]) for one in order["tries"]]
    answers = try_all(tries, timeout_s=float(order["timeout_s"]), mark=int(order["mark"]))
    sys.stdout.write(json.dumps(answers) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
