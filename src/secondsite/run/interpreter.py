"""Carry a plan out: start what is due, record what becomes of it, stop at the first thing that goes wrong.

All decisions are made in one thread, the one that calls ``drive``. Actions and probes run in threads of their own and
hand back what they found through the inbox. Everything that must survive is in the journal before it is acted upon.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping
from dataclasses import replace

from ..errors import ActionError, Effect, LeftOff, Refused
from ..plan.consent import TWO_PERSONS
from ..plan.model import Call, Gate, Plan, Step
from ..plan.rules import Frontier
from . import perform
from .gates import GateKeeper, OpenGate
from .kit import Kit, Work
from .model import (
    Attempt,
    AttemptKey,
    Consent,
    Json,
    Note,
    NoteKind,
    RunResult,
    RunState,
    Seen,
    StepRecord,
    StepResult,
    StepState,
    StopOrder,
    Transition,
)
from .overrides import rule
from .ports import StepContext
from .rules import (
    OVERRIDE,
    attempt_name,
    came_out_well,
    doubt_gate,
    ended_state,
    exit_code_of,
    fold,
    resolved,
    result_of,
    stale_readings,
    was_taken_over,
)
from .stop import Stop

_INTENDED = "it was intended and its result is not recorded"
_ANOTHERS = "another controller had this run, and what it did last is not recorded here"
_POLL_S = 0.05
_GRACE_S = 30.0


class Interpreter:
    """One run, from what its journal says to its end, or to where it was stopped. Use it once."""

    def __init__(self, *, plan: Plan, run: str, kit: Kit, stop: Stop, takes_back: bool = False) -> None:
        """Touch nothing yet.

        One that ``takes_back`` undoes an aborted run: it tries again what failed before, goes on beside what fails now,
        asks nobody, and leaves the last word on the run to its caller.
        """
        self._takes_back = takes_back
        self._plan, self._run, self._kit, self._stop = plan, run, kit, stop
        self._steps = {step.name: step for step in plan.steps}
        self._records: dict[str, StepRecord] = {}
        self._facts: dict[str, Json] = {}
        self._inbox = kit.inbox()
        self._in_flight: set[str] = set()
        self._frontier = Frontier(plan)
        self._gates = GateKeeper(
            plan=plan, run=run, journal=kit.journal, orders=kit.orders, approvers=kit.approvers, clock=kit.clock
        )
        self._last_note = 0
        self._halted = False
        self._aborted = False
        self._taken_over = False
        self._stopped_at: float | None = None
        self._stopped_by: StopOrder | None = None

    def drive(self) -> RunResult:
        """Carry on from what is recorded, and return how the run ended or that it was interrupted.

        Raises:
            JournalError: the engine's own store failed; nothing more was started.
        """
        self._settle_doubts()
        self._take_up()
        while self._in_flight or (self._gates.open and not self._halted):
            self._hear_notes()
            self._heed_stop()
            if self._halted and self._gave_up_waiting():
                break
            self._work_once()
        return self._end()

    def _settle_doubts(self) -> None:
        """Look first for the effects in doubt: once one came about, what it relied on can't be read again.

        A copy that was made the primary follows nobody, and waiting until it has caught up would never end.
        """
        well = self._read_journal()
        self._facts = {name: result.detail for name in well if (result := self._records[name].result) is not None}
        for step in self._plan.steps:
            record = self._records[step.name]
            is_in_doubt = record.state is StepState.IN_DOUBT and not record.settled and not step.may_repeat
            if step.probe is not None and (is_in_doubt or self._may_have_happened(step, record)):
                self._change(step, StepState.IN_DOUBT, detail={"why": _INTENDED if is_in_doubt else _ANOTHERS})
                self._look(step, step.probe, self._found)
        while self._in_flight:
            self._heed_stop()
            if self._halted and self._gave_up_waiting():
                return
            self._work_once()

    def _found(self, step: Step, seen: Seen) -> None:
        """Record what a probe saw before anything is begun; who could not see it is asked again when it is its turn."""
        self._in_flight.discard(step.name)
        if seen.effect is not Effect.UNKNOWN:
            self._write_settled(step, seen, by=("probe",))

    def _read_journal(self) -> set[str]:
        """Fold over what is recorded, and return which steps came out well."""
        journal = self._kit.journal
        notes = journal.notes(self._run)
        self._records = dict(fold(self._plan, journal.attempts(self._run), notes))
        self._taken_over = was_taken_over(notes)
        self._aborted = not self._takes_back and any(note.kind is NoteKind.ABORT for note in notes)
        return {step.name for step in self._plan.steps if came_out_well(step, self._records[step.name])}

    def _take_up(self) -> None:
        well = self._read_journal()
        if self._takes_back:
            self._try_again()
        for name in stale_readings(self._plan, well=well):
            well.discard(name)
            self._records[name] = replace(self._records[name], state=StepState.PLANNED, result=None)
        self._facts = {name: result.detail for name in well if (result := self._records[name].result) is not None}
        self._frontier = Frontier(self._plan, settled=well)
        self._halted = self._halted or self._aborted or self._failed()
        for step in self._frontier.first:
            self._advance(step)

    def _try_again(self) -> None:
        for name, record in self._records.items():
            nothing_happened = record.result is not None and not record.result.changed
            if record.state.ended_badly and (self._steps[name].may_repeat or nothing_happened):
                self._records[name] = replace(record, state=StepState.PLANNED, result=None)

    def _failed(self) -> bool:
        """Say whether something went wrong after which nothing more is started."""
        return not self._takes_back and any(self._is_final(name) for name in self._records)

    def _is_final(self, name: str) -> bool:
        record, step = self._records[name], self._steps[name]
        if record.state is StepState.UNKNOWN and step.probe is not None and not record.settled:
            return False
        return record.state.ended_badly

    # --- one step forward -------------------------------------------------------------------------

    def _advance(self, step: Step) -> None:
        """Do for a step whose predecessors came out well whatever is next for it."""
        self._heed_stop()
        record = self._records[step.name]
        match record.state:
            case StepState.IN_DOUBT:
                self._resolve_doubt(step, record)
            case StepState.UNKNOWN if step.probe is not None and not record.settled:
                self._look(step, step.probe, self._settle)
            case StepState.DONE if step.verify and step.probe is not None:
                self._look(step, step.probe, self._verify)
            case StepState.PLANNED | StepState.WAITING if not self._halted and self._may_have_happened(step, record):
                self._doubt_another(step)
            case StepState.PLANNED | StepState.WAITING if not self._halted:
                self._admit(step, record)
            case _:
                return

    def _admit(self, step: Step, record: StepRecord) -> None:
        if record.consent is None:
            ruling = rule(step, self._facts, lambda: self._kit.journal.notes(self._run))
            if ruling.refused:
                self._refuse(step, ruling.refused)
                return
            if ruling.gate:
                opened = self._gates.begin_waiting(ruling.gate, step, persons=TWO_PERSONS, what=ruling.asks)
                self._change(step, StepState.WAITING, detail={"gate": opened.name, "to_override": list(ruling.asks)})
                return
        if step.gate is not None and record.consent is None:
            self._wait_for_consent(step, step.gate)
            return
        self._start(step)

    def _refuse(self, step: Step, reasons: tuple[str, ...]) -> None:
        self._kit.journal.note(self._run, NoteKind.REFUSED, step.name, {"reasons": list(reasons)})
        self._halted = not self._takes_back
        self._change(step, StepState.REFUSED, reasons=reasons, detail={"reasons": list(reasons)})

    def _wait_for_consent(self, step: Step, gate: Gate) -> None:
        opened = self._gates.begin_waiting(step.name, step, persons=gate.persons)
        found = self._gates.consult_standing_order(opened)
        if isinstance(found, Consent):
            self._consented(opened, found)
            return
        self._change(step, StepState.WAITING, detail={"gate": opened.name, "no_standing_order": list(found)})

    def _resolve_doubt(self, step: Step, record: StepRecord) -> None:
        """The journal holds an intent without a result: nothing destructive is repeated to find out."""
        if step.may_repeat and not (self._aborted and step.probe is not None):
            self._change(step, StepState.PLANNED, detail={"why": "it was interrupted, and doing it again does no harm"})
            self._start(step)
        elif step.probe is not None and not record.settled:
            self._change(step, StepState.IN_DOUBT, detail={"why": _INTENDED})
            self._look(step, step.probe, self._settle)
        elif not self._takes_back:
            self._ask_a_person(step, {})

    def _may_have_happened(self, step: Step, record: StepRecord) -> bool:
        """Say whether another controller may have done this, after the last thing that reached this journal."""
        is_untried = record.attempts == 0 and record.state in {StepState.PLANNED, StepState.WAITING}
        return self._taken_over and is_untried and not record.settled and not step.may_repeat

    def _doubt_another(self, step: Step) -> None:
        if step.probe is None:
            self._ask_a_person(step, {})
            return
        self._change(step, StepState.IN_DOUBT, detail={"why": _ANOTHERS})
        self._look(step, step.probe, self._settle)

    def _ask_a_person(self, step: Step, seen: Json) -> None:
        name = doubt_gate(step.name, self._records[step.name].attempts)
        persons = step.gate.persons if step.gate else 1
        self._gates.begin_waiting(name, step, persons=persons)
        self._change(step, StepState.IN_DOUBT, detail={"gate": name, "question": "did it happen?", **seen})

    # --- effects, in threads ----------------------------------------------------------------------

    def _start(self, step: Step) -> None:
        self._heed_stop()
        if self._halted:
            return
        record = self._records[step.name]
        try:
            arguments = self._arguments(step.call)
        except KeyError as error:
            self._refuse(step, (str(error.args[0]),))
            return
        key = AttemptKey(run=self._run, step=step.name, attempt=record.attempts + 1)
        self._records[step.name] = replace(record, attempts=key.attempt, settled=False, result=None)
        self._in_flight.add(step.name)
        self._launch(step, lambda: self._attempt(step, key, arguments))

    def _attempt(self, step: Step, key: AttemptKey, arguments: Json) -> None:
        """Runs in a thread of its own."""
        clock, action = self._kit.clock, self._kit.registry.actions[step.call.name]
        intent = {"call": step.call.name, "arguments": dict(arguments), "plan_digest": self._plan.digest}

        def effect() -> StepResult:
            begun = clock.monotonic()
            self._inbox.put(lambda: self._intended(step, begun))
            if step.destroys and (no := perform.unless_impostors(self._kit.registry.challenge, step.hosts)):
                return perform.passed_over(no) if arguments.get("another_may_confirm") is True else no
            return perform.perform(action, arguments, key=key.effect, context=self._context(step, key.attempt))

        try:
            result = self._kit.journal.attempt(key, {**intent, "at": clock.now().isoformat()}, effect)
        except LeftOff as error:
            what = error.what
            self._inbox.put(lambda: self._left_off(step, what))
            return
        ended = clock.monotonic()
        self._inbox.put(lambda: self._performed(step, ended, result))

    def _look(self, step: Step, probe: Call, then: Callable[[Step, Seen], None]) -> None:
        self._in_flight.add(step.name)
        attempt = self._records[step.name].attempts

        def work() -> None:
            try:
                arguments = self._arguments(probe)
            except KeyError as error:
                seen = Seen(effect=Effect.UNKNOWN, detail={"error": str(error.args[0])})
            else:
                prober = self._kit.registry.probes[probe.name]
                key = f"{self._run}/{step.name}"
                seen = perform.look(prober, arguments, key=key, context=self._context(step, attempt))
            self._inbox.put(lambda: then(step, seen))

        self._launch(step, work)

    def _launch(self, step: Step, work: Work) -> None:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001  it must end the run, in the thread that drives it
                caught = error
                self._inbox.put(lambda: _reraise(caught))

        self._kit.launch(f"{self._run}/{step.name}", guarded)

    def _context(self, step: Step, attempt: int) -> StepContext:
        return StepContext(
            run=self._run,
            step=step.name,
            attempt=attempt,
            hosts=step.hosts,
            timeout=step.timeout,
            files=self._kit.files,
            stopping=self._stop.asked,
        )

    def _arguments(self, call: Call) -> Json:
        return {name: resolved(value, self._facts) for name, value in call.arguments.items()}

    # --- what came back ---------------------------------------------------------------------------

    def _intended(self, step: Step, at: float) -> None:
        self._change(step, StepState.INTENDED, at=at)

    def _performed(self, step: Step, at: float, result: StepResult) -> None:
        self._in_flight.discard(step.name)
        self._records[step.name] = replace(self._records[step.name], result=result)
        self._change(
            step, result.state, at=at, detail={**result.detail, **({"error": result.error} if result.error else {})}
        )
        self._conclude(step)

    def _left_off(self, step: Step, what: str) -> None:
        """Its attempt stays without a result: whoever resumes the run finds it in doubt, and it may be repeated."""
        self._in_flight.discard(step.name)
        self._heed_stop()
        self._halted = True
        self._change(step, StepState.IN_DOUBT, detail={"why": what})

    def _settle(self, step: Step, seen: Seen) -> None:
        """A probe told what became of an attempt whose effect was not known."""
        self._in_flight.discard(step.name)
        if seen.effect is Effect.UNKNOWN and self._records[step.name].result is None:
            self._ask_a_person(step, {"probe": dict(seen.detail)})
            return
        self._note_settled(step, seen, by=("probe",))

    def _note_settled(self, step: Step, seen: Seen, *, by: tuple[str, ...]) -> None:
        self._write_settled(step, seen, by=by)
        self._conclude(step)

    def _write_settled(self, step: Step, seen: Seen, *, by: tuple[str, ...]) -> None:
        name = attempt_name(step.name, self._records[step.name].attempts)
        body = {"effect": seen.effect.value, "detail": dict(seen.detail), "by": list(by)}
        note = Note(run=self._run, kind=NoteKind.SETTLED, name=name, body=body)
        self._record_and_reread(step, note, {"settled": seen.effect.value, "by": list(by), **seen.detail})

    def _verify(self, step: Step, seen: Seen) -> None:
        self._in_flight.discard(step.name)
        body = {"effect": seen.effect.value, "detail": dict(seen.detail)}
        note = Note(run=self._run, kind=NoteKind.VERIFIED, name=step.name, body=body)
        self._record_and_reread(step, note, dict(seen.detail))
        self._conclude(step)

    def _record_and_reread(self, step: Step, note: Note, detail: Json) -> None:
        """Record what a probe or a person said, and read it as a successor would."""
        self._kit.journal.note(self._run, note.kind, note.name, note.body)
        before = self._records[step.name]
        key = AttemptKey(run=self._run, step=step.name, attempt=before.attempts)
        attempt = Attempt(key=key, intent={}, result=before.result)
        record = fold(replace(self._plan, steps=(step,)), [attempt], [note])[step.name]
        self._records[step.name] = replace(record, consent=before.consent)
        self._change(step, record.state, detail=detail)

    def _conclude(self, step: Step) -> None:
        record = self._records[step.name]
        if came_out_well(step, record):
            self._facts[step.name] = record.result.detail if record.result else {}
            for follower in self._frontier.settle(step.name):
                self._advance(follower)
        elif self._is_final(step.name):
            self._halted = self._halted or not self._takes_back
        else:
            self._advance(step)

    # --- gates, stops, the end --------------------------------------------------------------------

    def _hear_notes(self) -> None:
        for note in self._kit.journal.notes(self._run, after=self._last_note):
            self._last_note = max(self._last_note, note.number)
            self._hear(note)
        for gate, consent in self._gates.decided():
            self._consented(gate, consent)

    def _hear(self, note: Note) -> None:
        if note.kind is NoteKind.ABORT and not self._takes_back:
            self._halted = self._aborted = True
        if note.kind is NoteKind.ANSWER:
            reasons = list(self._gates.hear(note))
            gate = self._gates.open.get(str(note.body.get("gate")))
            if reasons and gate is not None:
                self._change(gate.step, self._records[gate.step.name].state, detail={"answer_refused": reasons})

    def _consented(self, gate: OpenGate, consent: Consent) -> None:
        step = gate.step
        detail = {"granted": consent.granted, "by": list(consent.by), "standing_order": consent.standing_order}
        detail = {**detail, "waited_ms": consent.waited_ms}
        if gate.name.startswith(OVERRIDE):  # the guards are asked once more, with what was let pass
            self._change(step, StepState.PLANNED, detail=detail)
            self._admit(step, self._records[step.name])
            return
        if gate.name != step.name:  # somebody said whether an attempt in doubt had its effect
            effect = Effect.APPLIED if consent.granted else Effect.NONE
            self._note_settled(step, Seen(effect=effect, detail=detail), by=consent.by)
            return
        self._records[step.name] = replace(self._records[step.name], consent=consent)
        if not consent.granted:
            self._halted = True
            self._change(step, StepState.REFUSED, reasons=(f"{', '.join(consent.by)} said no",), detail=detail)
            return
        self._change(step, StepState.PLANNED, detail=detail)
        self._start(step)

    def _heed_stop(self) -> None:
        """Halt when a signal, a person or a stop order says so; the order may have been given by any process."""
        if not self._stop.asked() and (order := self._kit.stop_order()) is not None:
            self._stopped_by = order
            self._stop.ask(exit_code=Refused.exit_code)
        if self._stop.asked() and self._stopped_at is None:
            self._stopped_at = self._kit.clock.monotonic()
            self._halted = True

    def _gave_up_waiting(self) -> bool:
        if self._stopped_at is None or not self._in_flight:
            return False
        return self._stop.hurry or self._kit.clock.monotonic() - self._stopped_at > _GRACE_S

    def _work_once(self) -> None:
        try:
            self._inbox.get(timeout=_POLL_S)()
            while True:
                self._inbox.get_nowait()()
        except queue.Empty:
            return

    def _end(self) -> RunResult:
        state = ended_state(self._plan, self._records)
        if self._stopped_at is not None and state is not RunState.DONE and not self._failed():
            return self._interrupted()
        if self._takes_back:
            return self._result(state, 0 if state is RunState.DONE else ActionError.exit_code)
        if self._aborted and state is not RunState.DONE:
            return self._result(RunState.ABORTED, Refused.exit_code)
        code = exit_code_of(state, self._records)
        body = {"state": state.value, "exit_code": code, "at": self._kit.clock.now().isoformat()}
        self._kit.journal.note(self._run, NoteKind.ENDED, "", body)
        return self._result(state, code)

    def _interrupted(self) -> RunResult:
        at = self._kit.clock.now().isoformat()
        body = {"at": at, "exit_code": self._stop.exit_code, "in_flight": sorted(self._in_flight)}
        if self._stopped_by is not None:
            body |= {"stopped_by": str(self._stopped_by)}
        self._kit.journal.note(self._run, NoteKind.INTERRUPTED, at, body)
        return self._result(RunState.INTERRUPTED, self._stop.exit_code)

    def _result(self, state: RunState, exit_code: int) -> RunResult:
        notes = self._kit.journal.notes(self._run)
        return result_of(self._run, state, exit_code, records=self._records, notes=notes, stopped_by=self._stopped_by)

    def _change(
        self,
        step: Step,
        state: StepState,
        *,
        at: float | None = None,
        reasons: tuple[str, ...] = (),
        detail: Mapping[str, object] | None = None,
    ) -> None:
        record = self._records[step.name]
        self._records[step.name] = replace(record, state=state, reasons=reasons or record.reasons)
        transition = Transition(
            t=self._kit.clock.monotonic() if at is None else at,
            run=self._run,
            step=step.name,
            state=state,
            attempt=record.attempts,
            detail=detail or {},
        )
        for observe in self._kit.observers:
            observe(transition)


def _reraise(error: BaseException) -> None:
    raise error
