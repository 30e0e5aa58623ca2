"""The stated rules of a verdict. Nothing measured is never passed: a rule without its facts is *not measured*."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from .anew import (
    both_copies_are_gone,
    controller_began_anew,
    erased_stayed_erased,
    everything_was_restored,
    loss_was_seen,
    production_is_in_time,
    vault_withstood,
)
from .endings import (
    fence_was_refuted,
    kept_writing,
    nothing_was_promoted,
    old_primary_came_back,
    resumed_in_time,
    served_again,
)
from .facts import Facts, worst
from .milestones import between
from .model import (
    AT_THE_END,
    Arm,
    CheckState,
    ObjectiveResult,
    Phase,
    RuleResult,
    Status,
    StepOutcome,
    Verdict,
)
from .restoration import served_ratio
from .wording import NOT_MEASURED, Rule, not_restored, not_watched, promised_seconds, seconds, status_of


def records_are_readable(facts: Facts) -> RuleResult:
    """A line or file that can't be read makes a pass impossible."""
    found = facts.problems
    return RuleResult(
        id="records-readable",
        claim="Every record file is there, every line can be read, and no two contradict each other",
        status=Status.NOT_MEASURED if found else Status.SATISFIED,
        saw=f"{len(found)} problem{'s' * (len(found) != 1)}, the first: {found[0]}" if found else "no problem",
        expected="no problem",
    )


def promises_were_pinned(facts: Facts) -> RuleResult:
    """The digest of what was promised must have been recorded when the drill started."""
    start = next((event for event in facts.records.events or () if event.event == "drill-started"), None)
    pinned = start.detail.get("promised_sha256") if start else None
    same = None if pinned is None else pinned == facts.records.promised_sha256
    begun_before = facts.milestones.fault_begun is not None and start is not None
    return RuleResult(
        id="promised-before-start",
        claim="Objectives were pinned before the start and are the ones judged by",
        status=status_of(same) if begun_before else Status.NOT_MEASURED,
        saw=f"pinned {str(pinned)[:12]}, judged by {str(facts.records.promised_sha256)[:12]}",
        expected="the same digest, recorded before the fault",
    )


def one_clock(facts: Facts) -> RuleResult:
    """Instants of different recorders are compared only when all read one clock."""
    clocks = facts.records.clocks
    ids = {clocks.controller, *clocks.hosts.values()} if clocks else set()
    return RuleResult(
        id="one-clock",
        claim="Every recorder read the same monotonic clock",
        status=Status.SATISFIED if clocks and clocks.hosts and len(ids) == 1 else Status.NOT_MEASURED,
        saw=f"{len(ids)} boot id{'s' * (len(ids) != 1)} among {len(clocks.hosts) + 1} recorders"
        if clocks
        else NOT_MEASURED,
        expected="1",
    )


def _steady(facts: Facts, phase: Phase, claim: str) -> RuleResult:
    checks = [check for check in facts.records.steady or () if check.phase is phase]
    red = [check.check for check in checks if check.state is CheckState.FAILED]
    unknown = [check.check for check in checks if check.state is CheckState.UNKNOWN]
    passed = len(checks) - len(red) - len(unknown)
    named = "; ".join([*(f"failed: {name}" for name in red), *(f"unknown: {name}" for name in unknown)][:5])
    return RuleResult(
        id=f"steady-{phase.value}",
        claim=claim,
        status=status_of(False if red else None if unknown or not checks else True),
        saw=f"{passed} of {len(checks)} passed" + (f" ({named})" if named else "") if checks else NOT_MEASURED,
        expected="at least one check, all passed",
    )


def steady_before(facts: Facts) -> RuleResult:
    """A drill on an estate that was already broken shows nothing."""
    return _steady(facts, Phase.BEFORE, "The estate was healthy before the fault")


def steady_after(facts: Facts) -> RuleResult:
    """A drill that leaves the estate broken is not passed."""
    return _steady(facts, Phase.AFTER, "The estate was healthy again at the end")


