"""Whom a frame came from."""

from __future__ import annotations

import pytest

from secondsite.lab.listen import Suspects

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
