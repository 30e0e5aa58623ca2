"""Fill every section that was asked for, a few at a time, and print one JSON line."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sys
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .common import Settings, Unreadable

_AT_ONCE = 4
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
    told: dict[str, Any] = {name: {"trouble": "no collector of that name"} for name in wanted}
    waiting = [name for name in reversed(wanted) if name in known]

    def work() -> None:
        with contextlib.suppress(IndexError):  # nothing is left to do
            while True:
                name = waiting.pop()
                told[name] = filled(known[name], settings)

    at_work = [threading.Thread(target=work) for _ in range(_AT_ONCE)]  # a pool of the library's takes long to import
    for one in at_work:
        one.start()
    for one in at_work:
        one.join()
    return told


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
