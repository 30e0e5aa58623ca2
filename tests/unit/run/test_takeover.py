"""Another controller goes on from a copy that lags behind: what is not in it is looked at before it is done."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.run.test_every_runbook import a_person_who_looks, engine_for, plan_of

from secondsite.plan.model import Plan
from secondsite.run.model import NoteKind, RunState, Transition
from secondsite.sim.crash import Crash, CrashPoint
from secondsite.sim.journal import SimulatedJournal
from secondsite.sim.world import SimulatedEngine, at_once

NAMES = ("failover", "failback", "takeover")


def copied(journal: SimulatedJournal) -> SimulatedJournal:
    """Return the journal as it is now, on the other controller's disk."""
    other = SimulatedJournal(journal._power)
    other._attempts = dict(journal._attempts)
    other._notes = copy.deepcopy(journal._notes)
    return other


def lost_after(plan: Plan, step: str, moment: str) -> tuple[SimulatedEngine, list[SimulatedJournal]]:
    """Run until the controller is lost; return it, and the copies that were made on the way."""
    engine = engine_for(plan, CrashPoint(step=step, moment=moment))
    copies: list[SimulatedJournal] = []

    def keep(_transition: Transition, /) -> None:
        copies.append(copied(engine.journal))

    with pytest.raises(Crash):
        engine.drive(observers=(keep, a_person_who_looks(engine)))
    return engine, copies


def gone_on(lost: SimulatedEngine, journal: SimulatedJournal, *, marked: bool = True) -> tuple[RunState, Counter[str]]:
    """Go on elsewhere from a copy; return how the run ended, and how often each step was asked for in all."""
    other = SimulatedEngine(plan=lost.plan, world=lost.world, launch=at_once)
    other.journal = journal
    lost.world.power.restore()
    if marked:
        journal.note(other.run, NoteKind.TAKEN_OVER, "", {"who": "ana"})
    result = other.drive(observers=(a_person_who_looks(other),))
    return result.state, Counter(lost.world.asked)


def lags() -> Iterator[Any]:
    for name in NAMES:
        for step in plan_of(name, "small").steps:
            if not step.after and step.gate is None:
                continue  # lost in its first step, it has recorded nothing that could have been copied
            yield from ((name, step.name, moment, lag) for moment in ("before", "after") for lag in (1, 4, 1000))


@pytest.mark.parametrize(("name", "step", "moment", "lag"), list(lags()))
def test_however_far_the_copy_lags_no_effect_is_repeated_and_none_is_left_out(
    name: str, step: str, moment: str, lag: int
) -> None:
    plan = plan_of(name, "small")
    lost, copies = lost_after(plan, step, moment)
    state, asked = gone_on(lost, copies[max(0, len(copies) - lag)])

    assert state is RunState.DONE
    asked[step] -= moment == "before"  # it was asked for, and the controller was lost before anything came about
    harmful = [one.name for one in plan.steps if not one.may_repeat and asked[one.name] != 1]
    assert harmful == [], asked
    assert sorted(lost.world.effects) == sorted(f"{lost.run}/{one.name}" for one in plan.steps)


def test_without_the_mark_a_copy_that_lags_repeats_what_was_done() -> None:
    """The rule above can fail: this is what it is for."""
    plan = plan_of("failover", "small")
    harmful = next(one.name for one in plan.steps if not one.may_repeat)
    lost, copies = lost_after(plan, harmful, "after")
    early = next(copy for copy in copies if harmful not in {a.key.step for a in copy.attempts(lost.run)})

    _, asked = gone_on(lost, early, marked=False)

    assert asked[harmful] == 2


def test_what_another_controller_did_is_settled_once_and_for_all() -> None:
    plan = plan_of("failover", "small")
    harmful = next(one.name for one in plan.steps if not one.may_repeat)
    lost, copies = lost_after(plan, harmful, "after")
    early = next(copy for copy in copies if harmful not in {a.key.step for a in copy.attempts(lost.run)})
    gone_on(lost, early)

    again = SimulatedEngine(plan=plan, world=lost.world, launch=at_once)
    again.journal = early
    looked = len(again.seen)
    assert again.drive().state is RunState.DONE
    assert looked == 0
    assert Counter(lost.world.asked)[harmful] == 1
