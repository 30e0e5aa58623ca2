"""What the run room needs from outside."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..plan.model import Plan, Step
from .model import Answer, Attempt, AttemptKey, Authorship, Json, Note, NoteKind, Seen, StepResult, Transition


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """What a remote command left: its exit code and its output, each cut at a stated size."""

    exit_code: int
    stdout: str
    stderr: str
    truncated: bool = False


class Hands(Protocol):
    """Remote commands over connections that stay open."""

    def open(self, hosts: Sequence[str]) -> Mapping[str, str]:
        """Connect to each host in parallel; return the reason for each one that can't be reached."""
        ...

    def run(
        self,
        host: str,
        argv: Sequence[str],
        *,
        timeout: dt.timedelta,
        stdin: str = "",
        accept: Sequence[int] = (0,),
        limit: int = 1 << 20,
    ) -> CommandResult:
        """Run one command.

        Raises:
            Unreachable: no connection could be made, so nothing was run.
            ActionTimeout: it was started and no answer came; the effect is unknown.
            ActionError: the exit code is not in ``accept``.
        """
        ...

    def stream(self, host: str, argv: Sequence[str], *, stdin: str, on_line: Callable[[str], None]) -> Stream:
        """Start a long command whose output lines are handed over as they come."""
        ...

    def arm(self, host: str, argv: Sequence[str]) -> None:
        """Start a command that does nothing before its input ends; the next ``run`` of the same command feeds it.

        Only for commands that have no effect without their input: an armed command may never be fed.

        Raises:
            Unreachable, ActionError: it could not be started; a later ``run`` starts it as ever.
        """
        ...


class Fence(Protocol):
    """One kind of keeping a site from writing (ADR 0005). What was done counts for nothing until it is read back.

    ``arguments`` are a step's: the site and the carrier, host or workload that is meant.
    """

    def close(self, arguments: Json) -> None:
        """Keep it from writing. Harmless when that is so already.

        Raises:
            ActionError, Unreachable, Refused: it could not be done; ``effect`` says what is known.
        """
        ...

    def open(self, arguments: Json) -> None:
        """Take that back. Harmless when nothing was done."""
        ...

    def read_back(self, arguments: Json) -> Json:
        """Return what is seen now, as the guard ``fencing-confirmed`` reads it; what is not known is said to be so."""
        ...

    def is_closed(self, arguments: Json) -> bool:
        """Say whether it is in force.

        Raises:
            ActionError, Unreachable, MeasurementError: that is not known.
        """
        ...

    def is_open(self, arguments: Json) -> bool:
        """Say whether nothing of it is in force; what is not known raises."""
        ...


class Inbox(Protocol):
    """Where the threads of actions and probes hand back what they found, for the one that drives the run."""

    def put(self, work: Callable[[], None], /) -> None:
        """Hand something back."""
        ...

    def get(self, *, timeout: float) -> Callable[[], None]:
        """Return what came first; raise ``queue.Empty`` after ``timeout`` seconds without anything."""
        ...

    def get_nowait(self) -> Callable[[], None]:
        """Return what came first, or raise ``queue.Empty``."""
        ...


class Stream(Protocol):
    """A remote command that is still running."""

    def stop(self) -> None:
        """End it and wait until its last line was handed over."""
        ...

    def alive(self) -> bool:
        """Say whether it is still running and connected."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an action did: whether anything changed, and the facts it found, as plain JSON values."""

    changed: bool
    detail: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext:
    """What an action or probe may want to know besides its arguments.

    ``files`` is the run's own copy of everything the plan pins; roles and templates are read from there.
    ``stopping`` says that somebody asked the run to stop; a long action may look at it between two effects.
    """

    run: str
    step: str
    attempt: int
    hosts: tuple[str, ...]
    timeout: dt.timedelta
    files: Path
    stopping: Callable[[], bool]


