"""Fill every section that was asked for, a few at a time, and print one JSON line."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .common import Settings, Unreadable, at_once

_AT_ONCE = 4
_WAITING = ("tries", "heartbeat")
"""Sections that wait for other hosts: the others do not wait for them."""
Section = Callable[[Settings], Any]


def filled(section: Section, settings: Settings) -> dict[str, Any]:
    """Return the section's value, or why there is none. No section may keep the others from being read."""
    try:
        return {"value": section(settings)}
    except Unreadable as error:
        return {"trouble": str(error)}
    except Exception as error:  # noqa: BLE001  whatever a host makes of a collector, the others go on, and this is unknown
        return {"trouble": f"{type(error).__name__}: {error}"[:300]}


def answer(known: Mapping[str, Section], wanted: Sequence[str], settings: Settings) -> dict[str, Any]:
    """Return every wanted section."""
    names = sorted((name for name in wanted if name in known), key=lambda name: name not in _WAITING)
    most = _AT_ONCE + sum(name in _WAITING for name in names)
    told = dict(zip(names, at_once(lambda name: filled(known[name], settings), names, most=most), strict=True))
    return {name: told.get(name, {"trouble": "no collector of that name"}) for name in wanted}


def main(order: Mapping[str, Any], modules: Mapping[str, Any]) -> None:
    """Print the answer, compressed: a host's configuration in digests is long and dull."""
    known: dict[str, Section] = {}
    for module in modules.values():
        known.update(getattr(module, "SECTIONS", {}))
    sections = answer(known, order["sections"], order["settings"])
    _forget(order["settings"].get("before"))
    packed = zlib.compress(json.dumps({"sections": sections, "complete": True}).encode(), 1)
    sys.stdout.write(base64.b64encode(packed).decode("ascii") + "\n")
    sys.stdout.flush()


def _forget(before: str | None) -> None:
    """Remove what was noted before the tries."""
    if before:
        with contextlib.suppress(OSError):
            for name in os.listdir(before):  # noqa: PTH208  pathlib is not needed for anything else here
                os.remove(f"{before}/{name}")  # noqa: PTH107
            os.rmdir(before)  # noqa: PTH106
