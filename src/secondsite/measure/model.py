"""What a drill recorded, and what is made of it: nouns only.

Instants are seconds on one monotonic clock (ADR 0004). ``None`` means *not measured*, never zero.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NewType

from ..errors import Problem
from .projection.model import Profile, Projection

Instant = NewType("Instant", float)


class Kind(enum.Enum):
    """What a customer's request does."""

    READ = "read"
    WRITE = "write"


class Arm(enum.Enum):
    """Main: what is judged. Control: the asynchronous arm whose loss must be seen.

    Marker: a workload that customers do not write to; markers planted in it during the drill stand for its writes.
    """

    MAIN = "main"
    CONTROL = "control"
    MARKER = "marker"


class Outcome(enum.Enum):
    """What the customer was told."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Writability(enum.Enum):
    """What a poll of one node for one workload found."""

    WRITABLE = "writable"
    READ_ONLY = "read-only"
    DOWN = "down"
    UNREACHABLE = "unreachable"


class StepOutcome(enum.Enum):
    """How a step ended."""

    DONE = "done"
    VERIFIED = "verified"
    FAILED = "failed"
    UNKNOWN = "unknown"
    REFUSED = "refused"
    SKIPPED = "skipped"
    NEVER_EXECUTED = "never-executed"


class CheckState(enum.Enum):
    """What a check of the estate found."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Phase(enum.Enum):
    """Whether the steady state was looked at before the fault or after the return."""

    BEFORE = "before"
    AFTER = "after"


class Status(enum.Enum):
    """A conclusion on one objective or rule (OSCAL's two words, and ours for "nobody measured it")."""

    SATISFIED = "satisfied"
    NOT_SATISFIED = "not-satisfied"
    NOT_MEASURED = "not-measured"


class Verdict(enum.Enum):
    """The word for the whole drill."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request of a customer: due at ``t0``, answered or given up at ``t1``, tagged with who served it."""

    t0: Instant
    t1: Instant
    kind: Kind
    arm: Arm
    id: str
    outcome: Outcome
    web: str | None
    db: str | None
    address: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """One planted write: due at ``t0``, answered or given up at ``t1`` by ``node``."""

    t0: Instant
    t1: Instant
    workload: str
    id: str
    outcome: Outcome
    node: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkersKept:
    """The one final read of one workload's markers on its single writer."""

    workload: str
    node: str
    read_at: Instant
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WritabilitySample:
    """One poll of one node: what it found was so at some instant from ``began`` to ``t``.

    ``standby_since``: a read-only node's answer that it has been a standby, without a break, since this instant.
    """

    began: Instant
    t: Instant
    node: str
    workload: str
    state: Writability
    standby_since: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened once, in the past tense."""

    t: Instant
    event: str
    step: str | None
    detail: Mapping[str, object]
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalRead:
    """The one final read of one arm on the single writer: every row found, duplicates included."""

    arm: Arm
    node: str
    read_at: Instant
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """One attempt of one step; ``t0`` and ``t1`` are None for what never ran."""

    step: str
    title: str
    hosts: tuple[str, ...]
    attempt: int
    t0: Instant | None
    t1: Instant | None
    outcome: StepOutcome
    after: tuple[str, ...] = ()
    runbook: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try to destroy what is kept of a producer, with its own credentials; ``refused`` None: it was not tried."""

    t: Instant
    producer: str
    place: str
    refused: bool | None
    saw: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore:
    """One passage through a phase of a restart: how much there was, from when to when, and how that was verified.

    ``is_trial``: into an isolated place, at a size of its own, to project from.
    """

    t0: Instant
    t1: Instant
    store: str
    phase: str
    source: str
    amounts: Mapping[str, int]
    until: str
    verified_by: str
    is_trial: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SteadyCheck:
    """One check of the steady state."""

    t: Instant
    phase: Phase
    check: str
    state: CheckState
    saw: str
    expected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """What was heard from the cut hosts in a window after the cut, from outside."""

    hosts: tuple[str, ...]
    watched_from: Instant
    watched_until: Instant
    packets_heard: int
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """Which kernel's clock each recorder read; equal boot ids are one clock."""

    clock: str
    controller: str
    hosts: Mapping[str, str]
    uncertainty: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """One gate that was asked and answered."""

    gate: str
    by: str
    persons: tuple[str, ...]
    asked: Instant
    answered: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Approvals:
    """The standing order in force, if any, and every gate that was answered."""

    standing_order: Mapping[str, object] | None
    consents: tuple[Consent, ...]


