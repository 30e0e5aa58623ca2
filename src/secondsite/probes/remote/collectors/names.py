"""What name servers on this host answer: address, time to live, serial. No resolver is asked: it would remember."""

from __future__ import annotations

import os
import socket
import struct
from typing import Any

from .common import Settings, Unreadable
from .network import listeners

_TIMEOUT_S = 2.0
_A, _SOA = 1, 6
_SPEAKS_FOR_THE_ZONE = 0x04


def names(settings: Settings) -> list[dict[str, Any]]:
    """Return the answers of every name server listening on this host, for each service's name and zone."""
    servers = {one["address"] for one in listeners(settings) if one["protocol"] == "udp" and one["port"] == 53}
    servers = {settings["address"] if one in ("0.0.0.0", "*", "[::]") else one for one in servers}
    return [
        _answers(str(server), service) for server in sorted(filter(None, servers)) for service in settings["services"]
    ]


def _answers(server: str, service: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {"server": server, "name": service["dns_name"]}
    try:
        authoritative, records = answer(server, service["dns_name"], _A)
        found["authoritative"] = authoritative
        found["addresses"] = sorted(socket.inet_ntoa(record[1]) for record in records if len(record[1]) == 4)
        found["ttl"] = max((record[0] for record in records), default=None)
        found["serial"] = next(
            (struct.unpack("!I", data[-20:-16])[0] for _, data in ask(server, service["zone"], _SOA)), None
        )
    except (OSError, Unreadable) as error:
        found["trouble"] = str(error)
    return found


def ask(server: str, name: str, kind: int) -> list[tuple[int, bytes]]:
    """Return time to live and data of every record in the answer. Raises as ``answer`` does."""
    return answer(server, name, kind)[1]


def answer(server: str, name: str, kind: int) -> tuple[bool, list[tuple[int, bytes]]]:
    """Return whether the server speaks for the zone, and time to live and data of every record in its answer.

    Raises:
        OSError: no answer.
        Unreadable: the server refused, or its answer is none.
    """
    number = int.from_bytes(os.urandom(2), "big")
    labels = b"".join(bytes([len(part)]) + part.encode("ascii") for part in name.split("."))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.settimeout(_TIMEOUT_S)
        wire.connect((server, 53))
        wire.send(struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", kind, 1))
        told = wire.recv(4096)
    try:
        return bool(told[2] & _SPEAKS_FOR_THE_ZONE), _records(told, number, kind)
    except (IndexError, struct.error) as error:
        raise Unreadable("its answer can't be read") from error


def _records(answer: bytes, number: int, kind: int) -> list[tuple[int, bytes]]:
    back, flags, questions, answers = struct.unpack("!4H", answer[:8])
    if back != number or flags & 0xF:
        raise Unreadable(f"it answered with code {flags & 0xF}")
    place = 12
    for _ in range(questions):
        place = _past_name(answer, place) + 4
    found = []
    for _ in range(answers):
        place = _past_name(answer, place)
        what, _class, ttl, length = struct.unpack("!HHIH", answer[place : place + 10])
        place += 10
        if what == kind:
            found.append((ttl, answer[place : place + length]))
        place += length
    return found


def _past_name(answer: bytes, place: int) -> int:
    while answer[place]:
        if answer[place] & 0xC0 == 0xC0:
            return place + 2
        place += answer[place] + 1
    return place + 1


SECTIONS = {"names": names}
