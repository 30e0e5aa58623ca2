"""What probes see: nouns only."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass


class Answer(enum.Enum):
    """How one try of an address ended. A refusal or a reset is an answer."""

    OPEN = "open"
    REFUSED = "refused"
    SILENT = "silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One thing to try. Port 0 stands for an ICMP echo."""

    site: str
    address: str
    port: int
    every_s: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One try that ended: ``asked`` and ``t`` are seconds on the machine's monotonic clock."""

    t: float
    asked: float
    vantage: str
    site: str
    address: str
    port: int
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Streak:
    """What one vantage host knows of one address: since when it is silent, if it is, and how fresh that is."""

    site: str
    heard_at: float | None = None
    silent_since: float | None = None
    latest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteLoss:
    """Whether a site is lost; None is unknown, and ``reasons`` say why it isn't True."""

    lost: bool | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """What was heard of one address over ``flows`` new connections, listened to for at least ``listened_s``."""

    flows: int
    answers: int
    heard: tuple[str, ...]
    listened_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """One reading of a remote monotonic clock, and the local instants before and after it."""

    before: float
    remote: float
    after: float

    @property
    def fits(self) -> bool:
        """The remote instant lies between the local ones, as it must on one clock."""
        return self.before <= self.remote <= self.after

    @property
    def uncertainty_s(self) -> float:
        """How far two clocks could be apart without this reading telling."""
        return self.after - self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class HostClock:
    """What one host says of its kernel and its clock."""

    boot_id: str
    trips: tuple[Trip, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """Whether instants from several hosts are instants on one clock."""

    controller: str
    hosts: Mapping[str, HostClock]
