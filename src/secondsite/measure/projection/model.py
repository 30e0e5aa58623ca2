"""What was measured of a restart, what production is declared to be, and what follows."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Driver(enum.Enum):
    """What makes a phase take longer. ``NOTHING``: it takes as long whatever there is."""

    BYTES = "bytes"
    FILES = "files"
    HOSTS = "hosts"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One measured passage through a phase: how much there was of its driver, and how many seconds it took."""

    amount: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One phase of a restart, as measured. It begins when all of ``after`` have ended.

    ``resources`` name the declared rates that it can't beat in production, in amounts of its driver per second; phases
    that name the same share it. ``is_proportional``: measured at one size, and scaled as if nothing in it were fixed.
    """

    name: str
    driver: Driver
    points: tuple[Point, ...]
    after: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    is_proportional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Something that takes time and can't be measured in a lab: people, procurement, travel. An assumption.

    ``at_most_s`` is what is believed to be exceeded once in twenty times at the most. ``source`` says whose word it is.
    """

    name: str
    expected_s: float
    at_most_s: float
    source: str
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What production is declared to be.

    ``amounts`` is by phase, in the unit of its driver; ``rates`` by resource, in such units per second. ``sources``
    says by the name of a phase or resource whose word its number is.
    """

    amounts: Mapping[str, float]
    rates: Mapping[str, float]
    waits: tuple[Wait, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Seconds as a straight line in the amount. ``error`` is the standard error of the residuals, in seconds."""

    at_nothing: float
    slope: float
    error: float
    number: int
    mean: float
    spread: float

    @property
    def freedom(self) -> int:
        """Return the degrees of freedom of the residuals."""
        return self.number - 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Projected:
    """One phase or wait in production. ``starts_s`` and ``ends_s`` are the expected ones.

    ``scaled`` says how; ``rests_on`` names the assumptions. ``is_extrapolated``: production is further from anything
    measured than the factor that is stated.
    """

    name: str
    measured_s: float | None
    amount: float | None
    expected_s: float
    upper_95_s: float
    starts_s: float
    ends_s: float
    scaled: str
    rests_on: tuple[str, ...]
    is_extrapolated: bool = False
    is_critical: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change, and what the upper bound of the whole would be with it, in seconds."""

    what: str
    upper_95_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """The whole. With anything in ``missing`` there are no numbers, and the drill that asked is inconclusive."""

    target_s: float
    expected_s: float | None
    upper_95_s: float | None
    phases: tuple[Projected, ...]
    assumptions: tuple[str, ...]
    missing: tuple[str, ...]
    buys_most: Change | None = None

    @property
    def is_extrapolated(self) -> bool:
        """Say whether any phase is."""
        return any(phase.is_extrapolated for phase in self.phases)

    @property
    def margin_s(self) -> float | None:
        """Return what the target leaves over at the upper bound; less than nothing when it is missed."""
        return None if self.upper_95_s is None else self.target_s - self.upper_95_s
