"""Asking again: seconds without an answer are no refusal.

A quorum that lost its leader elects another one; a database that was followed restarts to lead. Neither answers
meanwhile, and neither has said no.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ..errors import ActionError, ActionTimeout, Effect, MeasurementError, Unreachable

T = TypeVar("T")

ELECTED_WITHIN_S = 10.0
"""In that time a quorum that lost its leader has another one: ten of etcd's default elections."""

SILENCES = (Unreachable, ActionError, MeasurementError)
"""What says that nobody answered, or not with an answer. For questions, and effects that may be asked for twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """For how long to ask again, by whose clock. Times are in seconds."""

    monotonic: Callable[[], float]
    sleep: Callable[[float], None]

    def answered(self, ask: Callable[[], T], *, within: float, pause: float = 0.2) -> T:
        """Return the answer, asked for until there is one.

        Raises:
            SecondsiteError: what the last try said, when there was no answer in time.
        """
        deadline = self.monotonic() + within
        while True:
            try:
                return ask()
            except SILENCES:
                if self.monotonic() >= deadline:
                    raise
            self.sleep(pause)

    def until(self, is_so: Callable[[], bool], *, otherwise: str, within: float, pause: float) -> None:
        """Return when it is so; no answer is a no until then, and is told at the end.

        Raises:
            ActionTimeout: it was not so in time; ``otherwise`` says what that means.
        """
        deadline = self.monotonic() + within
        while True:
            why = ""
            try:
                if is_so():
                    return
            except SILENCES as silence:
                why = f"; at the end: {silence.what}"
            if self.monotonic() >= deadline:
                raise ActionTimeout(f"{otherwise}{why}")
            self.sleep(pause)

    def used(self, is_writable: Callable[[], bool], *, what: str, within: dt.timedelta) -> None:
        """Return when a write was accepted.

        Raises:
            ActionError: every write was refused in that time, as ``what`` says, or nobody answered.
        """
        seconds = within.total_seconds()
        try:
            self.until(is_writable, otherwise=f"{what}, for {seconds:g} s", within=seconds, pause=0.2)
        except ActionTimeout as refused:
            raise ActionError(refused.what, effect=Effect.NONE) from refused