def customers_were_served_before(facts: Facts) -> RuleResult:
    """Traffic must have flowed at the origin before the fault, else nothing was interrupted."""
    fault, requests = facts.milestones.fault_begun, facts.records.requests
    seconds = facts.promised.service_level.served_before
    since = fault - seconds if fault is not None and seconds is not None else -math.inf
    before = [r for r in requests or () if fault is not None and since < r.t1 <= fault and r.arm is Arm.MAIN]
    ok = sum(request.outcome.value == "ok" for request in before)
    enough = bool(before) and ok >= facts.promised.service_level.ratio * len(before)
    return RuleResult(
        id="served-before",
        claim="Customers were served within the service level before the fault",
        status=Status.SATISFIED if enough else Status.NOT_MEASURED,
        saw=f"{ok} of {len(before)} requests succeeded" + (f" in its last {seconds:g} s" if seconds else "")
        if before
        else NOT_MEASURED,
        expected=f"at least {facts.promised.service_level.ratio:.2%}",
    )


def fault_is_proven(facts: Facts) -> RuleResult:
    """A fault that did not happen, or only half, proves nothing about recovery from it."""
    silence = facts.records.silence
    heard = f"{silence.packets_heard} packets and {len(silence.answers)} answers" if silence else NOT_MEASURED
    where = f" from {', '.join(silence.hosts)}" if silence else ""
    return RuleResult(
        id="fault-proven",
        claim="The fault really happened: the cut hosts fell silent and served nobody",
        status=status_of(facts.fault_proven),
        saw=f"{heard}{where}"[:200],
        expected=f"silence from {', '.join(facts.promised.fault_hosts)}"[:200],
    )


def loss_can_be_seen(facts: Facts) -> RuleResult:
    """A check that can't see loss can't say that there was none."""
    lost, held = facts.writes.control_lost, facts.milestones.held_back
    return RuleResult(
        id="control-loss-seen",
        claim="The check can see loss: the asynchronous control arm, held back before the fault, lost writes",
        status=Status.SATISFIED if lost and held is not None else Status.NOT_MEASURED,
        saw=NOT_MEASURED if lost is None else f"{lost} control writes lost" + ("" if held else ", never held back"),
        expected="more than 0",
    )


def fencing_held(facts: Facts) -> RuleResult:
    """The old site must provably be unable to serve before the new one may write (ADR 0005)."""
    return RuleResult(
        id="fencing-confirmed",
        claim="The old site was fenced, confirmed, before the new one could write, and the fence held",
        status={"confirmed": Status.SATISFIED, "failed": Status.NOT_SATISFIED}.get(facts.fencing, Status.NOT_MEASURED),
        saw=facts.fencing,
        expected="confirmed",
    )


def one_writer(facts: Facts) -> RuleResult:
    """Two nodes that can write the same workload at once are split brain."""
    most = facts.max_writers
    saw = not_watched(facts.unwatched) if most is None else f"at most {most}"
    return RuleResult(
        id="one-writer",
        claim="No two nodes could write the same workload at the same time",
        status=status_of(None if most is None else most <= 1),
        saw=saw,
        expected="at most 1, a node counting as a writer wherever nobody saw for over 1 s that it was none",
    )


def _the_site(facts: Facts) -> str:
    return "the new site" if facts.promised.fails_over else "the site that was left"


def _objective(result: ObjectiveResult, facts: Facts) -> Iterable[RuleResult]:
    if not facts.promised.refused:
        yield _rto(result, facts)
    yield _rpo(result)


def _rto(result: ObjectiveResult, facts: Facts) -> RuleResult:
    return RuleResult(
        id=f"rto:{result.workload}",
        claim=f"{result.workload} was served by {_the_site(facts)} within its RTO, and stayed so",
        status=result.rto_status,
        saw=not_restored(facts, result.arm) if result.rta is None else seconds(result.rta),
        expected=f"at most {promised_seconds(result.rto)}",
    )


def _rpo(result: ObjectiveResult) -> RuleResult:
    judged = result.rpo is not None and not (result.arm is Arm.CONTROL and result.rpo == 0)
    return RuleResult(
        id=f"rpo:{result.workload}",
        claim=f"{result.workload} lost no more than its RPO allows",
        status=result.rpo_status,
        saw=seconds(result.rpa) + (f", but {result.doubt}" if result.doubt else ""),
        expected=f"at most {promised_seconds(result.rpo)}" if judged else "measured (held back on purpose, not judged)",
    )


