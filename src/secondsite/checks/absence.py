"""Whether what was erased is really away: what must be true after every restore, and of an estate on any day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

SHOWN = 5
KEEPERS_PORT = 8445
"""Where the keepers of the erasure ledger listen, as role ``erasure_ledger`` has it."""


def still_there(told: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a database's audit found that the ledger forbids: persons, keys, and holds that are not in force.

    Raises:
        KeyError, TypeError: it does not tell all of it.
    """
    if present := told["present"]:
        yield f"{named(present)} erased, and in the database again"
    for keeper, subjects in sorted(told["keys"].items()):
        if subjects:
            yield f"{named(subjects)} erased, and {keeper} has the key of their documents"
    for subject, states in sorted(told["missing"].items()):
        yield f"account {subject}: {' and '.join(states)} in the ledger, and not in force in the database"
    if unrecorded := told["unrecorded"]:
        yield f"{named(unrecorded)} under a legal hold that the ledger does not know"


def named(subjects: list[str]) -> str:
    """Return who it is, the first few of them by their ids."""
    shown = ", ".join(str(one) for one in subjects[:SHOWN])
    more = f" and {len(subjects) - SHOWN} more" if len(subjects) > SHOWN else ""
    return f"{len(subjects)} account{'s' if len(subjects) > 1 else ''} ({shown}{more})"
