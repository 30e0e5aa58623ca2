"""Fill every section that was asked for, a few at a time, and print one JSON line."""

from __future__ import annotations

import base64
import json
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
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
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        begun = {
            name: pool.submit(filled, known[name], settings)
            if name in known
            else pool.submit(lambda: {"trouble": "no collector of that name"})
            for name in wanted
        }
        return {name: one.result() for name, one in begun.items()}


def main(order: Mapping[str, Any], modules: Mapping[str, Any]) -> None:
    """Print the answer, compressed: a host's configuration in digests is long and dull."""
    known: dict[str, Section] = {}
    for module in modules.values():
        known.update(getattr(module, "SECTIONS", {}))
    sections = answer(known, order["sections"], order["settings"])
    packed = zlib.compress(json.dumps({"sections": sections, "complete": True}).encode(), 1)
    sys.stdout.write(base64.b64encode(packed).decode("ascii") + "\n")
    sys.stdout.flush()
