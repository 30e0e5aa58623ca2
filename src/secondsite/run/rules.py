"""What the recorded entries of a run mean. Total: any entries give a state for every step."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterator, Mapping, Sequence

from ..errors import Effect
from ..plan.model import Plan, Step
from .model import (
    Answer,
    Attempt,
    Consent,
    HeardAnswer,
    Interruption,
    Json,
    Note,
    NoteKind,
    RunResult,
    RunState,
    StepRecord,
    StepResult,
    StepState,
    StopOrder,
)
from .roles import beginning_in

LONGEST_APPROVAL = dt.timedelta(hours=24)
_CLOCKS_DIFFER = dt.timedelta(minutes=5)
_DOUBT = "in-doubt:"
DRIFT = "drift:"
ENGINE = "engine:"
OVERRIDE = "override:"
BREAK_GLASS = "break-glass"
"""The name of a key that lies sealed: with it one person can do what takes two, and everybody sees it."""


def fold(plan: Plan, attempts: Sequence[Attempt], notes: Sequence[Note]) -> Mapping[str, StepRecord]:
    """Return what the journal says of every step of the plan.

    Entries about other steps are ignored; an attempt without a result is in doubt until a note settles it.
    """
    tries: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        tries.setdefault(attempt.key.step, []).append(attempt)
    by_kind = {(note.kind, note.name): note.body for note in notes}
    return {step.name: _record(step, tries.get(step.name, []), by_kind) for step in plan.steps}


def _record(step: Step, tries: Sequence[Attempt], notes: Mapping[tuple[NoteKind, str], Json]) -> StepRecord:
    refused = notes.get((NoteKind.REFUSED, step.name))
    closed = notes.get((NoteKind.GATE_CLOSED, step.name))
    opened = (NoteKind.GATE_OPENED, step.name) in notes
    consent = consent_from(closed) if closed is not None else None
    last = max(tries, key=lambda attempt: attempt.key.attempt, default=None)
    state, result = _untried(refused, consent, opened=opened)
    settled = notes.get((NoteKind.SETTLED, attempt_name(step.name, 0)))  # what another controller did, unrecorded here
    if settled is not None and effect_in(settled) is Effect.APPLIED:
        state, result = StepState.VERIFIED, _settled_result(settled)
    if last is not None:
        settled = notes.get((NoteKind.SETTLED, attempt_name(step.name, last.key.attempt)))
        state, result = _tried(step, last, settled, notes.get((NoteKind.VERIFIED, step.name)))
    return StepRecord(
        state=state,
        attempts=last.key.attempt if last else 0,
        result=result,
        reasons=tuple(str(reason) for reason in _list((refused or {}).get("reasons"))),
        consent=consent,
        settled=settled is not None,
    )


def was_taken_over(notes: Sequence[Note]) -> bool:
    """Say whether another controller may have done more than is recorded here."""
    return any(note.kind is NoteKind.TAKEN_OVER for note in notes)


def _untried(refused: Json | None, consent: Consent | None, *, opened: bool) -> tuple[StepState, StepResult | None]:
    if refused is not None or (consent is not None and not consent.granted):
        return StepState.REFUSED, None
    return (StepState.WAITING if opened and consent is None else StepState.PLANNED), None


def _tried(
    step: Step, last: Attempt, settled: Json | None, verified: Json | None
) -> tuple[StepState, StepResult | None]:
    result = last.result
    if result is None:
        return _in_doubt(settled)
    if result.state is StepState.UNKNOWN and settled is not None:
        effect = effect_in(settled)
        if effect is Effect.APPLIED:
            return StepState.VERIFIED, _settled_result(settled)
        return (StepState.NOT_VERIFIED if effect is Effect.NONE else StepState.UNKNOWN), result
    if result.state is StepState.DONE and step.verify and verified is not None:
        seen = effect_in(verified) is Effect.APPLIED
        return (StepState.VERIFIED if seen else StepState.NOT_VERIFIED), result
    return result.state, result


def _in_doubt(settled: Json | None) -> tuple[StepState, StepResult | None]:
    effect = effect_in(settled) if settled is not None else Effect.UNKNOWN
    if settled is None or effect is Effect.UNKNOWN:
        return StepState.IN_DOUBT, None
    if effect is Effect.NONE:
        return StepState.PLANNED, None
    return StepState.VERIFIED, _settled_result(settled)


def _settled_result(settled: Json) -> StepResult:
    detail = settled.get("detail")
    return StepResult(state=StepState.VERIFIED, changed=True, detail=detail if isinstance(detail, Mapping) else {})


def came_out_well(step: Step, record: StepRecord) -> bool:
    """Say whether steps that follow this one may start."""
    if record.state is StepState.VERIFIED:
        return True
    return record.state is StepState.DONE and not step.verify


def stale_readings(plan: Plan, *, well: Collection[str]) -> frozenset[str]:
    """Name the completed readings that a resumed run must make again before it goes on.

    What was read before an interruption (a fence confirmed, a lease, a site lost) may have changed since. A reading
    is stale when a guard of a step that is still to come relies on it; so is every reading that followed a stale one.
    """
    steps = {step.name: step for step in plan.steps}
    to_come = [step for step in plan.steps if step.name not in well]
    relied_on = {name for step in to_come for guard in step.guards for name in guard.on}
    stale = {name for name in relied_on if name in well and steps[name].reads_only}
    while more := {
        step.name
        for step in plan.steps
        if step.reads_only and step.name in well and step.name not in stale and stale & set(step.after)
    }:
        stale |= more
    return frozenset(stale)


def attempt_name(step: str, attempt: int) -> str:
    """Return the name under which the settlement of an attempt is noted."""
    return f"{step}#{attempt}"


def doubt_gate(step: str, attempt: int) -> str:
    """Return the name of the gate that asks a person whether an attempt had its effect."""
    return f"{_DOUBT}{step}#{attempt}"


def step_of_gate(gate: str) -> str:
    """Return the name of the step whose gate has this name."""
    for prefix in (_DOUBT, OVERRIDE):
        if gate.startswith(prefix):
            return gate.removeprefix(prefix).rpartition("#")[0]
    return gate


def targets_of(plan: Plan, gate: str) -> tuple[str, ...]:
    """Return the hosts that consent at a gate lets a run touch: those of its step and of all that come after it.

    Consent to what differs from when the run was begun lets it touch every host of its plan.
    """
    if gate.startswith((DRIFT, ENGINE)):
        return tuple(sorted({host for step in plan.steps for host in step.hosts}))
    reached = {step_of_gate(gate)}
    while more := {step.name for step in plan.steps if step.name not in reached and reached & set(step.after)}:
        reached |= more
    return tuple(sorted({host for step in plan.steps if step.name in reached for host in step.hosts}))


def is_break_glass(who: object) -> bool:
    """Say whether this is the name under which the sealed key signs."""
    return str(who).strip().casefold() == BREAK_GLASS


def effect_in(body: Json) -> Effect:
    """Return the effect a note speaks of; an unreadable word is unknown, and unknown never passes."""
    word = body.get("effect")
    return next((effect for effect in Effect if effect.value == word), Effect.UNKNOWN)


def consent_from(body: Json) -> Consent:
    """Return the consent a note holds; only a plain true grants."""
    waited = body.get("waited_ms")
    return Consent(
        granted=body.get("granted") is True,
        by=tuple(str(who) for who in _list(body.get("by"))),
        standing_order=str(body.get("standing_order", "")),
        waited_ms=waited if isinstance(waited, int) else 0,
    )


def reasons_not_to_accept(
    answer: Answer, *, run: str, plan: Plan, gates: Sequence[str], now: dt.datetime
) -> Iterator[str]:
    """Yield every reason why an answer is not one, now, to a gate of this run of this plan."""
    if answer.run != run:
        yield f"the answer is for run {answer.run}, not for {run}"
    if answer.gate not in gates:
        yield f"run {run} has no open gate {answer.gate!r}"
    if answer.plan_digest != plan.digest:
        yield f"the answer is for plan {answer.plan_digest[:12]}, this run's is {plan.digest[:12]}"
    if not answer.who.strip():
        yield "the answer does not say whose it is"
    if is_break_glass(answer.who) and answer.granted and not answer.reason.strip():
        yield f"{BREAK_GLASS} is used with a reason"
    wanted = targets_of(plan, answer.gate)
    if answer.targets != wanted:
        yield f"the answer is for {_listed(answer.targets)}, this gate is about {_listed(wanted)}"
    yield from _reasons_not_in_force(answer, now)


def _reasons_not_in_force(answer: Answer, now: dt.datetime) -> Iterator[str]:
    try:
        at, expires = dt.datetime.fromisoformat(answer.at), dt.datetime.fromisoformat(answer.expires)
        lasts, early, late = expires - at, at - now, now >= expires
    except (ValueError, TypeError):
        yield "the answer does not say from when until when it holds"
        return
    if late:
        yield f"the answer expired at {answer.expires}"
    if early > _CLOCKS_DIFFER:
        yield f"the answer is of {answer.at}, which is not yet"
    if not dt.timedelta(0) < lasts <= LONGEST_APPROVAL:
        yield f"the answer holds for {lasts}, and {LONGEST_APPROVAL} is the longest"


def _listed(hosts: Sequence[str]) -> str:
    return ", ".join(hosts) or "no host"


def answer_statement(answer: Answer) -> bytes:
    """Return what a person signs: everything the answer says, as one line of JSON with its keys in order.

    Whoever verifies evidence makes it anew without the engine (``evidence.roles.approval_statement``).
    """
    body = {name: value for name, value in answer_body(answer).items() if name != "signature"}
    return json.dumps({"kind": "approval", "schema_version": 1, **body}, sort_keys=True, ensure_ascii=True).encode()


def answer_name(answer: Answer) -> str:
    """Return the name under which an answer is noted."""
    return f"{answer.gate}/{answer.who}/{answer.at}"


def answer_body(answer: Answer) -> Json:
    """Return an answer as it is recorded."""
    return {
        "run": answer.run,
        "gate": answer.gate,
        "plan_digest": answer.plan_digest,
        "targets": list(answer.targets),
        "who": answer.who,
        "granted": answer.granted,
        "at": answer.at,
        "expires": answer.expires,
        "signature": answer.signature,
        **({"reason": answer.reason} if answer.reason else {}),
    }


def answer_from(body: Json) -> Answer:
    """Return the answer a note holds; only a plain true grants."""
    return Answer(
        run=str(body.get("run", "")),
        gate=str(body.get("gate", "")),
        plan_digest=str(body.get("plan_digest", "")),
        targets=tuple(str(host) for host in _list(body.get("targets"))),
        who=str(body.get("who", "")),
        granted=body.get("granted") is True,
        at=str(body.get("at", "")),
        expires=str(body.get("expires", "")),
        signature=str(body.get("signature", "")),
        reason=str(body.get("reason", "")),
    )


def tally(answers: Sequence[HeardAnswer], *, persons: int) -> bool | None:
    """Return what the answers to one gate come to: refused by any, granted by enough persons, else still open.

    Persons are as many as there are different names and different keys: one key under two names is one person.
    """
    if any(not heard.answer.granted for heard in answers):
        return False
    names, keys = {heard.answer.who.strip().casefold() for heard in answers}, {heard.key for heard in answers}
    return True if min(len(names), len(keys)) >= persons else None


def run_state(notes: Sequence[Note]) -> RunState:
    """Return how a run ended, or that it is open; the last word counts."""
    state = RunState.OPEN
    for note in notes:
        if note.kind is NoteKind.INTERRUPTED:
            state = RunState.INTERRUPTED
        if note.kind is NoteKind.RESUMED:
            state = RunState.OPEN
        if note.kind is NoteKind.ENDED:
            return next((s for s in RunState if s.value == note.body.get("state")), RunState.FAILED)
    return state


def interruption(attempts: Sequence[Attempt], notes: Sequence[Note]) -> Interruption:
    """Return what is known of an engine that is gone and left a run that has not ended."""
    ends = [note for note in notes if note.kind in {NoteKind.INTERRUPTED, NoteKind.RESUMED}]
    settled = {note.name for note in notes if note.kind is NoteKind.SETTLED}
    last: dict[str, Attempt] = {}
    for attempt in sorted(attempts, key=lambda one: one.key.attempt):
        last[attempt.key.step] = attempt
    in_doubt = [
        step
        for step, attempt in last.items()
        if attempt.result is None and attempt_name(step, attempt.key.attempt) not in settled
    ]
    instants = [*(note.body.get("at") for note in notes), *(attempt.intent.get("at") for attempt in attempts)]
    return Interruption(
        was_asked=bool(ends) and ends[-1].kind is NoteKind.INTERRUPTED,
        last_heard=max((one for one in instants if isinstance(one, str)), default=""),
        resumed_at="",
        in_doubt=tuple(sorted(in_doubt)),
    )


def interruption_body(found: Interruption, *, resumed_at: str) -> Json:
    """Return an interruption as it is recorded when its run is resumed."""
    return {
        "at": resumed_at,
        "was_asked": found.was_asked,
        "last_heard": found.last_heard,
        "in_doubt": list(found.in_doubt),
    }


def interruptions(notes: Sequence[Note]) -> tuple[Interruption, ...]:
    """Return every interruption after which the run was resumed, in order."""
    return tuple(
        Interruption(
            was_asked=note.body.get("was_asked") is True,
            last_heard=str(note.body.get("last_heard", "")),
            resumed_at=str(note.body.get("at", "")),
            in_doubt=tuple(str(step) for step in _list(note.body.get("in_doubt"))),
        )
        for note in notes
        if note.kind is NoteKind.RESUMED
    )


def exit_code_of(state: RunState, records: Mapping[str, StepRecord]) -> int:
    """Return the exit code of a run that ended; a failed run never gives 0."""
    match state:
        case RunState.DONE:
            return 0
        case RunState.REFUSED | RunState.ABORTED:
            return 5
        case _:
            codes = {r.result.exit_code for r in records.values() if r.result and r.state.ended_badly} - {0}
            return codes.pop() if len(codes) == 1 else 3


def ended_state(plan: Plan, records: Mapping[str, StepRecord]) -> RunState:
    """Return how a run ends whose steps stand like this and that starts no more."""
    if all(came_out_well(step, records[step.name]) for step in plan.steps):
        return RunState.DONE
    bad = {record.state for record in records.values() if record.state.ended_badly}
    return RunState.REFUSED if bad == {StepState.REFUSED} else RunState.FAILED


def remarks_in(notes: Sequence[Note]) -> tuple[str, ...]:
    """Say what nobody may overlook who reads of this run: what persons let pass that rules would have refused."""
    told = []
    reasons = {
        str(note.body.get("gate")): note.body.get("reason")
        for note in notes
        if note.kind is NoteKind.ANSWER and is_break_glass(note.body.get("who"))
    }
    closed = {note.name for note in notes if note.kind is NoteKind.GATE_CLOSED}
    for note in notes:
        by = [str(who) for who in _list(note.body.get("by"))]
        if note.kind is NoteKind.GATE_CLOSED and note.body.get("granted") and any(map(is_break_glass, by)):
            persons = ", ".join(who for who in by if not is_break_glass(who)) or "nobody else"
            told.append(f"THE GLASS WAS BROKEN at {note.name}, with {persons}: {reasons.get(note.name)}")
        deviates = note.kind is NoteKind.GATE_CLOSED and note.name.startswith((DRIFT, ENGINE, OVERRIDE))
        if deviates and note.body.get("granted"):
            what = "; ".join(str(line) for line in _list(note.body.get("what")))
            although = "to" if note.name.startswith(OVERRIDE) else "to go on although"
            told.append(f"{', '.join(by)} consented {although} {what}")
        if note.kind is NoteKind.GATE_OPENED and note.name.startswith(OVERRIDE) and note.name not in closed:
            what = "; ".join(str(line) for line in _list(note.body.get("what")))
            told.append(f"TWO PERSONS ARE ASKED, at {note.name}, to {what}")
        if note.kind is NoteKind.OVERRIDE:
            did = "asked that two persons may override" if note.body.get("asks") else "overrode"
            told.append(f"{note.body.get('who')} {did} {note.name} ({note.body.get('why')}): {note.body.get('reason')}")
        if note.kind is NoteKind.TAKEN_BACK:
            told += _told_of_taking_back(note.body)
    return tuple(told)


def _told_of_taking_back(body: Json) -> Iterator[str]:
    undone, failed, kept = body.get("undone"), body.get("failed"), body.get("kept")
    yield f"taken back: {', '.join(str(name).removeprefix('undo:') for name in _list(undone)) or 'nothing'}"
    for name, why in failed.items() if isinstance(failed, Mapping) else ():
        yield f"NOT taken back: {str(name).removeprefix('undo:')}: {why}"
    for name, why in kept.items() if isinstance(kept, Mapping) else ():
        yield f"stays: {name}: {why}"


def reasons_in(records: Mapping[str, StepRecord]) -> tuple[str, ...]:
    """Say of every step that ended badly why."""
    bad = {name: record for name, record in records.items() if record.state.ended_badly}
    return tuple(f"{name}: {_why(record)}" for name, record in bad.items())


def result_of(
    run: str,
    state: RunState,
    exit_code: int,
    *,
    records: Mapping[str, StepRecord],
    notes: Sequence[Note],
    stopped_by: StopOrder | None,
) -> RunResult:
    """Return how a run stands, with everything that nobody may overlook."""
    reasons = reasons_in(records)
    return RunResult(
        run=run,
        state=state,
        exit_code=exit_code,
        steps=dict(records),
        reasons=reasons if stopped_by is None else (str(stopped_by), *reasons),
        stopped_by=stopped_by,
        remarks=remarks_in(notes),
        beginning=beginning_in(notes),
    )


def _why(record: StepRecord) -> str:
    return "; ".join(record.reasons) or (record.result.error if record.result else "") or record.state.value


def result_body(result: StepResult) -> dict[str, object]:
    """Return a result as it is recorded."""
    return {
        "state": result.state.value,
        "changed": result.changed,
        "detail": dict(result.detail),
        "error": result.error,
        "exit_code": result.exit_code,
    }


def result_from(body: Json) -> StepResult:
    """Return a recorded result; an unreadable state is unknown."""
    detail = body.get("detail")
    code = body.get("exit_code")
    return StepResult(
        state=next((s for s in StepState if s.value == body.get("state")), StepState.UNKNOWN),
        changed=body.get("changed") is True,
        detail=detail if isinstance(detail, Mapping) else {},
        error=str(body.get("error", "")),
        exit_code=code if isinstance(code, int) else 1,
    )


def resolved(value: object, facts: Mapping[str, Json]) -> object:
    """Return an argument with every reference to a result replaced by what that step found.

    Raises:
        KeyError: a step left no such field; the name says which.
    """
    if isinstance(value, Mapping):
        if set(value) == {"result_of", "field"}:
            step, field = str(value["result_of"]), str(value["field"])
            if field not in facts.get(step, {}):
                raise KeyError(f"step {step} left no result named {field}")
            return facts[step][field]
        return {key: resolved(inner, facts) for key, inner in value.items()}
    if isinstance(value, list):
        return [resolved(inner, facts) for inner in value]
    return value


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()
