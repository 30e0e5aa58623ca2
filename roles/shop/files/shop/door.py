"""Whether this web host serves customers: one word in one file that survives a power cut."""

from __future__ import annotations

import enum
import os
from pathlib import Path


class Door(enum.Enum):
    """What the file says. Never set, or unreadable words, is not open."""

    OPEN = "open"
    CLOSED = "closed"
    NEVER_SET = "never-set"


def read(path: Path) -> Door:
    """Return what was last set. A word nobody wrote counts as closed."""
    try:
        word = path.read_text().strip()
    except FileNotFoundError:
        return Door.NEVER_SET
    return Door.OPEN if word == Door.OPEN.value else Door.CLOSED


def write(path: Path, door: Door) -> None:
    """Set it, whole or not at all, and on disk when this returns."""
    partial = path.with_suffix(".new")
    with partial.open("w") as file:
        file.write(f"{door.value}\n")
        file.flush()
        os.fsync(file.fileno())
    partial.chmod(0o644)
    partial.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
