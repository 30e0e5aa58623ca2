"""The failover as a picture: milestones, steps as bars, the critical path, and waits on people apart."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from ..measure.facts import Facts
from ..measure.model import Arm, Consent, StepOutcome, StepRecord
from .svg import WIDTH, Mark, Picture, Scale, stagger, text_width, time_axis

LEFT, RIGHT = 318, 1010
ROW, BAR = 24, 14
LABEL_ROW = 17
MOST_ROWS = 60
BAD = frozenset({StepOutcome.FAILED, StepOutcome.REFUSED, StepOutcome.UNKNOWN})


def failover_steps(facts: Facts) -> list[StepRecord]:
    """Return the steps that ran before the return began, by start."""
    back = facts.milestones.failback_started
    ran = [s for s in facts.records.steps or () if s.t0 is not None and (back is None or s.t0 < back)]
    return sorted(ran, key=lambda step: (step.t0 or 0.0, step.t1 or 0.0))


def critical_path(steps: Sequence[StepRecord]) -> frozenset[str]:
    """Return the chain of steps that decided the end: from the last to end, back over what it waited for longest."""
    by_name = {step.step: step for step in steps if step.t1 is not None}
    path: set[str] = set()
    step = max(by_name.values(), key=lambda item: item.t1 or 0.0, default=None)
    while step is not None and step.step not in path:
        path.add(step.step)
        before = [by_name[name] for name in step.after if name in by_name]
        step = max(before, key=lambda item: item.t1 or 0.0, default=None)
    return frozenset(path)


def milestone_marks(facts: Facts) -> list[Mark]:
    """Return the failover's milestones relative to the fault, in order of time."""
    m = facts.milestones
    main = facts.restorations.get(Arm.MAIN)
    also_lost = next((event.t for event in facts.records.events or () if event.event == "also-lost"), None)
    found = (
        ("fault", m.fault_begun, "mark bad"),
        ("detected", m.detected, "mark"),
        ("declared", m.declared, "mark"),
        ("headquarters lost", also_lost, "mark bad"),
        ("approved", m.approved, "mark"),
        ("fenced", m.fenced, "mark"),
        ("writable", m.writable, "mark"),
        ("customers restored", main.at if main else None, "mark good"),
    )
    zero = m.fault_begun
    marks = [Mark(at=t - zero, name=name, kind=kind) for name, t, kind in found if t is not None and zero is not None]
    return sorted(marks, key=lambda mark: mark.at)


def _milestones(picture: Picture, marks: Sequence[Mark], scale: Scale, bottom: float) -> float:
    """Draw the labels in as many rows as they need, and a line down from each; return where the bars may begin."""
    labels = [f"{mark.name} {mark.at:+.2f}" if mark.at else mark.name for mark in marks]
    placed = stagger([(scale(mark.at), label) for mark, label in zip(marks, labels, strict=True)], right=WIDTH - 4)
    rows = max((row for _, row in placed), default=0) + 1
    base = rows * LABEL_ROW + 6
    for mark, label, (left, row) in zip(marks, labels, placed, strict=True):
        x, y = scale(mark.at), LABEL_ROW * (row + 1) - 4
        picture.line((x, y + 4, x, base + bottom), mark.kind)
        picture.words(left + text_width(label) / 2, y, label, f"label {mark.kind}", anchor="middle", room=300)
    return base


def _bar(picture: Picture, step: StepRecord, scale: Scale, zero: float, top: float, *, critical: bool) -> None:
    begin = scale((step.t0 or zero) - zero)
    end = scale((step.t1 if step.t1 is not None else step.t0 or zero) - zero)
    kind = "bar bad" if step.outcome in BAD else "bar critical" if critical else "bar"
    took = f"{(step.t1 or 0) - (step.t0 or 0):.2f} s" if step.t1 is not None else "no end recorded"
    title = step.title or step.step
    picture.words(LEFT - 12, top + BAR - 3, title, "row critical" if critical else "row", anchor="end", room=LEFT - 12)
    picture.box((begin, top, end - begin, BAR), kind, hint=f"{title}: {took} on {', '.join(step.hosts)}", round_=3)
    wide = text_width(took) + 8
    fits = end + wide < RIGHT
    picture.words(end + 6 if fits else begin - 6, top + BAR - 3, took, "took", anchor="start" if fits else "end")


def _waits(picture: Picture, facts: Facts, scale: Scale, zero: float, top: float) -> None:
    consents: Sequence[Consent] = facts.records.approvals.consents if facts.records.approvals else ()
    people = [consent for consent in consents if consent.by == "persons"]
    picture.words(LEFT - 12, top + BAR - 3, "waits on people", "row wait", anchor="end", room=LEFT)
    for consent in people:
        begin, end = scale(consent.asked - zero), scale(consent.answered - zero)
        picture.box((begin, top, end - begin, BAR), "wait", hint=f"{consent.gate}: {', '.join(consent.persons)}")
    if not people:
        known = facts.times.waited_on_people is not None
        said = "nobody was waited for: the standing order gave consent" if known else "not measured"
        picture.words(scale(0) + 6, top + BAR - 3, said, "took")


def draw_timeline(facts: Facts) -> Markup | None:
    """Return the picture; None when there is no fault instant or no step to draw."""
    zero = facts.milestones.fault_begun
    steps = failover_steps(facts)[:MOST_ROWS]
    marks = milestone_marks(facts)
    if zero is None or not steps:
        return None
    ends = [mark.at for mark in marks] + [step.t1 - zero for step in steps if step.t1 is not None]
    latest = max(ends, default=1.0)
    scale = Scale(low=-0.04 * latest, high=max(latest * 1.06, 0.1), left=LEFT, right=RIGHT)
    path = critical_path(steps)
    picture = Picture(
        title="Timeline of the failover",
        description=f"{len(steps)} steps as bars over seconds since the fault; on the critical path: {len(path)}.",
    )
    height = (len(steps) + 1) * ROW + 8
    base = _label_rows(marks, scale) * LABEL_ROW + 6
    time_axis(picture, scale, top=base, bottom=base + height)
    _milestones(picture, marks, scale, height)
    for index, step in enumerate(steps):
        _bar(picture, step, scale, zero, base + 8 + index * ROW, critical=step.step in path)
    _waits(picture, facts, scale, zero, base + 8 + len(steps) * ROW)
    return picture.done(base + height + 26)


def _label_rows(marks: Sequence[Mark], scale: Scale) -> int:
    labels = [(scale(mark.at), f"{mark.name} {mark.at:+.2f}" if mark.at else mark.name) for mark in marks]
    return max((row for _, row in stagger(labels, right=WIDTH - 4)), default=0) + 1
