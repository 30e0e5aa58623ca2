"""Runs: what was recorded of a plan's execution, and what that means."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import Effect

ENGINE_VERSION = "1"
"""Changes whenever a run begun by older code could not be continued by newer code."""

Json = Mapping[str, object]


class StepState(enum.Enum):
    """Where a step stands."""

    PLANNED = "planned"
    WAITING = "waiting"
    REFUSED = "refused"
    INTENDED = "intended"
    IN_DOUBT = "in-doubt"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    VERIFIED = "verified"
    NOT_VERIFIED = "not-verified"

    @property
    def ended_badly(self) -> bool:
        """Nothing that depends on it may start, and it is not attempted again."""
        return self in {StepState.REFUSED, StepState.FAILED, StepState.UNKNOWN, StepState.NOT_VERIFIED}


class RunState(enum.Enum):
    """How a run ended, or that it has not."""

    OPEN = "open"
    INTERRUPTED = "interrupted"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptKey:
    """One try of one step of one run; ``effect`` is what actions receive and is the same for every try."""

    run: str
    step: str
    attempt: int

    @property
    def id(self) -> str:
        """Its name in the journal."""
        return f"{self.run}/{self.step}#{self.attempt}"

    @property
    def effect(self) -> str:
        """The key that means: this effect, once."""
        return f"{self.run}/{self.step}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What an attempt came to, as recorded. ``exit_code`` is what the command ends with if this step fails the run."""

    state: StepState
    changed: bool = False
    detail: Json = field(default_factory=dict)
    error: str = ""
    exit_code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An attempt in the journal. Without a result it was intended; what became of it the journal does not know."""

    key: AttemptKey
    intent: Json
    result: StepResult | None


class NoteKind(enum.Enum):
    """What else a journal holds; each kind and name is written once per run."""

    BEGUN = "begun"
    GATE_OPENED = "gate-opened"
    GATE_CLOSED = "gate-closed"
    ANSWER = "answer"
    REFUSED = "refused"
    SETTLED = "settled"
    VERIFIED = "verified"
    INTERRUPTED = "interrupted"
    RESUMED = "resumed"
    ABORT = "abort"
    TAKEN_OVER = "taken-over"
    ENDED = "ended"
    OVERRIDE = "override"
    TAKEN_BACK = "taken-back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One thing recorded about a run. ``number`` grows with every note of the journal."""

    run: str
    kind: NoteKind
    name: str
    body: Json
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A named person's word on one gate of one run of one plan, for the hosts named in ``targets``, until ``expires``.

    ``signature`` is over all the rest, in OpenSSH's format (PROTOCOL.sshsig). Instants are ISO 8601 with an offset.
    ``reason`` may be given by anybody; who breaks the glass has to.
    """

    run: str
    gate: str
    plan_digest: str
    targets: tuple[str, ...]
    who: str
    granted: bool
    at: str
    expires: str
    signature: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardAnswer:
    """An answer whose signature was checked, and which key it was made with."""

    answer: Answer
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """How a gate closed: who said what, under which standing order, and how long the run waited."""

    granted: bool
    by: tuple[str, ...]
    standing_order: str = ""
    waited_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """What the journal says of one step."""

    state: StepState = StepState.PLANNED
    attempts: int = 0
    result: StepResult | None = None
    reasons: tuple[str, ...] = ()
    consent: Consent | None = None
    settled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A step came into another state at an instant on the monotonic clock."""

    t: float
    run: str
    step: str
    state: StepState
    attempt: int
    detail: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StopOrder:
    """Nothing may be started on this estate: who said so, why, and since when, as far as that can be read."""

    where: str
    who: str = ""
    reason: str = ""
    since: str = ""

    def __str__(self) -> str:
        """Say it in one line; an order that says nothing stops all the same."""
        who = self.who or "somebody"
        since = f" since {self.since}" if self.since else ""
        return (
            f"{who} stopped everything on this estate{since}: {self.reason or 'no reason can be read'} ({self.where})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Interruption:
    """The engine ended under a run: by a person's or signal's order if it ``was_asked``, else without a word.

    ``last_heard`` is the last instant it wrote down; ``resumed_at`` is empty until the run goes on; ``in_doubt`` names
    the steps whose result was not recorded. Instants are ISO 8601 with an offset.
    """

    was_asked: bool
    last_heard: str
    resumed_at: str
    in_doubt: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorship:
    """Who answers for a version of a runbook, by a signature that was checked; or ``why`` nobody does.

    ``version`` is what ``evidence.roles.runbook_version`` makes of what the plan pins, ``key`` a fingerprint.
    """

    runbook: str
    version: str
    name: str = ""
    key: str = ""
    at: str = ""
    signature: str = ""
    why: str = ""

    @property
    def is_signed(self) -> bool:
        """Somebody answers for it."""
        return bool(self.name and self.key and self.signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """Who began a run and who resumed it, and who answers for its runbook; None where that was not recorded."""

    by: tuple[str, ...] = ()
    authorship: Authorship | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a run came out, and the exit code it ends the command with.

    ``stopped_by`` is the order that halted it; ``remarks`` say what persons let pass that rules would have refused.
    """

    run: str
    state: RunState
    exit_code: int
    steps: Mapping[str, StepRecord]
    reasons: Sequence[str] = ()
    stopped_by: StopOrder | None = None
    remarks: Sequence[str] = ()
    interruptions: Sequence[Interruption] = ()
    beginning: Beginning = Beginning()

    @property
    def facts(self) -> Mapping[str, Json]:
        """What each step that came out well found."""
        return {name: record.result.detail for name, record in self.steps.items() if record.result is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBack:
    """What became of what an aborted run had done. ``kept`` and ``failed`` say why; ``state`` is how the run stands."""

    state: RunState
    undone: Sequence[str] = ()
    failed: Json = field(default_factory=dict)
    kept: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a probe saw of one effect."""

    effect: Effect
    detail: Json = field(default_factory=dict)
