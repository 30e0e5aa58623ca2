"""Getting ready ahead: done for the steps that can be got ready for, and its failure is nobody's failure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from secondsite.errors import Unreachable
from secondsite.plan.builder import call
from secondsite.plan.document import sealed
from secondsite.plan.model import Intent, Plan, Step
from secondsite.run.model import Json, RunState
from secondsite.run.service import start_run
from secondsite.run.stop import Stop
from secondsite.sim.world import SimulatedEngine, SimulatedWorld, at_once

STEPS = (
    Step(name="look", title="", call=call("look-around"), hosts=()),
    Step(name="fence", title="", call=call("fence", carrier="carrier-a"), hosts=(), after=("look",)),
)
PLAN = sealed(
    Plan(
        runbook="example",
        title="An example",
        intent=Intent.FAILOVER,
        estate="two-sites",
        estate_digest="",
        origin=None,
        target=None,
        steps=STEPS,
        pins={},
        digest="",
    )
)


def run_with(ready: Callable[[Json], None], world: SimulatedWorld) -> RunState:
    engine = SimulatedEngine(plan=PLAN, world=world, launch=at_once)
    kit = replace(engine.kit(), registry=replace(engine.world.registry(PLAN), ready={"fence": ready}))
    return start_run(PLAN, run=engine.run, kit=kit, stop=Stop()).state


def test_what_can_be_got_ready_is_before_the_first_step_begins() -> None:
    world = SimulatedWorld()
    seen: list[tuple[Json, list[str]]] = []

    def ready(arguments: Json) -> None:
        seen.append((dict(arguments), list(world.asked)))

    assert run_with(ready, world) is RunState.DONE
    assert seen == [({"carrier": "carrier-a"}, [])]
    assert world.asked == ["look", "fence"]


def test_what_cannot_be_got_ready_is_left_to_the_step_itself() -> None:
    def refused(_arguments: Json) -> None:
        raise Unreachable("carrier-a is silent")

    def broken(_arguments: Json) -> None:
        raise ZeroDivisionError

    for ready in (refused, broken):
        world = SimulatedWorld()
        assert run_with(ready, world) is RunState.DONE
        assert world.asked == ["look", "fence"]
