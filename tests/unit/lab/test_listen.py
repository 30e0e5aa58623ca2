"""Whom a frame came from."""

from __future__ import annotations

import struct

import pytest

from secondsite.lab.listen import Suspects, frame_filter

DEAD, OTHER = bytes.fromhex("02aaaaaaaaaa"), bytes.fromhex("02bbbbbbbbbb")
ADDRESS, ELSE = bytes([198, 18, 1, 20]), bytes([198, 18, 4, 40])
SUSPECTS = Suspects(macs=frozenset({DEAD}), addresses=frozenset({ADDRESS}))


def ipv4(mac: bytes, source: bytes, target: bytes) -> bytes:
    return b"\xff" * 6 + mac + b"\x08\x00" + bytes(12) + source + target + bytes(20)


def arp(mac: bytes, sender: bytes, wanted: bytes) -> bytes:
    return b"\xff" * 6 + mac + b"\x08\x06" + bytes.fromhex("0001080006040001") + mac + sender + bytes(6) + wanted


@pytest.mark.parametrize(
    ("frame", "sent"),
    [
        pytest.param(ipv4(DEAD, ELSE, ELSE), True, id="its hardware address"),
        pytest.param(ipv4(OTHER, ADDRESS, ELSE), True, id="its address behind a router"),
        pytest.param(ipv4(OTHER, ELSE, ADDRESS), False, id="sent to it"),
        pytest.param(arp(OTHER, ADDRESS, ELSE), True, id="ARP in its name"),
        pytest.param(arp(OTHER, ELSE, ADDRESS), False, id="ARP looking for it"),
        pytest.param(DEAD + OTHER + b"\x86\xdd" + bytes(40), False, id="another protocol to it"),
        pytest.param(b"", False, id="empty"),
    ],
)
def test_only_frames_from_the_dead_count(frame: bytes, *, sent: bool) -> None:
    assert SUSPECTS.sent(frame) is sent


def passes(program: list[bytes], frame: bytes) -> bool:
    """Run the filter as the kernel does: classic BPF, four kinds of instruction."""
    at = accumulator = 0
    while True:
        code, then, otherwise, value = struct.unpack("HBBI", program[at])
        at += 1
        if code == 0x06:
            return bool(value)
        if code == 0x15:
            at += then if accumulator == value else otherwise
        else:
            width = 2 if code == 0x28 else 4
            if value + width > len(frame):
                return False
            accumulator = int.from_bytes(frame[value : value + width], "big")


@pytest.mark.parametrize(
    ("frame", "through"),
    [
        pytest.param(ipv4(DEAD, ELSE, ELSE), True, id="hardware address of the first"),
        pytest.param(ipv4(bytes.fromhex("02cccccccccc"), ELSE, ELSE), True, id="hardware address of the last"),
        pytest.param(ipv4(OTHER, ADDRESS, ELSE), True, id="address of the first"),
        pytest.param(ipv4(OTHER, bytes([198, 18, 1, 10]), ELSE), True, id="address of the last"),
        pytest.param(arp(OTHER, ELSE, ELSE), True, id="any ARP"),
        pytest.param(ipv4(OTHER, ELSE, ADDRESS), False, id="customers' traffic"),
    ],
)
def test_the_kernels_filter_keeps_what_may_be_from_the_dead(frame: bytes, *, through: bool) -> None:
    two = Suspects(
        macs=SUSPECTS.macs | {bytes.fromhex("02cccccccccc")},
        addresses=SUSPECTS.addresses | {bytes([198, 18, 1, 10])},
    )
    assert passes(list(frame_filter(two)), frame) is through
