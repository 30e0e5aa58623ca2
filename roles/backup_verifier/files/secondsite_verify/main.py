"""Which verification is asked for, one after the other on a host."""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import json
import sys
from pathlib import Path

from .common import KEPT, Failed

CONFIGURATION = Path("/etc/secondsite/verify.json")
KINDS = ("newest", "older", "packs", "snapshots", "tally")
ALONE = frozenset({"newest", "older", "snapshots"})  # they share the place where things are restored


def reasons_of(kind, settings):
    """Do one kind; return every reason to doubt a backup."""
    module = importlib.import_module(f".{'stanzas' if kind in ('newest', 'older') else kind}", __package__)
    match kind:
        case "newest" | "older":
            return module.main(kind, settings)
        case "tally":
            return module.main(settings["clusters"])["why"]
        case _:
            return module.main(settings)


def main(words):
    """Do what is asked for; return the exit code."""
    if len(words) != 1 or words[0] not in KINDS:
        print(f"which of {', '.join(KINDS)}?", file=sys.stderr)
        return 2
    kind, settings = words[0], json.loads(CONFIGURATION.read_text())
    KEPT.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        if kind in ALONE:
            fcntl.flock(held.enter_context((KEPT / "lock").open("w")), fcntl.LOCK_EX)
        try:
            reasons = reasons_of(kind, settings)
        except Failed as error:
            reasons = [str(error)]
    for reason in reasons:
        print(f"{kind}: {reason}", file=sys.stderr)
    return 1 if reasons else 0
