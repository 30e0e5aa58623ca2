"""Plans: what a runbook built for one estate and one stated direction. Frozen data with a digest."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Fencing(enum.Enum):
    """What is known about the old primary's ability to write (ADR 0005)."""

    CONFIRMED = "confirmed"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Intent(enum.Enum):
    """Why a plan moves workloads, or that it moves none."""

    PROVISION = "provision"
    FAILOVER = "failover"
    SWITCHOVER = "switchover"
    FAILBACK = "failback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One action or probe by name, with its arguments as plain JSON values."""

    name: str
    arguments: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """A precondition by name: ``on`` names the earlier steps whose results it reads."""

    name: str
    on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Consent needed before a step: how many distinct persons, and whether a standing order may give it."""

    persons: int
    standing_order: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step.

    ``probe`` tells after a crash whether the effect happened (None: a person is asked).
    ``repeatable`` says that performing it twice has the effect of once; only then may a resume perform it again.
    ``undo`` names what takes the effect back; None means irreversible, or that there is no effect at all.
    """

    name: str
    title: str
    call: Call
    hosts: tuple[str, ...]
    after: tuple[str, ...] = ()
    guards: tuple[Guard, ...] = ()
    gate: Gate | None = None
    probe: Call | None = None
    repeatable: bool = False
    reads_only: bool = False
    undo: Call | None = None
    timeout: dt.timedelta = dt.timedelta(seconds=60)
    by_hand: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would be done, completely. ``digest`` covers every field and the files the steps use (``pins``)."""

    runbook: str
    intent: Intent
    estate: str
    estate_digest: str
    origin: str | None
    target: str | None
    steps: tuple[Step, ...]
    pins: Mapping[str, str]
    digest: str