def no_false_words(facts: Facts) -> RuleResult:
    """No write may be there twice, nor be there though the customer was told it had failed."""
    duplicated, phantom = facts.writes.duplicated, facts.writes.phantom
    known = duplicated is not None and phantom is not None
    return RuleResult(
        id="no-false-words",
        claim="No write is there twice, and none is there that a customer was told had failed",
        status=status_of(duplicated == 0 and phantom == 0) if known else Status.NOT_MEASURED,
        saw=f"{duplicated} duplicated, {phantom} phantom" if known else NOT_MEASURED,
        expected="0 and 0",
    )


def every_row_is_explained(facts: Facts) -> RuleResult:
    """Rows that no recorded request asked for mean that requests are missing from the records."""
    extra = facts.writes.unexplained
    return RuleResult(
        id="every-row-explained",
        claim="Every row found was asked for by a recorded request",
        status=Status.SATISFIED if extra == 0 else Status.NOT_MEASURED,
        saw=NOT_MEASURED if extra is None else f"{extra} rows nobody asked for",
        expected="0",
    )


def service_held(facts: Facts) -> RuleResult:
    """From restoration until the return began the new site must have kept the service level."""
    restoration = facts.restorations.get(Arm.MAIN)
    begin = restoration.at if restoration else None
    end = facts.milestones.failback_started or (restoration.observed_until if restoration else None)
    measurable = begin is not None and end is not None and facts.records.requests is not None
    ratio = None
    if measurable and begin is not None and end is not None:
        ratio = served_ratio(facts.records.requests or (), facts.promised, begin=begin, end=end)
    wanted = facts.promised.service_level.ratio
    return RuleResult(
        id="service-held",
        claim=f"{_the_site(facts).capitalize()} kept the service level from restoration until the "
        + ("return began" if facts.promised.returns else "end"),
        status=status_of(None if ratio is None else ratio >= wanted),
        saw=NOT_MEASURED if ratio is None else f"{ratio:.3%} of requests good for {seconds(between(begin, end))}",
        expected=f"at least {wanted:.2%}",
    )


def times_are_known(facts: Facts) -> RuleResult:
    """Detection, declaration, approval and promotion must all have been recorded."""
    times = facts.times
    named = {
        "fault to detected": times.fault_to_detected,
        "detected to declared": times.detected_to_declared,
        "declared to approved": times.declared_to_approved,
        "approved to writable": times.approved_to_writable,
        "waits on people": times.waited_on_people,
    }
    missing = [name for name, value in named.items() if value is None]
    return RuleResult(
        id="times-known",
        claim="Each part of the time from fault to service is measured",
        status=Status.NOT_MEASURED if missing else Status.SATISFIED,
        saw=f"not measured: {', '.join(missing)}" if missing else "all measured",
        expected="all measured",
    )


def steps_completed(facts: Facts) -> RuleResult:
    """A step whose last attempt failed, or whose effect is unknown, is not a completed step.

    What a person's stop kept from being executed did not fail: it was not measured.
    """
    last = {(step.runbook, step.step): step for step in facts.records.steps or ()}
    bad, open_ended = {StepOutcome.FAILED, StepOutcome.REFUSED}, {StepOutcome.UNKNOWN}
    (open_ended if facts.milestones.aborted is not None else bad).add(StepOutcome.NEVER_EXECUTED)
    failed = [f"{step.step}: {step.outcome.value}" for step in last.values() if step.outcome in bad]
    unknown = [f"{step.step}: {step.outcome.value}" for step in last.values() if step.outcome in open_ended]
    return RuleResult(
        id="steps-completed",
        claim="Every step of the runbooks completed",
        status=status_of(False if failed else None if unknown or not last else True),
        saw="; ".join([*failed, *unknown][:5]) or (f"{len(last)} steps completed" if last else NOT_MEASURED),
        expected="all completed",
    )


def returned_home(facts: Facts) -> RuleResult:
    """After the failback the home site must serve customers for its own sustained period."""
    restoration, began = facts.returned, facts.milestones.failback_started
    done = facts.milestones.failback_done is not None
    took = between(began, restoration.at) if restoration else None
    expected = f"served for {facts.promised.service_level.sustained_after_return} s after the return"
    return RuleResult(
        id="returned",
        claim="Service returned home and stayed there"
        if facts.promised.returns
        else "No return was part of this drill",
        status=Status.SATISFIED if not facts.promised.returns or (done and took is not None) else Status.NOT_MEASURED,
        saw="home served again " + seconds(took) + " after the return began" if took is not None else NOT_MEASURED,
        expected=expected if facts.promised.returns else "nothing",
    )