class Action(Protocol):
    """Changes the world, or reads facts for later steps."""

    def perform(self, arguments: Json, *, key: str, context: StepContext) -> Outcome:
        """Bring the effect ``key`` about, once, within ``context.timeout``.

        Raises:
            ActionError: it failed; ``effect`` says what is known.
            Unreachable: nothing was attempted.
            MeasurementError: nothing could be read.
        """
        ...


class Probe(Protocol):
    """Tells whether an effect is in force, and changes nothing."""

    def look(self, arguments: Json, *, key: str, context: StepContext) -> Seen:
        """Say what is seen: ``Effect.APPLIED``, ``Effect.NONE``, or ``Effect.UNKNOWN``; an error counts as unknown."""
        ...


class Challenge(Protocol):
    """Asks a host which machine it is and what its place is, over the hands that would change it."""

    def __call__(self, host: str, /) -> Sequence[str]:
        """Return every reason to doubt that this is the host that the estate means; none: it answered as itself.

        Raises:
            SecondsiteError: it could not be asked; that is a reason as well.
        """
        ...


class Readying(Protocol):
    """Does ahead what an action needs and what has no effect: connects, starts what waits for its input.

    It may be called for a step that never begins, and what it raises only means that the action will take longer.
    """

    def __call__(self, arguments: Json, /) -> None:
        """Get ready."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Every action and probe there is, by name, and how to get ready for those actions that can be got ready for.

    ``challenge`` asks hosts who they are before something is taken from them; without it nothing is.
    """

    actions: Mapping[str, Action]
    probes: Mapping[str, Probe]
    ready: Mapping[str, Readying] = field(default_factory=dict)
    challenge: Challenge | None = None


class Journal(Protocol):
    """The durable memory of runs. Keyed by run, step and attempt; never by the order of calls."""

    def attempt(self, key: AttemptKey, intent: Json, effect: Callable[[], StepResult]) -> StepResult:
        """Record the intent, bring the effect about, record its result; each durable before the next.

        Raises:
            JournalError: the store was lost or is full; what became of the effect is then not recorded.
        """
        ...

    def attempts(self, run: str) -> Sequence[Attempt]:
        """Return every attempt of a run."""
        ...

    def note(self, run: str, kind: NoteKind, name: str, body: Json) -> bool:
        """Record something once; return False if that kind and name was recorded before (it is left as it was)."""
        ...

    def notes(self, run: str, *, after: int = 0) -> Sequence[Note]:
        """Return what was recorded of a run after a number, by this or another process, in order."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """A standing order that covers a step: its digest and who signed it."""

    digest: str
    signers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotCovered:
    """Why no standing order covers a step."""

    reasons: tuple[str, ...]


class StandingOrders(Protocol):
    """Consent given beforehand."""

    def covering(self, plan: Plan, step: Step) -> Covered | NotCovered:
        """Return the order that covers this step of this plan now, or every reason why none does."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """An answer that its person signed. ``key`` tells keys apart by their bytes, whatever they are called."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSigned:
    """Why an answer's signature does not count."""

    reasons: tuple[str, ...]


class Approvers(Protocol):
    """The persons who may consent, and the keys they sign with."""

    def signed(self, answer: Answer) -> Signed | NotSigned:
        """Say with which key exactly this answer was signed by the person it names."""
        ...


class Authors(Protocol):
    """Who answers for runbooks, and the keys they sign with."""

    def answering_for(self, plan: Plan) -> Authorship:
        """Say who answers for exactly the version of its runbook that a plan was built by, or why nobody does."""
        ...


class Observer(Protocol):
    """Is told of every transition, in order, from one thread. What it raises stops the run where it is."""

    def __call__(self, transition: Transition, /) -> None:
        """Take note."""
        ...


class Clock(Protocol):
    """Time comes in here."""

    def monotonic(self) -> float:
        """Seconds on the machine's monotonic clock."""
        ...

    def now(self) -> dt.datetime:
        """Aware UTC."""
        ...
