"""A world in which every action is known: it applies each effect once per key and counts how often it was asked.

By default an action brings its effect about and leaves no facts. ``finds`` gives what the action of a step finds, and
``behaves`` replaces what it does; both are named by step, because that is what a runbook's author knows.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import Effect
from ..plan.model import Plan, Step
from ..run.interpreter import Interpreter
from ..run.kit import Kit, Launch, in_thread
from ..run.model import Answer, Json, RunResult, Seen, StopOrder, Transition
from ..run.ports import Covered, NotCovered, NotSigned, Outcome, Registry, Signed, StandingOrders, StepContext
from ..run.rules import answer_statement
from ..run.stop import Stop
from .crash import CrashPoint, Power
from .journal import SimulatedJournal

Behaviour = Callable[[Json, StepContext], Outcome]


@dataclass(slots=True, kw_only=True)
class SimulatedClock:
    """Time that stands still unless it is moved."""

    seconds: float = 0.0
    began: dt.datetime = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

    def monotonic(self) -> float:
        """Seconds since the beginning."""
        return self.seconds

    def now(self) -> dt.datetime:
        """Aware UTC."""
        return self.began + dt.timedelta(seconds=self.seconds)

    def sleep(self, seconds: float) -> None:
        """Move on."""
        self.seconds += seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersFor:
    """Standing orders that cover everything that takes one, signed by the persons named; or nothing at all."""

    signers: tuple[str, ...] = ()

    def covering(self, plan: Plan, step: Step) -> Covered | NotCovered:
        """Cover the step if anybody signed."""
        if not self.signers:
            return NotCovered(reasons=(f"nobody signed a standing order for {step.name}",))
        return Covered(digest=plan.digest, signers=self.signers)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedApprovers:
    """Persons who sign by writing ``signed NAME``: each has the key of that name."""

    def signed(self, answer: Answer) -> Signed | NotSigned:
        """Take the word for a signature."""
        if answer.signature != sign_in_simulation(answer).signature:
            return NotSigned(reasons=(f"{answer.who} did not sign this",))
        return Signed(key=answer.who.strip().casefold())


def sign_in_simulation(answer: Answer) -> Answer:
    """Return the answer as the person it names would sign it."""
    seen = hashlib.sha256(answer_statement(answer)).hexdigest()
    return replace(answer, signature=f"signed {answer.who} {seen}")


@dataclass(slots=True, kw_only=True)
class SimulatedWorld:
    """What effects are in force, who asked for them, and what the probes say.

    ``impostors`` are hosts that answer as somebody else. ``blind`` names steps whose probe can't tell. ``crash`` ends
    the process once, at that point.
    """

    power: Power = field(default_factory=Power)
    finds: Mapping[str, Json] = field(default_factory=dict)
    behaves: Mapping[str, Behaviour] = field(default_factory=dict)
    blind: frozenset[str] = frozenset()
    impostors: frozenset[str] = frozenset()
    crash: CrashPoint | None = None
    effects: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def registry(self, plan: Plan) -> Registry:
        """Return every action and probe the plan names."""
        calls = [step.call for step in plan.steps] + [step.undo for step in plan.steps if step.undo]
        probes = [step.probe for step in plan.steps if step.probe]
        return Registry(
            actions={call.name: _SimulatedAction(self) for call in calls},
            probes={probe.name: _SimulatedProbe(self) for probe in probes},
            challenge=self.challenge,
        )

    def challenge(self, host: str, /) -> tuple[str, ...]:
        """Have a host say who it is."""
        self.power.must_be_on()
        return ("it is another machine",) if host in self.impostors else ()

    def bring_about(self, arguments: Json, *, key: str, context: StepContext) -> Outcome:
        """Apply an effect once per key, unless the process ends first."""
        self.power.must_be_on()
        with self._lock:
            self.asked.append(context.step)
        self._crash_if(context.step, "before")
        outcome = self.behaves.get(context.step, self._found)(arguments, context)
        with self._lock:
            new = key not in self.effects
            if new:
                self.effects.append(key)
        self._crash_if(context.step, "after")
        return Outcome(changed=new and outcome.changed, detail=outcome.detail)

    def look(self, *, key: str, context: StepContext) -> Seen:
        """Say whether the effect of that key is in force."""
        self.power.must_be_on()
        if context.step in self.blind:
            return Seen(effect=Effect.UNKNOWN)
        with self._lock:
            applied = key in self.effects
        detail = self.finds.get(context.step, {}) if applied else {}
        return Seen(effect=Effect.APPLIED if applied else Effect.NONE, detail=detail)

    def _found(self, _arguments: Json, context: StepContext) -> Outcome:
        return Outcome(changed=True, detail=self.finds.get(context.step, {}))

    def _crash_if(self, step: str, moment: str) -> None:
        if self.crash is not None and (self.crash.step, self.crash.moment) == (step, moment):
            self.crash = None
            self.power.fail()


@dataclass(frozen=True, slots=True)
class _SimulatedAction:
    world: SimulatedWorld

    def perform(self, arguments: Json, *, key: str, context: StepContext) -> Outcome:
        return self.world.bring_about(arguments, key=key, context=context)


@dataclass(frozen=True, slots=True)
class _SimulatedProbe:
    world: SimulatedWorld

    def look(self, arguments: Json, *, key: str, context: StepContext) -> Seen:
        del arguments
        return self.world.look(key=key, context=context)


@dataclass(slots=True, kw_only=True)
class SimulatedEngine:
    """One process after another, on one disk, in one world."""

    plan: Plan
    world: SimulatedWorld
    run: str = "000001-simulated"
    orders: StandingOrders = field(default_factory=lambda: OrdersFor(signers=("ana", "bo")))
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    launch: Launch = in_thread
    stop_order: StopOrder | None = None
    seen: list[Transition] = field(default_factory=list)
    journal: SimulatedJournal = field(init=False)

    def __post_init__(self) -> None:
        """Begin with an empty disk."""
        self.journal = SimulatedJournal(self.world.power)

    def kit(self) -> Kit:
        """Return what a process of this engine works with."""
        return Kit(
            journal=self.journal,
            registry=self.world.registry(self.plan),
            orders=self.orders,
            approvers=SimulatedApprovers(),
            clock=self.clock,
            files=Path(),
            launch=self.launch,
            stop_order=lambda: self.stop_order,
        )

    def drive(self, stop: Stop | None = None, *, observers: Sequence[Callable[[Transition], None]] = ()) -> RunResult:
        """Start a process and let it carry the run on.

        Raises:
            Crash: the process was killed at the world's crash point.
        """
        self.world.power.restore()
        kit = replace(self.kit(), observers=(self.seen.append, *observers))
        return Interpreter(plan=self.plan, run=self.run, kit=kit, stop=stop or Stop()).drive()


def nobody_pretends(_host: str, /) -> tuple[str, ...]:
    """Say of every host that it is itself: the challenge of a world in which that is not the question."""
    return ()


def at_once(_name: str, work: Callable[[], None]) -> None:
    """Do work in the thread that asks for it: one order of events, the same each time."""
    work()
