"""Begin, resume, answer and abort runs."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..checks.readiness import Override
from ..errors import Refused, StepMismatch, UsageError
from ..plan.consent import steps_nobody_consents_to
from ..plan.differences import Present
from ..plan.model import Plan
from .deviations import Notes, deviations, require_consent
from .interpreter import Interpreter
from .kit import Kit
from .model import ENGINE_VERSION, Answer, Json, Note, NoteKind, RunResult, RunState, StopOrder, TakenBack
from .overrides import OVERRIDABLE
from .ports import Approvers, NotSigned, Registry
from .rules import (
    DRIFT,
    ENGINE,
    answer_body,
    answer_from,
    answer_name,
    came_out_well,
    fold,
    interruption,
    interruption_body,
    interruptions,
    reasons_in,
    reasons_not_to_accept,
    remarks_in,
    run_state,
    targets_of,
)
from .stop import Stop
from .undo import taking_back

APPROVAL_LASTS = dt.timedelta(hours=4)


def start_run(
    plan: Plan, *, run: str, kit: Kit, stop: Stop, overrides: Sequence[Override] = (), beginning: Json | None = None
) -> RunResult:
    """Begin a run and carry it to its end, or to where it was stopped. What was overridden for it is noted first.

    ``beginning`` says who begins it and who answers for its runbook (``roles.beginning_body``).

    Raises:
        UsageError: the plan names an action or probe that nobody knows; nothing was attempted.
        Refused: a stop order is in force.
        JournalError: the engine's own store failed.
    """
    _require_known(plan, kit.registry)
    require_no_stop(kit.stop_order())
    begun = {"plan_digest": plan.digest, "engine": ENGINE_VERSION, "at": kit.clock.now().isoformat()}
    places = dict(kit.as_it_is_now().places)
    if not kit.journal.note(run, NoteKind.BEGUN, "", {**(beginning or {}), **begun, "places": places}):
        _require_resumable(plan, run=run, kit=kit)
    for one in overrides:
        body: dict[str, object] = {
            "why": one.why,
            "who": one.who,
            "reason": one.reason,
            "at": kit.clock.now().isoformat(),
        }
        body |= {"asks": True} if one.check in OVERRIDABLE else {}
        kit.journal.note(run, NoteKind.OVERRIDE, one.check, body)
    return _carry_on(plan, run=run, kit=kit, stop=stop)


def resume_run(plan: Plan, *, run: str, kit: Kit, stop: Stop, by: str = "") -> RunResult:
    """Record that a run was interrupted, and carry it to its end, or to where it is stopped again.

    Raises:
        StepMismatch: it was begun with another plan.
        Refused: it has ended, a stop order is in force, or the engine or the estate is not what it was and two persons
            have not consented to that.
        JournalError: the engine's own store failed.
    """
    _require_known(plan, kit.registry)
    require_no_stop(kit.stop_order())
    notes = _require_resumable(plan, run=run, kit=kit)
    at = kit.clock.now().isoformat()
    found, number = interruption(kit.journal.attempts(run), notes), 1 + len(interruptions(notes))
    body = {**interruption_body(found, resumed_at=at), **({"by": by} if by else {})}
    kit.journal.note(run, NoteKind.RESUMED, str(number), body)
    result = _carry_on(plan, run=run, kit=kit, stop=stop)
    return replace(result, interruptions=(*interruptions(notes), replace(found, resumed_at=at)))


def _require_resumable(plan: Plan, *, run: str, kit: Kit) -> Sequence[Note]:
    notes = kit.journal.notes(run)
    reasons = list(reasons_not_to_resume(plan, run, notes))
    if reasons:
        raise StepMismatch("; ".join(reasons), not_done="nothing was performed", next_step="abort it and start anew")
    state = run_state(notes)
    if state not in {RunState.OPEN, RunState.INTERRUPTED}:
        raise Refused(f"run {run} has ended: {state.value}", next_step="start a new run")
    found = list(deviations(plan, notes, kit.as_it_is_now()))
    require_consent(found, run=run, plan=plan, journal=kit.journal, approvers=kit.approvers, now=kit.clock.now())
    return notes


def _carry_on(plan: Plan, *, run: str, kit: Kit, stop: Stop) -> RunResult:
    if kit.registry.ready:
        kit.launch(f"{run}/ready", lambda: make_ready(plan, kit.registry))
    result = Interpreter(plan=plan, run=run, kit=kit, stop=stop).drive()
    if result.state is not RunState.ABORTED:
        return result
    taken = take_back(plan, run=run, kit=kit, stop=stop)
    remarks = remarks_in(kit.journal.notes(run))
    code = stop.exit_code if taken.state is RunState.INTERRUPTED else result.exit_code
    return replace(result, state=taken.state, exit_code=code, remarks=remarks)


def take_back(plan: Plan, *, run: str, kit: Kit, stop: Stop) -> TakenBack:
    """Take back what an aborted run did and what has an undo, in reverse order, and end the run.

    It is as durable as the run was: interrupted, it goes on when the run is resumed or aborted again; what failed is
    tried again then.

    Raises:
        Refused: a stop order is in force.
        JournalError: the engine's own store failed.
    """
    require_no_stop(kit.stop_order())
    notes, attempts = kit.journal.notes(run), kit.journal.attempts(run)
    found = taking_back(plan, fold(plan, attempts, notes))
    undoing = replace(plan, steps=found.steps)
    ended = Interpreter(plan=undoing, run=run, kit=kit, stop=stop, takes_back=True).drive()
    if ended.state is RunState.INTERRUPTED:
        return TakenBack(state=RunState.INTERRUPTED, kept=found.kept)
    undone = [step.name for step in found.steps if came_out_well(step, ended.steps[step.name])]
    failed = {
        step.name: "; ".join(reasons_in({step.name: ended.steps[step.name]})) or ended.steps[step.name].state.value
        for step in found.steps
        if step.name not in undone
    }
    at = kit.clock.now().isoformat()
    body = {"undone": undone, "failed": failed, "kept": dict(found.kept), "at": at}
    kit.journal.note(run, NoteKind.TAKEN_BACK, at, body)
    kit.journal.note(run, NoteKind.ENDED, "", {"state": RunState.ABORTED.value, "exit_code": 5, "at": at})
    return TakenBack(state=RunState.ABORTED, undone=undone, failed=failed, kept=found.kept)


def require_no_stop(order: StopOrder | None) -> None:
    """Pass when nobody stopped everything.

    Raises:
        Refused: somebody did; who, since when and why is in it.
    """
    if order is not None:
        raise Refused(str(order), next_step='once it is safe to go on: secondsite runs go --reason "..."')


def make_ready(plan: Plan, registry: Registry) -> None:
    """Do ahead what later steps need and what has no effect. What can't be done ahead is done by the step itself."""
    for step in plan.steps:
        if step.call.name in registry.ready:
            with contextlib.suppress(Exception):  # whatever is wrong, the step itself will meet it and say so
                registry.ready[step.call.name](step.call.arguments)


