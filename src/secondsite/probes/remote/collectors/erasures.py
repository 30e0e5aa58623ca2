"""What a keeper of the erasure ledger has on its disk, read without its own code, and how it hears the others."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from .common import Settings, Unreadable

_STATE = Path("/var/lib/secondsite-erasures")
_TOLD = Path("/run/secondsite-erasures/gathered.json")
_NUMBER_LETTERS = 8


def ledger(_: Settings, state: Path = _STATE, told: Path = _TOLD) -> dict[str, Any]:
    """Return the chain of records here: ids of entries and digests, in their order, and what is wrong with it.

    Then what each other keeper's chain was when it was last read from here, how long that is ago, and whose keys are
    kept although a record here erases them and no legal hold stood against it.
    """
    if not (state / "keeper").is_file():
        raise Unreadable("no ledger is kept here")
    keeper = (state / "keeper").read_text().strip()
    records, trouble = _chain(state / "ledger", keeper)
    gathered = _read(told) or {}
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    seen = {path.stem.removeprefix("seen-"): _read(path) for path in state.glob("seen-*.json")}
    return {
        "now": time.time(),
        "keeper": keeper,
        "trouble": trouble,
        "entries": [
            [_digest(one["entry"]), one["entry"]["at"], one["received"], one["entry"]["kind"]] for one in records
        ],
        "digests": [_digest(one) for one in records],
        "seen": seen,
        "heard": {
            name: {"ago": None if one["at"] is None else now - one["at"], "trouble": one["trouble"]}
            for name, one in gathered.items()
        },
        "live": sorted(_erased(records) & {path.parent.name for path in (state / "keys").glob("*/[!.]*.json")}),
    }


def _chain(folder: Path, keeper: str) -> tuple[list[dict[str, Any]], str]:
    """Return the records as far as they are a chain, and what is wrong after them."""
    records: list[dict[str, Any]] = []
    head = hashlib.sha256(f"secondsite erasures {keeper}".encode()).hexdigest()
    for path in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
        raw = path.read_bytes()
        try:
            record = json.loads(raw)
            canonical = _canonical(record)
            named = f"{record['number']:0{_NUMBER_LETTERS}}.json"
            expected = (named, len(records) + 1, head, raw)
            if (path.name, record["number"], record["previous"], canonical) != expected:
                return records, f"{path.name} does not follow the record before it, or was edited"
            _ = record["received"], record["entry"]["at"], record["entry"]["kind"], record["entry"]["subject"]
        except (ValueError, KeyError, TypeError) as error:
            return records, f"{path.name} can't be read: {type(error).__name__} {error}"[:160]
        records.append(record)
        head = hashlib.sha256(raw).hexdigest()
    return records, ""


def _erased(records: list[dict[str, Any]]) -> set[str]:
    """Return who was erased while no legal hold stood against it, in the order in which it was ordered."""
    held: set[str] = set()
    gone: set[str] = set()
    for entry in sorted((one["entry"] for one in records), key=lambda one: (one["at"], one["kind"] != "legal-hold")):
        if entry["kind"] == "legal-hold":
            held.add(entry["subject"])
        elif entry["kind"] == "legal-hold-lifted":
            held.discard(entry["subject"])
        elif entry["kind"] == "erased" and entry["subject"] not in held:
            gone.add(entry["subject"])
    return gone


def _canonical(words: Any) -> bytes:
    return json.dumps(words, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def _digest(words: Any) -> str:
    return hashlib.sha256(_canonical(words)).hexdigest()


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise Unreadable(f"{path} can't be read: {error}") from error


SECTIONS = {"ledger": ledger}
