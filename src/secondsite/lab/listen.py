"""Listening on every wire of the lab from outside, and asking the ones who should not answer."""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import select
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ..drill.ports import Silence
from ..errors import MeasurementError
from . import netns, ready
from .model import LabSettings, Wire
from .rules import bridge

_ALL, _ARP, _IPV4 = 0x0003, 0x0806, 0x0800
_ASK_EVERY_S = 0.25
_BUFFER = 4 * 1024 * 1024
_PACKET_STATISTICS = 6
_SOL_PACKET = 263
_SO_RCVBUFFORCE, _SO_ATTACH_FILTER = 33, 26
_LOAD_HALF, _LOAD_WORD, _JUMP_EQUAL, _RETURN = 0x28, 0x20, 0x15, 0x06
_INSTRUCTION = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspects:
    """Who must not be heard: by hardware address, and by IP address wherever a router may carry it."""

    macs: frozenset[bytes]
    addresses: frozenset[bytes]

    def sent(self, frame: bytes) -> bool:
        """Say whether the frame came from one of them."""
        if frame[6:12] in self.macs:
            return True
        kind = int.from_bytes(frame[12:14], "big")
        source = frame[26:30] if kind == _IPV4 else frame[28:32] if kind == _ARP else b""
        return source in self.addresses


def suspects(legs: Iterable[Wire], *, by_address: bool) -> Suspects:
    """Return whom to listen for: the owners of these legs."""
    chosen = list(legs)
    return Suspects(
        macs=frozenset(bytes.fromhex(leg.mac.replace(":", "")) for leg in chosen),
        addresses=frozenset(leg.address.ip.packed for leg in chosen) if by_address else frozenset(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How silence is watched for.

    ``pings`` are, for each namespace to ask from, the addresses to ask, by name; ``by_address`` says whether the
    silent ones' IP addresses count too, wherever a router carries them; ``ears`` are namespaces to listen in instead of
    the wires' own.
    """

    pings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    by_address: bool = True
    ears: Sequence[str] = ()


def watch(settings: LabSettings, names: tuple[str, ...], legs: Iterable[Wire], *, seconds: float, how: How) -> Silence:
    """Listen on all wires for the legs' owners while asking them by ARP and by ping; return what came.

    Args:
        settings: Which lab.
        names: What to call the silent ones in the proof.
        legs: Their wires.
        seconds: How long to listen.
        how: From where, and whom.

    Raises:
        MeasurementError: the listener missed frames, or heard nothing at all, not even our own questions.
    """
    chosen = list(legs)
    wanted = suspects(chosen, by_address=how.by_address)
    with contextlib.ExitStack() as stack:
        asking = stack.enter_context(ThreadPoolExecutor(max_workers=1))
        open_ears = [stack.enter_context(listener(place, wanted)) for place in how.ears or (settings.wires,)]
        begun = time.monotonic()
        answers = asking.submit(_ping_all, settings, how.pings)
        heard, others = _count(settings, open_ears, chosen, wanted, until=begun + seconds)
        ended = time.monotonic()
        missed = sum(struct.unpack("II", ear.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))[1] for ear in open_ears)
    if missed and not heard:
        raise MeasurementError(f"the listener missed {missed} frames, so silence is not proven")
    if not others:
        raise MeasurementError(
            "the listener heard nothing at all, not even our own questions, so silence proves nothing"
        )
    return Silence(hosts=names, watched_from=begun, watched_until=ended, packets_heard=heard, answers=answers.result())


def hears(settings: LabSettings, leg: Wire, *, within_s: float) -> bool:
    """Say whether the owner of a leg answers an ARP question on its network in time."""
    wanted = suspects([leg], by_address=False)
    with listener(settings.wires, wanted) as ear:
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            heard, _ = _count(settings, [ear], [leg], wanted, until=min(until, time.monotonic() + _ASK_EVERY_S))
            if heard:
                return True
    return False


def listener(namespace: str, wanted: Suspects) -> socket.socket:
    """Return a socket on every interface of a namespace; it hears the suspects, and all ARP.

    The kernel picks the frames, so that customers' traffic on a busy machine cannot drown one of them.
    """
    program = b"".join(frame_filter(wanted))
    held = ctypes.create_string_buffer(program, len(program))

    def make() -> socket.socket:
        ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.htons(_ALL))
        ear.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        length = len(program) // _INSTRUCTION
        ear.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", length, ctypes.addressof(held)))
        return ear

    return netns.in_namespace(netns.path_of(namespace), make)


def frame_filter(wanted: Suspects) -> Iterator[bytes]:
    """Yield the classic BPF instructions that let through ARP, and whatever may be from a suspect."""
    macs = sorted(int.from_bytes(mac[2:], "big") for mac in wanted.macs)
    addresses = sorted(int.from_bytes(address, "big") for address in wanted.addresses)
    left = len(macs) + len(addresses) + 3  # instructions after the first comparison, without the two that return
    yield _bpf(_LOAD_HALF, 12)
    yield _bpf(_JUMP_EQUAL, _ARP, then=left)
    for offset, values in ((8, macs), (26, addresses)):  # the source's last four bytes; the IPv4 source
        yield _bpf(_LOAD_WORD, offset)
        left -= 1
        for value in values:
            left -= 1
            yield _bpf(_JUMP_EQUAL, value, then=left)
    yield _bpf(_RETURN, 0)
    yield _bpf(_RETURN, 0xFFFF)


def _bpf(code: int, value: int, *, then: int = 0) -> bytes:
    return struct.pack("HBBI", code, then, 0, value)


def _count(
    settings: LabSettings, ears: Sequence[socket.socket], legs: list[Wire], wanted: Suspects, *, until: float
) -> tuple[int, int]:
    heard = others = 0
    ask_at = 0.0
    while (now := time.monotonic()) < until:
        if now >= ask_at:
            _ask_by_arp(settings, legs)
            ask_at = now + _ASK_EVERY_S
        for ear in select.select(ears, [], [], min(_ASK_EVERY_S, until - now))[0]:
            frame = ear.recv(64)
            if wanted.sent(frame):
                heard += 1
            else:
                others += 1
    return heard, others


def _ask_by_arp(settings: LabSettings, legs: list[Wire]) -> None:
    """Ask for each leg's address on its network, from the bridge itself: no guest and no firewall in between."""

    def ask() -> None:
        for leg in legs:
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as mouth:
                mouth.bind((bridge(leg.network), _ARP))
                mouth.send(_who_has(leg.address.ip, mouth.getsockname()[4]))

    netns.in_namespace(netns.path_of(settings.wires), ask)


def _who_has(address: ipaddress.IPv4Address, asker: bytes) -> bytes:
    question = struct.pack("!HHBBH6s4s6s4s", 1, _IPV4, 6, 4, 1, asker, bytes(4), bytes(6), address.packed)
    return b"\xff" * 6 + asker + struct.pack("!H", _ARP) + question


def _ping_all(settings: LabSettings, pings: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    answers: list[str] = []
    for namespace, addresses in pings.items():
        place = namespace.removeprefix(f"{settings.instance}-")
        replied = ready.answers_ping(namespace, addresses)
        answers += [f"{name} answered a ping from {place}" for name, answered in replied.items() if answered]
    return tuple(answers)