AT_THE_END, WHILE_PROMOTING, ONCE_PROMOTED, A_DAY_LATER = (
    "at-the-end",
    "while-promoting",
    "once-promoted",
    "a-day-later",
)
"""When the power of a lost origin comes back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromisedWorkload:
    """One workload's objectives, pinned before the start. ``rpo`` None: loss of this one is not judged."""

    name: str
    arm: Arm
    rto: float
    rpo: float | None
    mtpd: float
    writers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLevel:
    """When service counts: at least ``ratio`` of requests good, each within ``latency``, for ``sustained`` seconds.

    ``sustained_after_return`` is the same period for the home site after a failback, ``served_before`` the one
    immediately before the fault, in seconds; None is everything before it.
    """

    ratio: float
    latency: float
    sustained: int
    sustained_after_return: int
    served_before: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Promised:
    """What the drill set out to show, pinned before the start. ``shown`` holds what only reports print.

    ``endured``: the origin is lost, nothing fails over, and the target must serve again within ``resumes_within``
    seconds of the fault; of its end, where ``writers_may_stop`` while it lasts. ``refused``: the failover must be
    refused, and the origin serves again. ``comes_back`` says when a lost origin's power comes back.

    ``begins_anew``: both live copies are lost, and the target serves with what ``stores`` name, restored from the
    vault, after what ``producers`` sent there withstood them. ``production`` is what the restart is projected to,
    within ``production_target`` seconds. ``erases``: customers are erased before the loss, and may not come back.
    """

    drill: str
    scenario: str
    estate: str
    anchored: bool
    origin: str
    target: str
    fault_hosts: tuple[str, ...]
    returns: bool
    nodes: Mapping[str, str]
    workloads: tuple[PromisedWorkload, ...]
    service_level: ServiceLevel
    endured: bool = False
    resumes_within: float | None = None
    writers_may_stop: bool = False
    refused: bool = False
    comes_back: str = AT_THE_END
    begins_anew: bool = False
    stores: tuple[str, ...] = ()
    producers: tuple[str, ...] = ()
    erases: bool = False
    production: Profile | None = None
    production_target: float | None = None
    shown: Mapping[str, object] = field(default_factory=dict)

    @property
    def fails_over(self) -> bool:
        """Whether the target is to become the one that serves."""
        return not self.endured and not self.refused

    @property
    def serves_at(self) -> str:
        """The site that must serve customers after the fault."""
        return self.origin if self.refused else self.target

    def arm_writers(self, arm: Arm) -> tuple[PromisedWorkload, ...]:
        """Return the workloads of an arm that have a database of their own."""
        return tuple(workload for workload in self.workloads if workload.arm is arm and workload.writers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """Everything one drill recorded. None stands for a file that is missing or can't be read."""

    requests: tuple[Request, ...] | None
    writability: tuple[WritabilitySample, ...] | None
    events: tuple[Event, ...] | None
    final: tuple[FinalRead, ...] | None
    steps: tuple[StepRecord, ...] | None
    steady: tuple[SteadyCheck, ...] | None
    promised: Promised | None
    promised_sha256: str | None
    silence: Silence | None
    clocks: Clocks | None
    limitations: tuple[str, ...] | None
    approvals: Approvals | None
    problems: tuple[Problem, ...]
    markers: tuple[Marker, ...] | None = ()
    kept: tuple[MarkersKept, ...] | None = ()
    restores: tuple[Restore, ...] | None = ()
    attempts: tuple[Attempt, ...] | None = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Writes:
    """Counts of distinct writes of the judged arm (see ``writes.count``)."""

    acknowledged: int | None
    lost: int | None
    unknown: int | None
    recovered: int | None
    duplicated: int | None
    phantom: int | None
    unexplained: int | None
    control_acknowledged: int | None
    control_lost: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaps:
    """The longest stretches without any success, in seconds, as customers saw them."""

    client: float | None
    read: float | None
    write: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Where the time went, in seconds."""

    fault_to_detected: float | None
    detected_to_declared: float | None
    declared_to_approved: float | None
    approved_to_writable: float | None
    approved_to_restored: float | None
    fault_to_restored: float | None
    waited_on_people: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveResult:
    """One workload measured against what was promised for it; ``doubt`` says why its loss can't be judged, if so."""

    workload: str
    arm: Arm
    rto: float
    rta: float | None
    rpo: float | None
    rpa: float | None
    rto_status: Status
    rpo_status: Status
    finding: Status
    doubt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkerCounts:
    """Counts of one workload's distinct markers; None: not measured."""

    workload: str
    acknowledged: int | None
    lost: int | None
    unknown: int | None
    unexplained: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResult:
    """One rule of the verdict, applied."""

    id: str
    claim: str
    status: Status
    saw: str
    expected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillResult:
    """Everything recomputed from the records of one drill."""

    drill: str
    scenario: str
    estate: str
    anchored: bool
    verdict: Verdict
    objectives: tuple[ObjectiveResult, ...]
    writes: Writes
    requests_total: int | None
    requests_failed: int | None
    times: Times
    gaps: Gaps
    return_gaps: Gaps
    fault_proven: bool | None
    fencing: str
    max_writers: int | None
    cleanup: str | None
    limitations: tuple[str, ...]
    rules: tuple[RuleResult, ...]
    problems: tuple[Problem, ...]
    markers: tuple[MarkerCounts, ...] = ()
    projection: Projection | None = None
    restored: tuple[Restore, ...] = ()
