"""An aborted run takes back what it may, in reverse order, once each, and never lifts a fence beside a new writer."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from secondsite.errors import ActionError, Effect, Refused
from secondsite.estate.load import load_estate
from secondsite.plan.builder import call, gate, result_of
from secondsite.plan.load import load_plan
from secondsite.plan.model import Plan, Step
from secondsite.plan.rules import reasons_not_to_lift
from secondsite.run.kit import Kit
from secondsite.run.model import Json, NoteKind, RunState, StepState, TakenBack, Transition
from secondsite.run.ports import Outcome, StepContext
from secondsite.run.rules import remarks_in
from secondsite.run.service import abort_run, finish_abort, resume_run, start_run
from secondsite.run.stop import Stop
from secondsite.sim.crash import Crash, CrashPoint
from secondsite.sim.facts import favourable_facts
from secondsite.sim.plans import example_plan
from secondsite.sim.world import OrdersFor, SimulatedEngine, SimulatedWorld, at_once

ROOT = Path(__file__).resolve().parents[3]


def step(name: str, *after: str, undo: bool = True, **more: object) -> Step:
    base = Step(
        name=name,
        title=name,
        call=call("act"),
        hosts=(),
        after=after,
        probe=call("look"),
        repeatable=True,
        undo=call("unact", found=result_of(name, "side")) if undo else None,
    )
    return replace(base, **more)  # type: ignore[arg-type]


DIAMOND = (step("base"), step("left", "base"), step("right", "base"), step("last", "left", "right"))


class Story:
    def __init__(self, *steps: Step, plan: Plan | None = None, crash: CrashPoint | None = None) -> None:
        plan = plan or example_plan(*steps)
        finds = favourable_facts(plan) if plan.runbook != "example" else {}
        names = {one.name: {**finds.get(one.name, {}), "side": one.name} for one in plan.steps}
        self.engine = SimulatedEngine(plan=plan, world=SimulatedWorld(finds=names, crash=crash), launch=at_once)

    def kit(self, *observers: object) -> Kit:
        return replace(self.engine.kit(), observers=tuple(observers), launch=at_once)  # type: ignore[arg-type]

    def run_until(self, name: str) -> None:
        """Carry the run on until this step came out well, and interrupt it there."""
        stop = Stop()

        def leave(transition: Transition, /) -> None:
            if transition.step == name and transition.state in {StepState.DONE, StepState.VERIFIED}:
                stop.ask(exit_code=130)

        ended = start_run(self.engine.plan, run=self.engine.run, kit=self.kit(leave), stop=stop)
        assert ended.state is RunState.INTERRUPTED

    def abort(self) -> TakenBack:
        self.engine.world.power.restore()
        now = self.engine.clock.now()
        abort_run(run=self.engine.run, who="ana", at=now, journal=self.engine.journal, live=False)
        return finish_abort(self.engine.plan, run=self.engine.run, kit=self.kit(), stop=Stop())

    def undone(self) -> list[str]:
        return [name.removeprefix("undo:") for name in self.engine.world.asked if name.startswith("undo:")]


def test_what_was_done_is_taken_back_in_reverse_order_and_what_was_not_is_left() -> None:
    story = Story(*DIAMOND, step("never", "last"))
    story.run_until("last")

    taken = story.abort()

    assert (taken.state, taken.failed, taken.kept) == (RunState.ABORTED, {}, {})
    assert story.undone()[0] == "last"
    assert story.undone()[-1] == "base"
    assert sorted(story.undone()) == ["base", "last", "left", "right"]
    (told,) = remarks_in(story.engine.journal.notes(story.engine.run))
    assert told.startswith("taken back: last, ")
    with pytest.raises(Refused, match="has ended: aborted"):
        resume_run(story.engine.plan, run=story.engine.run, kit=story.kit(), stop=Stop())


def test_what_something_irreversible_rests_on_stays_and_the_rest_is_taken_back() -> None:
    story = Story(step("base"), step("wiped", "base", undo=False), step("beside", "base"), step("never", "beside"))
    story.run_until("beside")
    taken = story.abort()
    assert taken.kept == {"wiped": "nothing undoes it", "base": "wiped rests on it and stays"}
    assert story.undone() == ["beside"]


def test_once_a_writer_was_promoted_nothing_is_taken_back() -> None:
    promote = step("promote", "base", undo=False, call=call("promote"))
    story = Story(step("base"), promote, step("redirect", "base"), step("never", "redirect", "promote"))
    story.run_until("redirect")
    taken = story.abort()
    assert story.undone() == []
    assert set(taken.kept) == {"base", "promote", "redirect"}
    assert "fences, names and services follow the writer" in str(taken.kept["redirect"])


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("name", ["undo:last", "undo:left", "undo:right", "undo:base"])
def test_taking_back_survives_the_controller_and_happens_once(name: str, moment: str) -> None:
    story = Story(*DIAMOND, step("never", "last"))
    story.run_until("last")
    story.engine.world.crash = CrashPoint(step=name, moment=moment)
    with pytest.raises(Crash):
        story.abort()
    story.engine.world.power.restore()

    again = resume_run(story.engine.plan, run=story.engine.run, kit=story.kit(), stop=Stop())

    assert (again.state, again.exit_code) == (RunState.ABORTED, 5)
    keys = [key.split("/")[1] for key in story.engine.world.effects if "undo:" in key]
    assert sorted(keys) == ["undo:base", "undo:last", "undo:left", "undo:right"]
    assert (keys[0], keys[-1]) == ("undo:last", "undo:base")
    assert "never" not in story.engine.world.asked, "and nothing goes forward"


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_step_that_was_in_flight_is_looked_at_before_it_is_taken_back(moment: str) -> None:
    story = Story(*DIAMOND, crash=CrashPoint(step="last", moment=moment))
    with pytest.raises(Crash):
        start_run(story.engine.plan, run=story.engine.run, kit=story.kit(), stop=Stop())
    story.abort()
    assert ("last" in story.undone()) is (moment == "after")
    assert story.engine.world.asked.count("last") == 1, "it is not done again to find out"


def test_a_step_that_nobody_can_look_at_stays_and_so_does_what_it_rests_on() -> None:
    blind = step("last", "base", probe=None, repeatable=False)
    story = Story(step("base"), blind, crash=CrashPoint(step="last", moment="after"))
    with pytest.raises(Crash):
        start_run(story.engine.plan, run=story.engine.run, kit=story.kit(), stop=Stop())
    taken = story.abort()
    assert taken.kept == {"last": "whether it happened is not known", "base": "last rests on it and stays"}


def test_what_could_not_be_taken_back_is_told_does_not_stop_the_rest_and_is_tried_again() -> None:
    story = Story(*DIAMOND, step("never", "last"))
    story.run_until("last")

    def broken(_arguments: Json, _context: StepContext) -> Outcome:
        raise ActionError("the carrier is silent", effect=Effect.NONE)

    story.engine.world.behaves = {"undo:left": broken}
    taken = story.abort()
    assert "the carrier is silent" in str(taken.failed["undo:left"])
    assert set(taken.failed) == {"undo:left", "undo:base"}
    assert set(taken.undone) == {"undo:last", "undo:right"}
    assert any("NOT taken back: left" in one for one in remarks_in(story.engine.journal.notes(story.engine.run)))

    story.engine.world.behaves = {}
    again = story.abort()
    assert again.failed == {}
    assert sorted(key.split("/")[1] for key in story.engine.world.effects if "undo:" in key) == [
        "undo:base",
        "undo:last",
        "undo:left",
        "undo:right",
    ]


def test_a_live_run_that_is_aborted_takes_back_what_it_did_itself() -> None:
    story = Story(*DIAMOND, step("never", "last", gate=gate(persons=1)))
    story.engine.orders = OrdersFor()

    def abort(transition: Transition, /) -> None:
        if (transition.step, transition.state) == ("never", StepState.WAITING):
            engine = story.engine
            abort_run(run=engine.run, who="ana", at=engine.clock.now(), journal=engine.journal, live=True)

    ended = start_run(story.engine.plan, run=story.engine.run, kit=story.kit(abort), stop=Stop())

    assert (ended.state, ended.exit_code) == (RunState.ABORTED, 5)
    assert sorted(story.undone()) == ["base", "last", "left", "right"]
    assert "never" not in story.engine.world.asked


def test_a_run_that_failed_can_be_taken_back_and_one_that_came_to_its_end_can_not() -> None:
    def broken(_arguments: Json, _context: StepContext) -> Outcome:
        raise ActionError("it broke", effect=Effect.NONE)

    story = Story(*DIAMOND)
    story.engine.world.behaves = {"last": broken}
    ended = start_run(story.engine.plan, run=story.engine.run, kit=story.kit(), stop=Stop())
    assert ended.state is RunState.FAILED
    assert sorted(story.abort().undone) == ["undo:base", "undo:left", "undo:right"]

    well = Story(*DIAMOND)
    start_run(well.engine.plan, run=well.engine.run, kit=well.kit(), stop=Stop())
    with pytest.raises(Refused, match="has ended: done"):
        well.abort()


def test_ended_as_it_is_nothing_is_taken_back() -> None:
    story = Story(*DIAMOND, step("never", "last"))
    story.run_until("last")
    engine = story.engine
    now = engine.clock.now()
    abort_run(run=engine.run, who="ana", at=now, journal=engine.journal, live=False, takes_back=False)
    assert story.undone() == []
    assert [note.body["state"] for note in engine.journal.notes(engine.run) if note.kind is NoteKind.ENDED] == [
        "aborted"
    ]


@cache
def real_plan(name: str) -> Plan:
    estate = load_estate(ROOT / "inventories" / "small")
    return load_plan(name, directory=ROOT / "runbooks", root=ROOT, estate=estate, origin="dc1", target="dc2")


@pytest.mark.parametrize("name", [one.name for one in real_plan("failover").steps])
def test_a_failover_aborted_anywhere_lifts_its_fence_only_while_nobody_was_promoted(name: str) -> None:
    story = Story(plan=real_plan("failover"), crash=CrashPoint(step=name, moment="after"))
    with pytest.raises(Crash):
        start_run(story.engine.plan, run=story.engine.run, kit=story.kit(), stop=Stop())
    promoted = any("/promote-" in key for key in story.engine.world.effects)

    taken = story.abort()

    fences = {f"isolate-carrier-{one}" for one in "ab"} & {key.split("/")[1] for key in story.engine.world.effects}
    assert taken.failed == {}
    if promoted:
        assert story.undone() == []
        assert fences <= set(taken.kept)
    else:
        assert {f"undo:{one}" for one in fences} <= set(taken.undone)


def test_a_site_is_let_through_only_while_nobody_else_holds_what_it_held() -> None:
    members = {"billing": "db-dc1", "control": "db-dc1"}
    assert list(reasons_not_to_lift({"billing": "db-dc1", "control": None}, members)) == []
    (reason,) = reasons_not_to_lift({"billing": "db-dc2", "control": "db-dc1"}, members)
    assert reason.startswith("billing is held by db-dc2")
    assert list(reasons_not_to_lift({"files": "store-dc2"}, members)), "not even what never stood there"
