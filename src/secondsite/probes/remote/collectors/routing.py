"""What this router hears of its neighbours and tunnels, as its own daemons tell it."""

from __future__ import annotations

import time
from typing import Any

from .common import Settings, installed, run

_DUMP_OF_A_PEER = 9
_BFD_COLUMNS = 6
_UP_AGAIN_WITHIN_S, _LOOK_AGAIN_S = 4.0, 0.5


def routing(_: Settings) -> dict[str, Any]:
    """Return the state of every BGP session by name, and every watched neighbour by address.

    What is not up is looked at again, until a session that was lost for an instant had the time to be made anew: BIRD
    tries after one second, and then every two. ``up_after_s`` tells how long that took; None where
    something stays away.
    """
    began = time.monotonic()
    told, waited = _told(), 0.0
    while not _is_up(told) and waited < _UP_AGAIN_WITHIN_S:
        time.sleep(_LOOK_AGAIN_S)
        told, waited = _told(), time.monotonic() - began
    return {**told, "up_after_s": round(waited, 1) if _is_up(told) else None}


def _is_up(told: dict[str, Any]) -> bool:
    is_spoken_to = all(state == "Established" for state in told["sessions"].values())
    return is_spoken_to and all(one["state"] == "Up" for one in told["watched"].values())


def _told() -> dict[str, Any]:
    sessions = [line.split() for line in run("birdc", "-r", "show", "protocols").splitlines()]
    watched = [line.split() for line in run("birdc", "-r", "show", "bfd", "sessions").splitlines()]
    return {
        "sessions": {row[0]: " ".join(row[5:]) or row[3] for row in sessions if len(row) > 4 and row[1] == "BGP"},
        "watched": {
            row[0]: {"interface": row[1], "state": row[2], "notices_after_s": float(row[-1])}
            for row in watched
            if len(row) >= _BFD_COLUMNS and row[0][0].isdigit()
        },
    }


def tunnels(_: Settings) -> dict[str, Any]:
    """Return the peer of every WireGuard interface, and when it last proved its key; no key is told but public ones."""
    if not installed("wg"):
        return {}
    now = time.time()
    rows = [line.split("\t") for line in run("wg", "show", "all", "dump").splitlines()]
    return {
        row[0]: {
            "peer": row[1],
            "endpoint": row[3],
            "handshake_age_s": round(now - int(row[5]), 1) if int(row[5]) else None,
        }
        for row in rows
        if len(row) == _DUMP_OF_A_PEER
    }


SECTIONS = {"routing": routing, "tunnels": tunnels}
