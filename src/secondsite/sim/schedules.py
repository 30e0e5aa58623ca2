"""Schedules of a disaster: one run, one seed, and everything that may go wrong while it is carried out.

The controller is killed at any moment, its disk is full, it is told to stop; hosts can't be reached, answers are lost
before or after the effect; persons take their time, answer twice, or say no. The interpreter and its rules are the real
ones; what they act on is simulated, and counts what it was really asked to do. Whatever happened, the rules of
``broken_rules`` hold at the end.
"""

from __future__ import annotations

import hashlib
import random  # noqa: TID251  each is seeded
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ActionError, ActionTimeout, Effect, JournalError, Refused, Unreachable
from ..plan.builder import call, gate, guard
from ..plan.model import Plan, Step
from ..run.kit import Kit
from ..run.model import AttemptKey, Json, NoteKind, RunState, Seen, StepRecord, StepResult, StepState, Transition
from ..run.perform import store_lost
from ..run.ports import Outcome, Registry, StepContext
from ..run.rules import fold, interruptions, run_state, step_of_gate
from ..run.service import abort_run, answer_for, answer_gate, open_gates, resume_run, start_run
from ..run.stop import Stop
from .crash import Crash, Power
from .facts import favourable_facts
from .journal import SimulatedJournal
from .plans import example_plan
from .turns import Turns, TurnsInbox
from .world import OrdersFor, SimulatedApprovers, SimulatedClock, nobody_pretends, sign_in_simulation

