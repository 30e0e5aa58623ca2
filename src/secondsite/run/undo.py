"""What an aborted run takes back, and what it must not. Facts in, steps and reasons out.

Taken back is what has an undo, in reverse order. What something irreversible rests on stays. Once a writer was
promoted nothing is taken back at all: a fence lifted then would let the old site write beside the new one, and a name
turned back would lead customers to the site that lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..plan.model import Call, Plan, Step
from ..plan.rules import DESTRUCTIVE, PROMOTING
from .model import Json, StepRecord, StepState
from .rules import resolved

UNDO = "undo:"
_WELL = frozenset({StepState.DONE, StepState.VERIFIED})
_NEVER = frozenset({StepState.PLANNED, StepState.WAITING, StepState.REFUSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class TakingBack:
    """``steps`` take back, each after what rested on it; ``kept`` says of each effect that stays why it does."""

    steps: tuple[Step, ...] = ()
    kept: Mapping[str, str] = field(default_factory=dict)


def has_effect(step: Step, record: StepRecord) -> bool | None:
    """Say whether a step's effect is in force; None is not knowing."""
    if step.reads_only or record.state in _NEVER:
        return False
    if record.state in _WELL:
        return record.result is None or record.result.changed
    if record.state is StepState.FAILED and record.result is not None and not record.result.changed:
        return False
    return None


def taking_back(plan: Plan, records: Mapping[str, StepRecord]) -> TakingBack:
    """Return what to take back of a run that stands like this."""
    effects = {step.name: has_effect(step, records[step.name]) for step in plan.steps}
    followers = _followers(plan)
    promoted = [s.name for s in plan.steps if s.call.name in PROMOTING and effects[s.name] is not False]
    facts = {name: record.result.detail for name, record in records.items() if record.result is not None}
    kept: dict[str, str] = {}
    undone: dict[str, Step] = {}
    for step in reversed(plan.steps):
        if effects[step.name] is False:
            continue
        resting = [name for name in followers[step.name] if name in kept]
        why = next(_reasons_to_keep(step, effects[step.name], promoted=promoted, resting=resting), None)
        undo = _resolved(step.undo, facts) if step.undo is not None and why is None else None
        if undo is None:
            kept[step.name] = why or "what its undo needs to know was not recorded"
            continue
        after = tuple(f"{UNDO}{name}" for name in followers[step.name] if name in undone)
        undone[step.name] = _undoing(step, undo, after=after)
    return TakingBack(steps=tuple(undone.values()), kept=kept)


def _reasons_to_keep(step: Step, effect: bool | None, *, promoted: list[str], resting: list[str]) -> Iterator[str]:  # noqa: FBT001  what is known of it
    if step.undo is None:
        yield "nothing undoes it" if effect else "it may have happened, and nothing undoes it"
    if promoted:
        yield f"{promoted[0]} made another site the writer, or may have: fences, names and services follow the writer"
    if resting:
        yield f"{resting[0]} rests on it and stays"
    if effect is None and not step.may_repeat:
        yield "whether it happened is not known"


def _undoing(step: Step, undo: Call, *, after: tuple[str, ...]) -> Step:
    return Step(
        name=f"{UNDO}{step.name}",
        title=f"Take back: {step.title}",
        call=undo,
        hosts=step.hosts,
        after=after,
        repeatable=step.may_repeat,
        timeout=step.timeout,
        expected=step.expected,
        destroys=step.hosts if undo.name in DESTRUCTIVE else (),
    )


def _followers(plan: Plan) -> Mapping[str, tuple[str, ...]]:
    """Name, for every step, all that come after it, directly or not."""
    found: dict[str, set[str]] = {step.name: set() for step in plan.steps}
    for step in reversed(plan.steps):  # a plan's steps stand in order
        for name in step.after:
            found[name] |= {step.name, *found[step.name]}
    return {name: tuple(one.name for one in plan.steps if one.name in later) for name, later in found.items()}


def _resolved(call: Call, facts: Mapping[str, Json]) -> Call | None:
    try:
        return Call(name=call.name, arguments={key: resolved(value, facts) for key, value in call.arguments.items()})
    except KeyError:
        return None
