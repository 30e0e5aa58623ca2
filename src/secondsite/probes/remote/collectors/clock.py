"""The clock of this host as chronyd measures it: from whom it hears, and how far off each says it is."""

from __future__ import annotations

import csv
import io
import subprocess
from typing import Any

from .common import Settings, run

_ITS_OWN = "7F7F0101"  # chronyd's name for the host's own clock
_HEARD_FROM = 8  # the last eight polls, one bit each


def clock(_: Settings) -> dict[str, Any]:
    """Return what chronyd says of itself and of each source. Offsets are in seconds; ahead is positive."""
    tracking = _rows(run("chronyc", "-n", "-c", "tracking"))[0]
    found = [_source(row) for row in _rows(run("chronyc", "-n", "-c", "sources"))]
    options = subprocess.run(
        ["/usr/bin/pgrep", "--list-full", "--exact", "chronyd"], capture_output=True, text=True, timeout=5, check=False
    )
    return {
        "followed": tracking[1],
        "leads": tracking[0] == _ITS_OWN,
        "stratum": int(tracking[2]),
        "leap": tracking[13],
        "sources": found,
        "sets_the_clock": " -x" not in options.stdout,
    }


def _source(row: list[str]) -> dict[str, Any]:
    reach = int(row[5], _HEARD_FROM)
    return {
        "address": row[2],
        "state": row[1],
        "answers": bin(reach).count("1"),
        "age_s": int(row[6]) if row[6].isdigit() else None,
        "offset_s": float(row[8]),  # how far this host is ahead of the source
        "error_s": float(row[9]),
    }


def _rows(text: str) -> list[list[str]]:
    return [row for row in csv.reader(io.StringIO(text)) if row]


SECTIONS = {"clock": clock}
