"""While a stop order is in force no step of any run is started, in whichever process."""

from __future__ import annotations

from dataclasses import replace

import pytest

from secondsite.errors import Refused
from secondsite.plan.builder import call, gate
from secondsite.plan.model import Step
from secondsite.run.kit import Kit
from secondsite.run.model import NoteKind, RunState, StepState, StopOrder, Transition
from secondsite.run.service import resume_run, start_run
from secondsite.run.stop import Stop
from secondsite.sim.crash import Crash, CrashPoint
from secondsite.sim.plans import example_plan
from secondsite.sim.world import OrdersFor, SimulatedEngine, SimulatedWorld, at_once

STEPS = ("one", "two", "three")
ORDER = StopOrder(where="/state/STOP", who="ana", reason="the data looks wrong", since="2026-01-01T00:00:00+00:00")


def chain() -> tuple[Step, ...]:
    after: tuple[str, ...] = ()
    made = []
    for name in STEPS:
        made.append(Step(name=name, title="", call=call("act"), hosts=(), after=after, probe=call("look")))
        after = (name,)
    return tuple(made)


def engine_for(*steps: Step, crash: CrashPoint | None = None) -> SimulatedEngine:
    return SimulatedEngine(plan=example_plan(*steps), world=SimulatedWorld(crash=crash), launch=at_once)


@pytest.mark.parametrize("during", STEPS[:-1])
def test_an_order_given_during_a_step_halts_the_run_after_it_and_the_run_goes_on_when_it_is_lifted(
    during: str,
) -> None:
    engine = engine_for(*chain())

    def give(transition: Transition, /) -> None:
        if (transition.step, transition.state) == (during, StepState.INTENDED):
            engine.stop_order = ORDER

    halted = engine.drive(observers=(give,))

    done = STEPS[: STEPS.index(during) + 1]
    assert (halted.state, halted.exit_code) == (RunState.INTERRUPTED, 5)
    assert halted.stopped_by == ORDER
    assert "ana stopped everything" in halted.reasons[0]
    assert tuple(engine.world.asked) == done, "what was in flight came to its end, and nothing followed"
    noted = [note.body for note in engine.journal.notes(engine.run) if note.kind is NoteKind.INTERRUPTED]
    assert "the data looks wrong" in str(noted)

    engine.stop_order = None
    assert engine.drive().state is RunState.DONE
    assert tuple(engine.world.asked) == STEPS


def test_an_order_stops_a_run_that_waits_for_persons_and_its_gate_stays_open() -> None:
    engine = engine_for(*(replace(step, gate=gate(persons=2)) for step in chain()[:1]))
    engine.orders = OrdersFor()

    def give(transition: Transition, /) -> None:
        if transition.state is StepState.WAITING:
            engine.stop_order = ORDER

    halted = engine.drive(observers=(give,))

    assert (halted.state, halted.steps["one"].state) == (RunState.INTERRUPTED, StepState.WAITING)
    assert engine.world.asked == []


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_order_survives_the_controller_and_a_step_in_doubt_is_looked_at_and_not_done(moment: str) -> None:
    engine = engine_for(*chain(), crash=CrashPoint(step="one", moment=moment))
    with pytest.raises(Crash):
        engine.drive()
    engine.stop_order = ORDER
    asked = list(engine.world.asked)

    with pytest.raises(Refused, match="the data looks wrong"):
        resume_run(engine.plan, run=engine.run, kit=kit_of(engine), stop=Stop())
    assert engine.drive().state is RunState.INTERRUPTED, "nor by whoever drives it without asking"

    assert engine.world.asked == asked
    engine.stop_order = None
    assert engine.drive().state is RunState.DONE
    assert sorted(engine.world.effects) == sorted(f"{engine.run}/{name}" for name in STEPS)


def test_no_run_is_begun_while_an_order_is_in_force() -> None:
    engine = engine_for(*chain())
    engine.stop_order = StopOrder(where="/state/STOP")

    with pytest.raises(Refused, match="somebody stopped everything on this estate: no reason can be read") as caught:
        start_run(engine.plan, run=engine.run, kit=kit_of(engine), stop=Stop())

    assert caught.value.exit_code == 5
    assert "secondsite runs go" in caught.value.next_step
    assert engine.journal.notes(engine.run) == []


def kit_of(engine: SimulatedEngine) -> Kit:
    return replace(engine.kit(), launch=at_once)
