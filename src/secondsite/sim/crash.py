"""Ends of the simulated process."""

from __future__ import annotations

import threading
from dataclasses import dataclass


class Crash(BaseException):
    """The process was killed: nothing in it may catch this and go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashPoint:
    """Where the process ends: ``before`` or ``after`` the effect of a step."""

    step: str
    moment: str

    def __post_init__(self) -> None:
        """Refuse a moment that never comes."""
        if self.moment not in ("before", "after"):
            raise ValueError(f"a crash comes before or after an effect, not {self.moment!r}")


class Power:
    """Of the machine the process runs on. Once off, every write of that process fails."""

    def __init__(self) -> None:
        """Begin switched on."""
        self._off = threading.Event()

    def fail(self) -> None:
        """Kill the process.

        Raises:
            Crash: always.
        """
        self._off.set()
        raise Crash

    def restore(self) -> None:
        """Begin a new process on the same disk."""
        self._off.clear()

    def must_be_on(self) -> None:
        """Pass only while the process lives.

        Raises:
            Crash: it was killed.
        """
        if self._off.is_set():
            raise Crash
