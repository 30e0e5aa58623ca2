"""Whom the processors serve first on a machine that is both the controller and every host of a lab."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

_GROUP = Path("/proc/self/autogroup")
_FIRST = -10


@contextlib.contextmanager
def served_first(group: Path = _GROUP) -> Iterator[None]:
    """Have this process's session served before others, for as long as this is entered.

    Where the kernel weighs sessions as groups (sched(7), "The autogroup feature"), each connection to each host of a
    lab counts as much as the controller that waits for them all. On hosts of their own there is nothing to share.
    A kernel without the feature, or one that refuses, changes nothing.
    """
    before = _niceness(group)
    _set(group, None if before is None else _FIRST)
    try:
        yield
    finally:
        _set(group, 0 if before == _FIRST else before)  # another command of this session set that, and may end first


def _niceness(group: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(group.read_text(encoding="ascii").split()[-1])
    return None


def _set(group: Path, niceness: int | None) -> None:
    if niceness is not None:
        with contextlib.suppress(OSError):
            group.write_text(str(niceness), encoding="ascii")