def reasons_not_to_resume(plan: Plan, run: str, notes: Sequence[Note]) -> Iterator[str]:
    """Yield every reason why this plan is not the one that a run's notes begin with."""
    begun = next((note.body for note in notes if note.kind is NoteKind.BEGUN), None)
    if begun is None:
        yield f"run {run} was never begun"
        return
    if begun.get("plan_digest") != plan.digest:
        yield f"run {run} was begun with plan {str(begun.get('plan_digest'))[:12]}, this is {plan.digest[:12]}"


def open_gates(notes: Sequence[Note]) -> tuple[str, ...]:
    """Name the gates of a run that wait for an answer."""
    closed = {note.name for note in notes if note.kind is NoteKind.GATE_CLOSED}
    return tuple(note.name for note in notes if note.kind is NoteKind.GATE_OPENED and note.name not in closed)


def answer_for(  # noqa: PLR0913  all of it is what the person signs
    plan: Plan,
    *,
    run: str,
    gate: str,
    who: str,
    granted: bool,
    at: dt.datetime,
    lasts: dt.timedelta = APPROVAL_LASTS,
    reason: str = "",
) -> Answer:
    """Return the answer that this person would have to sign."""
    return Answer(
        run=run,
        gate=gate,
        plan_digest=plan.digest,
        targets=targets_of(plan, gate),
        who=who,
        granted=granted,
        at=at.isoformat(),
        expires=(at + lasts).isoformat(),
        reason=reason,
    )


