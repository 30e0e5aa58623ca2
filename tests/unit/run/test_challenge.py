"""Right before something is taken from a host it is asked who it is; whoever is not sure of it touches nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from secondsite.errors import Unreachable
from secondsite.plan.builder import call
from secondsite.plan.model import Step
from secondsite.run.interpreter import Interpreter
from secondsite.run.model import RunResult, RunState, StepState
from secondsite.run.ports import Challenge
from secondsite.run.stop import Stop
from secondsite.sim.crash import Crash, CrashPoint
from secondsite.sim.plans import example_plan
from secondsite.sim.world import OrdersFor, SimulatedEngine, SimulatedWorld, at_once

WIPE = Step(
    name="wipe", title="", call=call("act"), hosts=("db-dc1", "db-dc2"), probe=call("look"), destroys=("db-dc1",)
)
AFTER = Step(name="after", title="", call=call("act"), hosts=(), after=("wipe",), probe=call("look"))


def engine_for(**world: object) -> SimulatedEngine:
    return SimulatedEngine(
        plan=example_plan(WIPE, AFTER),
        world=SimulatedWorld(**world),  # type: ignore[arg-type]
        launch=at_once,
        orders=OrdersFor(),
    )


@pytest.mark.parametrize("impostor", ["db-dc1", "db-dc2"])
def test_a_host_that_answers_as_another_is_not_touched_and_the_run_says_why(impostor: str) -> None:
    engine = engine_for(impostors=frozenset({impostor}))

    result = engine.drive()

    assert (result.state, result.exit_code) == (RunState.FAILED, 5)
    assert result.steps["wipe"].state is StepState.FAILED
    assert result.reasons == (f"wipe: {impostor}: it is another machine",)
    assert (engine.world.asked, engine.world.effects) == ([], [])


def test_hosts_that_answer_as_themselves_are_taken_for_themselves() -> None:
    engine = engine_for()
    assert engine.drive().state is RunState.DONE
    assert engine.world.asked == ["wipe", "after"]


def test_a_step_that_takes_nothing_away_asks_nobody() -> None:
    engine = engine_for(impostors=frozenset({"db-dc1"}))
    engine.plan = example_plan(replace(WIPE, destroys=()))
    assert engine.drive().state is RunState.DONE


def test_a_resumed_step_asks_again() -> None:
    engine = engine_for(crash=CrashPoint(step="wipe", moment="before"))
    with pytest.raises(Crash):
        engine.drive()
    engine.world.impostors = frozenset({"db-dc1"})
    result = engine.drive()
    assert result.reasons == ("wipe: db-dc1: it is another machine",)
    assert engine.world.effects == []


def test_where_another_kind_of_fence_may_confirm_a_carrier_that_is_not_itself_is_passed_over_untouched() -> None:
    engine = engine_for(impostors=frozenset({"db-dc1"}))
    isolate = replace(WIPE, name="wipe", call=call("act", another_may_confirm=True))
    engine.plan = example_plan(isolate, AFTER)

    result = engine.drive()

    assert result.state is RunState.DONE
    assert result.facts["wipe"] == {"trouble": "db-dc1: it is another machine"}
    assert engine.world.asked == ["after"]


def drive_with(challenge: Challenge | None) -> tuple[RunResult, SimulatedEngine]:
    engine = engine_for()
    registry = replace(engine.world.registry(engine.plan), challenge=challenge)
    kit = replace(engine.kit(), registry=registry, launch=at_once)
    return Interpreter(plan=engine.plan, run=engine.run, kit=kit, stop=Stop()).drive(), engine


def silent(_host: str, /) -> tuple[str, ...]:
    raise Unreachable("no route to it")


@pytest.mark.parametrize(
    ("challenge", "told"),
    [(None, "nobody can ask the hosts who they are"), (silent, "db-dc1 could not be asked who it is: no route to it")],
)
def test_a_host_that_can_not_be_asked_is_not_touched(challenge: Challenge | None, told: str) -> None:
    result, engine = drive_with(challenge)
    assert told in result.reasons[0]
    assert engine.world.asked == []