def nothing_is_left(facts: Facts) -> RuleResult:
    """An injected fault that is still in force is not a finished drill."""
    return RuleResult(
        id="cleanup-empty",
        claim="Nothing the drill injected or isolated is left in force",
        status=status_of(None if facts.cleanup is None else facts.cleanup == "empty"),
        saw=facts.cleanup or NOT_MEASURED,
        expected="empty",
    )


BEFORE: tuple[Rule, ...] = (
    records_are_readable,
    promises_were_pinned,
    one_clock,
    steady_before,
    customers_were_served_before,
    fault_is_proven,
    loss_can_be_seen,
    fencing_held,
    one_writer,
)
BEFORE_ANEW: tuple[Rule, ...] = (
    records_are_readable,
    promises_were_pinned,
    one_clock,
    steady_before,
    customers_were_served_before,
    vault_withstood,
    fault_is_proven,
    both_copies_are_gone,
    controller_began_anew,
    loss_was_seen,
    fencing_held,
    one_writer,
)
AFTER_ANEW: tuple[Rule, ...] = (
    no_false_words,
    every_row_is_explained,
    everything_was_restored,
    erased_stayed_erased,
    production_is_in_time,
    service_held,
    times_are_known,
    steps_completed,
    steady_after,
    nothing_is_left,
)
BEFORE_ENDURED: tuple[Rule, ...] = (
    records_are_readable,
    promises_were_pinned,
    one_clock,
    steady_before,
    customers_were_served_before,
    fault_is_proven,
    nothing_was_promoted,
    kept_writing,
    one_writer,
    resumed_in_time,
)
AFTER_ENDURED: tuple[Rule, ...] = (
    no_false_words,
    every_row_is_explained,
    service_held,
    steady_after,
    nothing_is_left,
)
BEFORE_REFUSED: tuple[Rule, ...] = (
    records_are_readable,
    promises_were_pinned,
    one_clock,
    steady_before,
    customers_were_served_before,
    fault_is_proven,
    fence_was_refuted,
    nothing_was_promoted,
    one_writer,
)
AFTER_REFUSED: tuple[Rule, ...] = (
    no_false_words,
    every_row_is_explained,
    served_again,
    steady_after,
    nothing_is_left,
)
AFTER: tuple[Rule, ...] = (
    no_false_words,
    every_row_is_explained,
    service_held,
    times_are_known,
    steps_completed,
    returned_home,
    steady_after,
    nothing_is_left,
)


def apply_rules(facts: Facts) -> tuple[RuleResult, ...]:
    """Return every rule, applied, in the order they are printed."""
    objectives = (rule for result in facts.objectives for rule in _objective(result, facts))
    before, after = _rules_for(facts)
    return (*(rule(facts) for rule in before), *objectives, *(rule(facts) for rule in after))


def _rules_for(facts: Facts) -> tuple[tuple[Rule, ...], tuple[Rule, ...]]:
    promised = facts.promised
    if promised.begins_anew:
        return BEFORE_ANEW, tuple(rule for rule in AFTER_ANEW if promised.erases or rule is not erased_stayed_erased)
    if promised.refused:
        return BEFORE_REFUSED, AFTER_REFUSED
    if promised.endured:
        stops = promised.writers_may_stop
        return tuple(rule for rule in BEFORE_ENDURED if not (stops and rule is kept_writing)), AFTER_ENDURED
    came_back = () if promised.comes_back == AT_THE_END else (old_primary_came_back,)
    return (*BEFORE, *came_back), AFTER


def verdict_of(rules: Sequence[RuleResult], *, aborted: bool) -> Verdict:
    """Return failed if any rule is not satisfied; else aborted, if it was; else inconclusive if any is not measured.

    An abort never hides a failure that was seen, and no rules at all are no pass.
    """
    status = worst([rule.status for rule in rules])
    if status is Status.NOT_SATISFIED:
        return Verdict.FAILED
    if aborted:
        return Verdict.ABORTED
    return Verdict.INCONCLUSIVE if status is Status.NOT_MEASURED else Verdict.PASSED