RUN = "000001-simulated"
GATED = ("gated", "ordered")
PERSONS = ("ana", "bo", "cy")
_FOLLOWS = 0.35  # how likely a step follows each one before it
_ANSWERS = 0.5  # how likely somebody says something while a gate is open
_LIVES = 60
_PATIENCE = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Odds:
    """How likely each thing is: of one moment, one attempt, or one look at what persons do."""

    killed: float = 0.04
    kills: int = 4
    disk_full: float = 0.004
    told_to_stop: float = 0.03
    unreachable: float = 0.015
    refused_by_host: float = 0.01
    answer_lost: float = 0.04
    probe_blind: float = 0.1
    says_no: float = 0.02
    aborts: float = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What became of one schedule. ``broken`` says which rules did not hold, and is empty if all is well."""

    seed: int
    state: RunState
    killed: int
    resumed: int
    repeated: int
    lost: int
    broken: tuple[str, ...]
    trace: str


def live_through(seed: int, *, plans: Sequence[Plan] = (), odds: Odds | None = None) -> Told:
    """Carry one run through the schedule of this seed: one of ``plans``, or a plan that chance makes."""
    chance = random.Random(seed)  # noqa: S311  a schedule, not a secret
    plan = chance.choice([*plans, None]) if plans else None
    disaster = Disaster(plan=plan or chance_plan(chance), chance=chance, odds=odds or Odds())
    disaster.unfold()
    return disaster.told(seed)


def chance_plan(chance: random.Random) -> Plan:
    """Return a plan of two to eight steps, with branches, gates, readings, and steps that nobody can look at."""
    steps: list[Step] = []
    for number in range(chance.randint(2, 8)):
        after = tuple(one.name for one in steps if chance.random() < _FOLLOWS)
        steps.append(_chance_step(chance, f"s{number}", after, steps))
    return example_plan(*steps)


def _chance_step(chance: random.Random, name: str, after: tuple[str, ...], earlier: Sequence[Step]) -> Step:
    kind = chance.choice(["probed", "verified", "gated", "ordered", "asked", "repeatable", "reading", "guarded"])
    readings = [one.name for one in earlier if one.reads_only]
    relies = chance.choice(readings) if kind == "guarded" and readings else None
    return Step(
        name=name,
        title=name,
        call=call("act"),
        hosts=(),
        after=tuple(dict.fromkeys((*after, relies))) if relies else after,
        guards=(guard("found-ok", on=(relies,)),) if relies else (),
        gate=gate(persons=chance.randint(1, 2), standing_order=kind == "ordered") if kind in GATED else None,
        probe=None if kind in ("asked", "reading") else call("look"),
        repeatable=kind == "repeatable",
        reads_only=kind == "reading",
        verify=kind == "verified",
    )


class Machine:
    """What the controller runs on. It can be killed at any of its moments, and its disk can be full."""

    def __init__(self, chance: random.Random, odds: Odds) -> None:
        """Begin switched on."""
        self.power = Power()
        self.chance, self.odds = chance, odds
        self.turns = Turns(chance)
        self.kills_left = chance.randint(0, odds.kills)
        self.killed = 0

    def moment(self) -> None:
        """Let others go on, and perhaps be killed.

        Raises:
            Crash: this process was killed, now or while others went on.
        """
        self.power.must_be_on()
        if self.kills_left and self.chance.random() < self.odds.killed:
            self.kills_left -= 1
            self.killed += 1
            self.power.fail()
        self.turns.give_way()
        self.power.must_be_on()

    def write(self) -> None:
        """Pass unless the disk is full.

        Raises:
            JournalError: it is.
            Crash: the process was killed.
        """
        self.moment()
        if self.chance.random() < self.odds.disk_full:
            raise store_lost(OSError(28, "no space left on device"))

    def end(self) -> None:
        """End the process and every thread of it."""
        try:
            self.power.fail()
        except Crash:
            self.turns.let_all_end()


class DisasterJournal(SimulatedJournal):
    """A journal on a machine that can end between any two of its writes."""

    def __init__(self, machine: Machine) -> None:
        """Begin empty."""
        super().__init__(machine.power)
        self._machine = machine

    def attempt(self, key: AttemptKey, intent: Json, effect: Callable[[], StepResult]) -> StepResult:
        """Record the intent, bring the effect about, record its result."""

        def lived() -> StepResult:
            self._machine.moment()
            result = effect()
            self._machine.write()
            return result

        self._machine.write()
        result = super().attempt(key, intent, lived)
        self._machine.moment()
        return result

    def note(self, run: str, kind: NoteKind, name: str, body: Json) -> bool:
        """Record something once."""
        self._machine.write()
        is_new = super().note(run, kind, name, body)
        self._machine.moment()
        return is_new


@dataclass(slots=True, kw_only=True)
class Disaster:
    """One run and all that happens to it. ``applied`` counts effects as the world felt them, by step."""

    plan: Plan
    chance: random.Random
    odds: Odds
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    applied: Counter[str] = field(default_factory=Counter)
    read_in_life: dict[str, int] = field(default_factory=dict)
    granted: dict[str, set[str]] = field(default_factory=dict)
    seen: list[Transition] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    lives: int = 0
    repeated: int = 0
    excused: bool = False
    state: RunState = RunState.OPEN
    machine: Machine = field(init=False)
    journal: DisasterJournal = field(init=False)
    _steps: Mapping[str, Step] = field(init=False)
    _finds: Mapping[str, Json] = field(init=False)
    _waited: int = 0
    _told_before: int = -1
    _stop: Stop = field(default_factory=Stop)

    def __post_init__(self) -> None:
        """Begin with an empty disk, in a world in which nothing has happened yet."""
        self.machine = Machine(self.chance, self.odds)
        self.journal = DisasterJournal(self.machine)
        self._steps = {step.name: step for step in self.plan.steps}
        self._finds = favourable_facts(self.plan)

    # --- lives of the controller ------------------------------------------------------------------

    def unfold(self) -> None:
        """Start the controller again and again until the run has ended."""
        while self.state in {RunState.OPEN, RunState.INTERRUPTED}:
            if self.lives == _LIVES:
                self.wrong.append(f"the run had not ended after {_LIVES} lives of the controller")
                return
            self._live()

    def _live(self) -> None:
        self.lives += 1
        self.machine.power.restore()
        self._stop = Stop()
        notes = self.journal.notes(RUN)
        begun = any(note.kind is NoteKind.BEGUN for note in notes)
        self._told_before = len(interruptions(notes)) if begun else -1
        carry_on = resume_run if begun else start_run
        try:
            self.state = carry_on(self.plan, run=RUN, kit=self._kit(), stop=self._stop).state
        except (Crash, JournalError):
            self.state = RunState.OPEN
        except Refused:
            self.state = run_state(self.journal.notes(RUN))
        finally:
            self.machine.end()
            self.machine.power.restore()

    def _kit(self) -> Kit:
        turns = self.machine.turns
        calls = [call for step in self.plan.steps for call in (step.call, step.undo) if call is not None]
        probes = [step.probe for step in self.plan.steps if step.probe is not None]
        return Kit(
            journal=self.journal,
            registry=Registry(
                actions={call.name: _Action(self) for call in calls},
                probes={probe.name: _Probe(self) for probe in probes},
                challenge=nobody_pretends,
            ),
            orders=OrdersFor(signers=("ana", "bo") if self._is_ordered() else ()),
            approvers=SimulatedApprovers(),
            clock=self.clock,
            files=Path(),
            observers=(self.seen.append,),
            launch=turns.begin,
            inbox=lambda: TurnsInbox(turns, on_wait=self._others_act),
        )

    def _is_ordered(self) -> bool:
        return any(step.gate is not None and step.gate.standing_order for step in self.plan.steps)

    # --- persons ----------------------------------------------------------------------------------

    def _others_act(self) -> None:
        """Let time pass, and let persons do what they do meanwhile: answer, tell it to stop, abort."""
        self.clock.sleep(0.05)
        self._waited += 1
        if self._waited > _PATIENCE:
            self.wrong.append("the run waited and nobody could help it")
            self.machine.kills_left = 0
            self.lives = _LIVES
            self.machine.power.fail()
        if self.chance.random() < self.odds.told_to_stop:
            self._stop.ask(exit_code=130)
        if self.chance.random() < self.odds.aborts:
            self.excused = True
            abort_run(run=RUN, who="ana", at=self.clock.now(), journal=self._plain(), live=True)
        waiting = open_gates(self.journal.notes(RUN))
        if waiting and self.chance.random() < _ANSWERS:
            self._answer(self.chance.choice(waiting), self.chance.choice(PERSONS))

    def _plain(self) -> SimulatedJournal:
        """Return the journal as another process writes to it: that one is not killed, and has room."""
        return _AnotherProcess(self.journal)

    def _answer(self, gate: str, who: str) -> None:
        is_doubt = gate != step_of_gate(gate)
        granted = self.applied[step_of_gate(gate)] > 0 if is_doubt else self.chance.random() >= self.odds.says_no
        asked = answer_for(self.plan, run=RUN, gate=gate, who=who, granted=granted, at=self.clock.now())
        try:
            answer_gate(
                sign_in_simulation(asked),
                run=RUN,
                plan=self.plan,
                journal=self._plain(),
                approvers=SimulatedApprovers(),
                now=self.clock.now(),
            )
        except Refused:
            return
        if granted:
            self.granted.setdefault(gate, set()).add(who)
        elif not is_doubt:
            self.excused = True

    # --- hosts ------------------------------------------------------------------------------------

    def act(self, context: StepContext) -> Outcome:
        """Do what a step does, on hosts that may not be there and whose answers may be lost."""
        step = self._steps[context.step]
        self.machine.moment()
        odds, fate = self.odds, self.chance.random()
        for error, likely in (
            (Unreachable("no route"), odds.unreachable),
            (ActionError("the host said no", effect=Effect.NONE), odds.refused_by_host),
            (ActionTimeout("the order was lost"), odds.answer_lost / 2),
        ):
            if fate < likely:
                self.excused = True
                raise error
            fate -= likely
        self._feel(step)
        for _ in range(self.chance.randint(1, 4)):  # a slow answer: much else happens before it
            self.machine.moment()
        if fate < odds.answer_lost / 2:
            self.excused = True
            raise ActionTimeout("the answer was lost")
        return Outcome(changed=not step.reads_only, detail=self._finds.get(step.name, {}))

    def look(self, context: StepContext) -> Seen:
        """Say what a probe sees."""
        self.machine.moment()
        if self.chance.random() < self.odds.probe_blind:
            self.excused |= self._steps[context.step].verify  # what nobody could see was verified by nobody
            return Seen(effect=Effect.UNKNOWN)
        happened = self.applied[context.step] > 0
        detail = self._finds.get(context.step, {}) if happened else {}
        return Seen(effect=Effect.APPLIED if happened else Effect.NONE, detail=detail)

    def _feel(self, step: Step) -> None:
        """Apply an effect, and note what should not have come about."""
        self.wrong.extend(self._reasons_not_yet(step))
        if self.applied[step.name] and not step.may_repeat:
            self.repeated += 1
            self.wrong.append(f"{step.name}: its effect came about again")
        self.applied[step.name] += 1
        self.read_in_life[step.name] = self.lives

    def _reasons_not_yet(self, step: Step) -> Iterator[str]:
        if len(interruptions(self.journal.notes(RUN))) != self._told_before + 1:
            yield f"{step.name} came before it was recorded that the controller had been interrupted"
        for name in step.after:
            if not self.applied[name]:
                yield f"{step.name} came before {name}, which it follows"
        if step.gate is not None and not (step.gate.standing_order and self._is_ordered()):
            given = len(self.granted.get(step.name, ()))
            if given < step.gate.persons:
                yield f"{step.name} took {step.gate.persons} persons and {given} had consented"
        relied_on = {name for one in step.guards for name in one.on}
        for name in sorted(name for name in relied_on if self._steps[name].reads_only):
            if self.read_in_life.get(name) != self.lives:
                yield f"{step.name} relied on {name}, which was read before the controller was started again"

    # --- what is told -----------------------------------------------------------------------------

    def told(self, seed: int) -> Told:
        """Judge what came of it."""
        records = fold(self.plan, self.journal.attempts(RUN), self.journal.notes(RUN))
        lost = [name for name, record in records.items() if self._is_lost(name, record)]
        self.wrong.extend(f"{name}: recorded as done, and its effect is not there" for name in lost)
        self.wrong.extend(self._ended_wrongly(records))
        lines = "\n".join(f"{one.step} {one.state.value} {one.attempt}" for one in self.seen)
        return Told(
            seed=seed,
            state=self.state,
            killed=self.machine.killed,
            resumed=self.lives - 1,
            repeated=self.repeated,
            lost=len(lost),
            broken=tuple(self.wrong),
            trace=hashlib.sha256(lines.encode()).hexdigest(),
        )

    def _is_lost(self, name: str, record: StepRecord) -> bool:
        return record.state in {StepState.DONE, StepState.VERIFIED} and not self.applied[name]

    def _ended_wrongly(self, records: Mapping[str, StepRecord]) -> Iterator[str]:
        if self.state is RunState.DONE:
            missing = [name for name in self._steps if not self.applied[name]]
            yield from (f"the run is done, and {name} did not come about" for name in missing)
        elif not self.excused:
            yield f"nothing went wrong but the controller, and the run is {self.state.value}"
        for name, record in records.items():
            never = {StepState.PLANNED, StepState.WAITING, StepState.REFUSED}
            never |= set() if self._steps[name].verify else {StepState.NOT_VERIFIED}
            if record.state in never and self.applied[name] and not self._steps[name].may_repeat:
                yield f"{name}: recorded as {record.state.value}, and its effect is there"


class _AnotherProcess(SimulatedJournal):
    """The same disk, written to by a process that nothing happens to."""

    def __init__(self, disk: DisasterJournal) -> None:
        vars(self).update(vars(disk))


@dataclass(frozen=True, slots=True)
class _Action:
    world: Disaster

    def perform(self, arguments: Json, *, key: str, context: StepContext) -> Outcome:
        del arguments, key
        return self.world.act(context)


@dataclass(frozen=True, slots=True)
class _Probe:
    world: Disaster

    def look(self, arguments: Json, *, key: str, context: StepContext) -> Seen:
        del arguments, key
        return self.world.look(context)