def answer_gate(  # noqa: PLR0913  all of it is needed to know whose word counts
    answer: Answer,
    *,
    run: str,
    plan: Plan,
    journal: Notes,
    approvers: Approvers,
    now: dt.datetime,
    present: Present | None = None,
) -> None:
    """Record a person's answer; a run that waits hears it at once, one that is down when it is resumed.

    Raises:
        Refused: the gate is not open, the answer is for another plan or other hosts, expired, or not signed by the
            person it names, or this person has answered. Or it is a yes, and the estate is no longer what the plan was
            made from.
    """
    notes = journal.notes(run)
    if answer.granted and not answer.gate.startswith((DRIFT, ENGINE)):
        found = [one for one in deviations(plan, notes, present or Present()) if one.gate.startswith(DRIFT)]
        require_consent(found, run=run, plan=plan, journal=journal, approvers=approvers, now=now)
    reasons = list(reasons_not_to_accept(answer, run=run, plan=plan, gates=open_gates(notes), now=now))
    if run_state(notes) not in {RunState.OPEN, RunState.INTERRUPTED}:
        reasons.append(f"run {run} has ended")
    signed = approvers.signed(answer)
    if isinstance(signed, NotSigned):
        reasons += signed.reasons
    earlier = [answer_from(note.body) for note in notes if note.kind is NoteKind.ANSWER]
    standing = [
        one
        for one in earlier
        if one.gate == answer.gate and one.who.strip().casefold() == answer.who.strip().casefold()
        and not list(reasons_not_to_accept(one, run=run, plan=plan, gates=(one.gate,), now=now))
    ]  # fmt: skip
    if standing:
        reasons.append(f"{answer.who} has answered {answer.gate} already, at {standing[0].at}")
    if reasons:
        raise Refused(*reasons, next_step=f"secondsite runs show {run}")
    if not journal.note(run, NoteKind.ANSWER, answer_name(answer), answer_body(answer)):
        raise Refused(f"{answer.who} has answered {answer.gate} already", next_step=f"secondsite runs show {run}")


def abort_run(*, run: str, who: str, at: dt.datetime, journal: Notes, live: bool, takes_back: bool = True) -> None:
    """Have a run end: a live one starts nothing more, and takes back what has an undo once its steps in flight ended.

    One that nobody carries is left for ``take_back``; it ends now if nothing is to be taken back.

    Raises:
        Refused: it came to its end well; there is nothing to abort.
    """
    if (state := run_state(journal.notes(run))) is RunState.DONE:
        raise Refused(f"run {run} has ended: {state.value}", next_step="another run brings operations elsewhere")
    journal.note(run, NoteKind.ABORT, "", {"who": who, "at": at.isoformat()})
    if not live and not takes_back:
        body = {"state": RunState.ABORTED.value, "exit_code": 5, "at": at.isoformat()}
        journal.note(run, NoteKind.ENDED, "", body)


def finish_abort(plan: Plan, *, run: str, kit: Kit, stop: Stop) -> TakenBack:
    """Settle what became of an aborted run's steps in flight, and take back what it did."""
    _require_known(plan, kit.registry)
    require_no_stop(kit.stop_order())
    if run_state(kit.journal.notes(run)) in {RunState.OPEN, RunState.INTERRUPTED}:
        settled = Interpreter(plan=plan, run=run, kit=kit, stop=stop).drive()
        if settled.state is RunState.INTERRUPTED:
            return TakenBack(state=RunState.INTERRUPTED)
    return take_back(plan, run=run, kit=kit, stop=stop)


def _require_known(plan: Plan, registry: Registry) -> None:
    if unasked := list(steps_nobody_consents_to(plan.steps)):
        raise UsageError(
            "; ".join(f"{step} of {plan.runbook}: {what}" for step, what in unasked),
            not_done="nothing was attempted",
            next_step="a plan as the runbook makes it: secondsite plan " + plan.runbook,
        )
    calls = [step.call for step in plan.steps] + [step.undo for step in plan.steps if step.undo]
    probes = [step.probe for step in plan.steps if step.probe]
    unknown = sorted({f"action {c.name}" for c in calls if c.name not in registry.actions})
    unknown += sorted({f"probe {p.name}" for p in probes if p.name not in registry.probes})
    if unknown:
        raise UsageError(
            f"runbook {plan.runbook} uses what nobody provides: {', '.join(unknown)}",
            not_done="nothing was attempted",
            next_step="correct the runbook, or install what provides it",
        )
