"""Nothing is taken away without two persons: a property of every plan, however its runbook was edited."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from secondsite.errors import ConfigError, Refused, UsageError
from secondsite.estate.load import load_estate
from secondsite.estate.model import Estate
from secondsite.plan.builder import PlanBuilder, Runbook, build_plan, call, gate
from secondsite.plan.consent import CUTTING, steps_nobody_consents_to
from secondsite.plan.load import known_runbooks, load_plan, load_runbook
from secondsite.plan.model import Gate, Intent, Plan, Step
from secondsite.plan.rules import DESTRUCTIVE
from secondsite.run.model import RunState, StepState, Transition
from secondsite.run.service import answer_for, answer_gate, start_run
from secondsite.run.stop import Stop
from secondsite.sim.facts import favourable_facts
from secondsite.sim.world import (
    OrdersFor,
    SimulatedApprovers,
    SimulatedEngine,
    SimulatedWorld,
    at_once,
    sign_in_simulation,
)

ROOT = Path(__file__).parents[3]
RUNBOOKS = ROOT / "runbooks"
SMALL = load_estate(ROOT / "inventories" / "small")
POWERED = load_estate(ROOT / "inventories" / "powered")
MOVES = [
    pytest.param(name, estate, id=f"{name} {estate.name}")
    for name in known_runbooks(RUNBOOKS)
    if load_runbook(name, directory=RUNBOOKS).intent in {Intent.FAILOVER, Intent.FAILBACK}
    for estate in (SMALL, POWERED)
]


def plan_of(name: str, estate: Estate) -> Plan:
    return load_plan(name, directory=RUNBOOKS, root=ROOT, estate=estate, origin="dc1", target="dc2")


def taking(plan: Plan) -> set[str]:
    return {step.name for step in plan.steps if step.destroys or step.call.name in DESTRUCTIVE | CUTTING}


def built(asks: Gate | None, *, after: tuple[str, ...] = ("agree",), action: str = "rebuild") -> Plan:
    def build(_estate: Estate, plan: PlanBuilder) -> None:
        plan.step("agree", title="Agree", call=call("authorise"), gate=asks)
        plan.step("between", title="Between", call=call("reach"), after=("agree",))
        destroys = ("db-dc1",) if action in DESTRUCTIVE else ()
        plan.step("take", title="Take", call=call(action), hosts=("db-dc1",), destroys=destroys, after=after)

    book = Runbook(name="taking", title="Taking", intent=Intent.PROVISION, build=build)
    return build_plan(book, SMALL, origin=None, target=None, pinning=lambda _used: {})


@pytest.mark.parametrize("action", sorted(DESTRUCTIVE | CUTTING))
@pytest.mark.parametrize(
    ("asks", "after"),
    [
        pytest.param(None, ("agree",), id="nobody asked"),
        pytest.param(gate(persons=1), ("agree",), id="one person asked"),
        pytest.param(gate(persons=2), (), id="asked beside it"),
    ],
)
def test_a_plan_that_takes_something_away_without_two_persons_can_t_be_made(
    asks: Gate | None, after: tuple[str, ...], action: str
) -> None:
    with pytest.raises(ConfigError, match="follows no step to which two persons must consent"):
        built(asks, after=after, action=action)


@pytest.mark.parametrize("after", [("agree",), ("between",)])
def test_a_gate_of_two_persons_anywhere_before_it_will_do(after: tuple[str, ...]) -> None:
    assert built(gate(persons=2), after=after).step("take").after == after


@pytest.mark.parametrize(("name", "estate"), MOVES)
def test_every_move_takes_something_away_and_asks_two_persons_first(name: str, estate: Estate) -> None:
    plan = plan_of(name, estate)
    assert taking(plan)
    assert not list(steps_nobody_consents_to(plan.steps))


@pytest.mark.parametrize(("name", "estate"), MOVES)
def test_a_plan_whose_gate_was_taken_out_after_it_was_made_is_not_performed(name: str, estate: Estate) -> None:
    plan = plan_of(name, estate)
    for gated in [step for step in plan.steps if step.gate is not None]:
        ungated = replace(plan, steps=tuple(replace(one, gate=None) if one == gated else one for one in plan.steps))
        if not list(steps_nobody_consents_to(ungated.steps)):
            continue  # another gate still stands before everything it takes away
        engine = SimulatedEngine(plan=ungated, world=SimulatedWorld(finds=favourable_facts(plan)), launch=at_once)
        with pytest.raises(UsageError, match="two persons must consent") as caught:
            start_run(ungated, run=engine.run, kit=engine.kit(), stop=Stop())
        assert caught.value.not_done == "nothing was attempted"
        assert engine.world.asked == []


@pytest.mark.parametrize("second", ["nobody", "the first again", "no"])
@pytest.mark.parametrize(("name", "estate"), MOVES)
def test_one_person_takes_nothing_away(name: str, estate: Estate, second: str) -> None:
    """One says yes to every gate of two; nobody else comes, the same one comes again, or the second says no."""
    plan = plan_of(name, estate)
    world, orders = SimulatedWorld(finds=favourable_facts(plan)), OrdersFor()
    engine, stop = SimulatedEngine(plan=plan, world=world, orders=orders, launch=at_once), Stop()
    asked_at: set[str] = set()

    def consent(transition: Transition, /) -> None:
        asked = transition.detail.get("gate")
        if transition.state is not StepState.WAITING or not isinstance(asked, str):
            return
        asked_at.add(asked)
        say(asked, "ana", granted=True)
        if second == "no":
            say(asked, "bo", granted=False)
        elif second == "the first again":
            say(asked, "ana", granted=True)
        if second != "no":
            stop.ask(exit_code=75)

    def say(asked: str, who: str, *, granted: bool) -> None:
        now = engine.clock.now()
        answer = answer_for(plan, run=engine.run, gate=asked, who=who, granted=granted, at=now)
        signed, approvers = sign_in_simulation(answer), SimulatedApprovers()
        try:
            answer_gate(signed, run=engine.run, plan=plan, journal=engine.journal, approvers=approvers, now=now)
        except Refused:
            assert second == "the first again"

    result = engine.drive(stop, observers=(consent,))

    assert asked_at
    assert result.state is not RunState.DONE
    assert not taking(plan) & {_step(effect) for effect in engine.world.effects}


def _step(effect: str) -> str:
    return effect.partition("/")[2]


def test_what_takes_away_is_named_by_its_action_or_by_whom_it_takes_from() -> None:
    step = Step(name="take", title="Take", call=call("tidy"), hosts=("db-dc1",), destroys=("db-dc1",))
    assert [name for name, _ in steps_nobody_consents_to([step])] == ["take"]
    assert not list(steps_nobody_consents_to([replace(step, destroys=())]))
