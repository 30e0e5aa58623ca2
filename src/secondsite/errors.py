"""Every error this package raises, and the exit code each one ends the command with.

* SecondsiteError       1  our bug, unless a subclass says otherwise
  + UsageError          2  a wrong word on the command line, or something the machine lacks; nothing attempted
  + ConfigError         2  the input files are wrong; nothing attempted
  + Refused             5  a rule or a person said no; nothing attempted
  + Unreachable         4  hosts did not answer, nothing decided
  + LockHeld            6  another run holds the lock
  + ActionError         3  something was attempted; ``effect`` says what is known
    - ActionTimeout     3  no answer in time, so the effect is unknown
  + LeftOff           130  an action gave up waiting because its run is stopping; it is done again on resume
  + MeasurementError    8  a probe could not measure; never a number, never a pass
  + JournalError       75  the engine's own store was lost or full
    - JournalDamaged   75  the store's file is damaged; what the runs did stands in their records
    - StepMismatch      2  the plan is not the one the run was begun with
  + EvidenceError       7  the digest or a signature does not verify
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass


class Effect(enum.Enum):
    """What is known about the world after an attempt."""

    NONE = "none"
    APPLIED = "applied"
    UNKNOWN = "unknown"


class SecondsiteError(Exception):
    """Base of all errors in this package.

    Args:
        what: What happened, and where.
        not_done: What was therefore not done.
        next_step: The next command or deed for the person reading.
    """

    exit_code = 1

    def __init__(self, what: str, *, not_done: str = "", next_step: str = "") -> None:
        """Keep the three parts apart so that the terminal and ``--json`` can each show them."""
        super().__init__(what)
        self.what = what
        self.not_done = not_done
        self.next_step = next_step


class UsageError(SecondsiteError):
    """A word on the command line is wrong, or the machine lacks something."""

    exit_code = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong in one input file."""

    file: str
    line: int | None
    pointer: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        """Read as ``file:line: pointer: what (hint)``."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}: {self.pointer or '/'}: {self.what}{hint}"


class ConfigError(SecondsiteError):
    """Input files are wrong; every problem found is listed."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem], *, not_done: str = "nothing was attempted") -> None:
        """Say all problems at once, a line each."""
        super().__init__("\n".join(str(problem) for problem in problems), not_done=not_done)
        self.problems = tuple(problems)


class Refused(SecondsiteError):  # noqa: N818  a verdict, not a malfunction
    """A rule, or a person, forbids going on."""

    exit_code = 5

    def __init__(self, *reasons: str, next_step: str = "") -> None:
        """Keep every reason."""
        super().__init__("; ".join(reasons), not_done="nothing was attempted", next_step=next_step)
        self.reasons = reasons


class Unreachable(SecondsiteError):  # noqa: N818  what was observed
    """Hosts did not answer; nothing was decided."""

    exit_code = 4


class LockHeld(SecondsiteError):  # noqa: N818  what was observed
    """Another run holds the lock; ``what`` names its holder."""

    exit_code = 6


class ActionError(SecondsiteError):
    """An attempt to change the world failed."""

    exit_code = 3

    def __init__(self, what: str, *, effect: Effect, retryable: bool = False, next_step: str = "") -> None:
        """Carry what is known of the effect."""
        super().__init__(what, next_step=next_step)
        self.effect = effect
        self.retryable = retryable


class ActionTimeout(ActionError):  # noqa: N818  what was observed
    """No answer came in time, so the effect is unknown."""

    def __init__(self, what: str, *, next_step: str = "") -> None:
        """A time-out never claims that nothing happened."""
        super().__init__(what, effect=Effect.UNKNOWN, retryable=False, next_step=next_step)


class LeftOff(SecondsiteError):  # noqa: N818  what was observed
    """An action that only waited gave up because its run is stopping; nothing was brought about."""

    exit_code = 130


class MeasurementError(SecondsiteError):
    """A probe could not measure."""

    exit_code = 8


class JournalError(SecondsiteError):
    """The engine's own store was lost or is full; resume after repair."""

    exit_code = 75


class JournalDamaged(JournalError):  # noqa: N818  what was observed
    """The engine's own store is damaged; what the runs did stands in their records."""


class StepMismatch(JournalError):  # noqa: N818  what was observed
    """The journal was begun with another plan."""

    exit_code = 2


class EvidenceError(SecondsiteError):
    """A digest or a signature does not verify."""

    exit_code = 7
