"""Open many connections at once and say what came of each.

The order is ``tries`` (each: source's address, target's address, tcp or udp, port, a neighbour or nothing, and whether
it should get an answer), ``timeout_s`` and ``mark``. A try with a neighbour is a lone first packet handed to that
neighbour, whatever the routes say; no answer is awaited, and its source may be another's: so a carrier can hand a
customer's packet to each edge. Every packet bears ``mark`` in its DSCP field, so that hosts on its way can tell a try
from their own traffic.

A refusal is an answer only if the target itself sent it: ``by`` names a router that spoke for a silent target.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import selectors
import socket
import struct
import time
from collections.abc import Sequence
from typing import NamedTuple

from .common import Settings

OPEN, REFUSED, SILENT, SENT, UNTOLD = "open", "refused", "silent", "sent", "untold"
_IP_RECVERR = 11
_OFFENDER = slice(20, 24)  # struct sock_extended_err is 16 bytes; then a sockaddr_in, its address at 4
_LINGER_RESET = struct.pack("ii", 1, 0)
_REFUSALS = (errno.ECONNREFUSED, errno.ECONNRESET)
_IN_PROGRESS = (0, errno.EINPROGRESS)
_DATAGRAM = b"secondsite: is this flow allowed?"
_DSCP_SHIFT = 2
_SYN, _IPV4, _DISCARD, _ARP_COMPLETE, _ARP_S = 0x02, 0x0800, 9, 0x02, 1.0


class Try(NamedTuple):
    """One connection to open. One that is ``expected`` to get an answer is tried again if it gets none."""

    source: str
    target: str
    protocol: str
    port: int
    neighbour: str = ""
    expected: bool = False


class _Attempt:
    """One try under way."""

    def __init__(self, what: Try, connection: socket.socket) -> None:
        self.what, self.connection = what, connection
        self.ended: tuple[str, str] | None = None


def tries(settings: Settings) -> list[tuple[str, str]]:
    """Return for each try of the order what came of it, and who spoke for a silent target."""
    order = settings["tries"]
    wanted = [Try(*one) for one in order["tries"]]
    return try_twice(wanted, timeout_s=float(order["timeout_s"]), mark=int(order["mark"]))


def try_twice(wanted: Sequence[Try], *, timeout_s: float, mark: int) -> list[tuple[str, str]]:
    """Try everything once, and what should have been answered a second time, for a packet may be lost.

    Datagrams were sent twice the first time, and need no answer: their target says whether they came.
    """
    answers = try_all(wanted, timeout_s=timeout_s, mark=mark)
    again = [
        number
        for number, (one, (answer, _)) in enumerate(zip(wanted, answers, strict=True))
        if one.expected and one.protocol == "tcp" and answer == SILENT
    ]
    if again:
        second = try_all([wanted[number] for number in again], timeout_s=timeout_s, mark=mark)
        for number, answer in zip(again, second, strict=True):
            answers[number] = answer
    return answers


def try_all(tries: Sequence[Try], *, timeout_s: float, mark: int) -> list[tuple[str, str]]:
    """Open all of them at once, and return for each: open, refused or silent, and who spoke for a silent target."""
    _allow_files(len(tries) + 64)
    neighbours = _neighbours({one.neighbour for one in tries if one.neighbour})
    begun = time.monotonic()
    frames = [_Frame.of(one, neighbours.get(one.neighbour), mark=mark) for one in tries if one.neighbour]
    _send_frames(frames)
    attempts = [_start(one, mark=mark) for one in tries if not one.neighbour]
    with selectors.DefaultSelector() as selector:
        for attempt in attempts:
            if attempt.ended is None:
                is_tcp = attempt.what.protocol == "tcp"
                selector.register(attempt.connection, _event(is_tcp=is_tcp), attempt)
        _collect(selector, until=begun + timeout_s / 2)
        for key in selector.get_map().values():  # a datagram may be lost; TCP sends again by itself
            if key.data.what.protocol == "udp":
                _send(key.data)
        _send_frames(frames)
        _collect(selector, until=begun + timeout_s)
    for attempt in attempts:
        attempt.connection.close()
    handed = iter([(SENT, "") if frame.to else (UNTOLD, "the neighbour does not answer") for frame in frames])
    opened = iter([attempt.ended or (SILENT, "") for attempt in attempts])
    return [next(handed if one.neighbour else opened) for one in tries]


def _event(*, is_tcp: bool) -> int:
    return selectors.EVENT_WRITE if is_tcp else selectors.EVENT_READ


def _collect(selector: selectors.BaseSelector, *, until: float) -> None:
    """Note what came of attempts until then, and in any case of those that had ended by then."""
    is_late = False
    while selector.get_map() and not is_late:
        is_late = (left := until - time.monotonic()) <= 0
        for key, _ in selector.select(max(0.0, left)):
            attempt: _Attempt = key.data
            attempt.ended = _connected(attempt) if attempt.what.protocol == "tcp" else _answered(attempt)
            if attempt.ended is not None:
                selector.unregister(attempt.connection)


def _start(what: Try, *, mark: int) -> _Attempt:
    kind = socket.SOCK_STREAM if what.protocol == "tcp" else socket.SOCK_DGRAM
    connection = socket.socket(socket.AF_INET, kind)
    attempt = _Attempt(what, connection)
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
            return socket.inet_ntoa(content[_OFFENDER]) if any(content[_OFFENDER]) else ""
    return ""


class _Frame(NamedTuple):
    """A first packet, and the interface and hardware address it is handed to (None: nobody is there)."""

    packet: bytes
    to: tuple[str, bytes] | None

    @classmethod
    def of(cls, what: Try, to: tuple[str, bytes] | None, *, mark: int) -> _Frame:
        """Write the packet; its own port is another one each time, so that no router takes it for one it knows."""
        own_port = 20000 + int.from_bytes(os.urandom(2), "big") % 40000
        ends = socket.inet_aton(what.source) + socket.inet_aton(what.target)
        if what.protocol == "tcp":
            number = int.from_bytes(os.urandom(4), "big")
            body = struct.pack("!HHIIBBHHH", own_port, what.port, number, 0, 5 << 4, _SYN, 65535, 0, 0)
            kind, at = socket.IPPROTO_TCP, 16
        else:
            body = struct.pack("!HHHH", own_port, what.port, 8 + len(_DATAGRAM), 0) + _DATAGRAM
            kind, at = socket.IPPROTO_UDP, 6
        total = struct.pack("!H", checksum(ends + struct.pack("!HH", kind, len(body)) + body))
        body = body[:at] + total + body[at + 2 :]
        head = struct.pack("!BBHHHBBH", 0x45, mark << _DSCP_SHIFT, 20 + len(body), 0, 0x4000, 64, kind, 0) + ends
        return cls(packet=head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body, to=to)


def _send_frames(frames: Sequence[_Frame]) -> None:
    if frames:
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as mouth:
            for frame in frames:
                if frame.to is not None:
                    mouth.sendto(frame.packet, (frame.to[0], _IPV4, 0, 0, frame.to[1]))


def checksum(packet: bytes) -> int:
    """Return the Internet checksum."""
    padded = packet + b"\0" * (len(packet) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _neighbours(addresses: set[str]) -> dict[str, tuple[str, bytes]]:
    """Return the interface and hardware address of each neighbour that answers."""
    until = time.monotonic() + _ARP_S
    known: dict[str, tuple[str, bytes]] = {}
    for address in addresses:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking, contextlib.suppress(OSError):
            asking.sendto(b"", (address, _DISCARD))
    while addresses - known.keys() and time.monotonic() < until:
        with open("/proc/net/arp", encoding="ascii") as table:  # noqa: PTH123  a file of the kernel's
            rows = [line.split() for line in table][1:]
        for address, _, flags, hardware, _, interface in rows:
            if address in addresses and int(flags, 16) & _ARP_COMPLETE:
                known[address] = interface, bytes.fromhex(hardware.replace(":", ""))
        time.sleep(0.01)
    return known


def _allow_files(number: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(number, hard), hard))


SECTIONS = {"tries": tries}
