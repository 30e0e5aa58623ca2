"""Each runbook is crashed before and after each of its effects. A new file in ``runbooks/`` is found by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from secondsite.estate.load import load_estate
from secondsite.plan.load import known_runbooks, load_plan, load_runbook
from secondsite.plan.model import Plan
from secondsite.run.model import RunState, StepState, Transition
from secondsite.run.rules import came_out_well
from secondsite.run.service import answer_for, answer_gate
from secondsite.sim.crash import Crash, CrashPoint
from secondsite.sim.facts import favourable_facts
from secondsite.sim.world import SimulatedApprovers, SimulatedEngine, SimulatedWorld, at_once, sign_in_simulation

ROOT = Path(__file__).resolve().parents[3]
RUNBOOKS = ROOT / "runbooks"
NAMES = known_runbooks(RUNBOOKS)


@cache
def plan_of(name: str, size: str) -> Plan:
    estate = load_estate(ROOT / "inventories" / size)
    directed = load_runbook(name, directory=RUNBOOKS).intent.has_direction
    origin, target = ("dc1", "dc2") if directed else (None, None)
    return load_plan(name, directory=RUNBOOKS, root=ROOT, estate=estate, origin=origin, target=target)


def engine_for(plan: Plan, crash: CrashPoint | None = None) -> SimulatedEngine:
    world = SimulatedWorld(finds=favourable_facts(plan), crash=crash)
    return SimulatedEngine(plan=plan, world=world, launch=at_once)


def a_person_who_looks(engine: SimulatedEngine) -> Callable[[Transition], None]:
    """Answer truthfully when no probe can tell whether a step happened, and consent to what waits for persons."""

    def answer(transition: Transition, /) -> None:
        gate = transition.detail.get("gate")
        if transition.state in {StepState.IN_DOUBT, StepState.WAITING} and gate is not None:
            happened = f"{engine.run}/{transition.step}" in engine.world.effects
            happened = happened or transition.state is StepState.WAITING
            for who in ("ana", "bo"):
                now = engine.clock.now()
                asked = answer_for(engine.plan, run=engine.run, gate=str(gate), who=who, granted=happened, at=now)
                answer_gate(
                    sign_in_simulation(asked),
                    run=engine.run,
                    plan=engine.plan,
                    journal=engine.journal,
                    approvers=SimulatedApprovers(),
                    now=now,
                )

    return answer


def crash_points() -> Iterator[Any]:
    """On nine hosts, and those of outlets, always; on seventeen, twice as long, with the slow tests."""
    for size, marks in (("small", ()), ("powered", ()), ("lab", (pytest.mark.slow,))):
        for name in NAMES:
            tried = {step.name for step in plan_of(name, "small").steps} if size == "powered" else set()
            for step in (step for step in plan_of(name, size).steps if step.name not in tried):
                yield from (pytest.param(size, name, step.name, moment, marks=marks) for moment in ("before", "after"))


def test_there_are_runbooks() -> None:
    assert NAMES


@pytest.mark.parametrize("size", ["small", "powered", "lab"])
@pytest.mark.parametrize("name", NAMES)
def test_a_runbook_that_is_not_disturbed_performs_every_step_once(name: str, size: str) -> None:
    plan = plan_of(name, size)
    engine = engine_for(plan)
    result = engine.drive(observers=(a_person_who_looks(engine),))
    assert result.state is RunState.DONE, result.reasons
    assert sorted(engine.world.asked) == sorted(step.name for step in plan.steps)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", ["authorise", "isolate-carrier-a", "isolate-carrier-b"])
def test_a_failover_resumed_before_the_site_was_isolated_looks_first_whether_it_is_still_lost(
    step: str, moment: str
) -> None:
    engine = engine_for(plan_of("failover", "small"), CrashPoint(step=step, moment=moment))
    with pytest.raises(Crash):
        engine.drive()
    before = len(engine.world.asked)
    to_come = {"isolate-carrier-a", "isolate-carrier-b"} - {
        attempt.key.step for attempt in engine.journal.attempts(engine.run) if attempt.result is not None
    }

    engine.drive(observers=(a_person_who_looks(engine),))

    asked_again = engine.world.asked[before:]
    assert to_come
    assert all(asked_again.index("detect") < asked_again.index(one) for one in to_come)


@pytest.mark.parametrize(("size", "name", "step", "moment"), list(crash_points()))
def test_a_run_resumed_after_a_crash_applies_each_effect_once(size: str, name: str, step: str, moment: str) -> None:
    plan = plan_of(name, size)
    calm = engine_for(plan)
    undisturbed = calm.drive(observers=(a_person_who_looks(calm),))
    engine = engine_for(plan, CrashPoint(step=step, moment=moment))
    with pytest.raises(Crash):
        engine.drive(observers=(a_person_who_looks(engine),))
    completed = {a.key.step for a in engine.journal.attempts(engine.run) if a.result is not None}
    asked_before = list(engine.world.asked)

    result = engine.drive(observers=(a_person_who_looks(engine),))

    assert result.state is RunState.DONE, result.reasons
    assert sorted(engine.world.effects) == sorted(f"{engine.run}/{one.name}" for one in plan.steps)
    asked_again = engine.world.asked[len(asked_before) :]
    readings = {one.name for one in plan.steps if one.reads_only}
    assert (completed - readings).isdisjoint(asked_again), "a completed step is not attempted again"
    assert {n for n in asked_again if n in asked_before} <= {step, *readings}
    assert all(came_out_well(one, result.steps[one.name]) for one in plan.steps)
    assert result.facts == undisturbed.facts
