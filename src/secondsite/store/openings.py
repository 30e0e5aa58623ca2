"""Who opened escrow, when, what for and with what: one line of JSON for each time, never rewritten."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import JournalError
from .standby import OPENINGS


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """One time that escrow was opened. ``manifest`` is the digest of what was opened, ``source`` where it came from."""

    at: str
    purpose: str
    holders: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    manifest: str
    source: str
    opened: tuple[str, ...]

    def document(self) -> Mapping[str, object]:
        """Return it as plain JSON values."""
        plain: dict[str, object] = json.loads(json.dumps(asdict(self)))
        return plain


def note(state: Path, opening: Opening) -> None:
    """Add one to those that were noted; it is on disk when this returns.

    Raises:
        JournalError: it can't be written.
    """
    line = json.dumps(opening.document(), sort_keys=True).encode() + b"\n"
    try:
        descriptor = os.open(state / OPENINGS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(line)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise JournalError(f"{state / OPENINGS} can't be written: {error.strerror}") from error


def noted(state: Path) -> Sequence[Opening]:
    """Return every time that escrow was opened, the newest last.

    Raises:
        JournalError: what is noted can't be read.
    """
    path = state / OPENINGS
    if not path.exists():
        return ()
    try:
        return tuple(_read(line) for line in path.read_text(encoding="utf-8").splitlines() if line)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JournalError(
            f"{path} can't be read: {error}", next_step="move it away; then: secondsite escrow test"
        ) from error


def _read(line: str) -> Opening:
    told = json.loads(line)
    return Opening(
        at=str(told["at"]),
        purpose=str(told["purpose"]),
        holders=tuple(str(name) for name in told["holders"]),
        pairs=tuple((str(first), str(second)) for first, second in told["pairs"]),
        manifest=str(told["manifest"]),
        source=str(told["source"]),
        opened=tuple(str(name) for name in told["opened"]),
    )
