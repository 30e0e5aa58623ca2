"""What is not as it was when the run was begun lets it go on only with the consent of two persons to exactly that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from secondsite.checks.readiness import Override
from secondsite.errors import Refused
from secondsite.plan.builder import call, gate
from secondsite.plan.differences import Present
from secondsite.plan.model import Plan, Step
from secondsite.run.kit import Kit
from secondsite.run.model import NoteKind, RunResult, RunState, StepState, Transition
from secondsite.run.rules import remarks_in
from secondsite.run.service import answer_for, answer_gate, open_gates, resume_run, start_run
from secondsite.run.stop import Stop
from secondsite.sim.plans import example_plan
from secondsite.sim.world import (
    OrdersFor,
    SimulatedApprovers,
    SimulatedEngine,
    SimulatedWorld,
    at_once,
    sign_in_simulation,
)

HERE = {"db": "at dc1, managed at 198.19.0.1"}
MOVED = {"db": "at dc1, managed at 198.19.0.66"}
GATED = Step(name="one", title="", call=call("act"), hosts=("db",), probe=call("look"), gate=gate(persons=1))
PLAN = example_plan(GATED)


class Story:
    """One run that waits at its gate, was interrupted, and is resumed in whatever world there is then."""

    def __init__(self) -> None:
        self.engine = SimulatedEngine(plan=PLAN, world=SimulatedWorld(), orders=OrdersFor(), launch=at_once)
        self.present = Present(plan=PLAN, places=HERE)
        stop = Stop()

        def leave(transition: Transition, /) -> None:
            if transition.state is StepState.WAITING:
                stop.ask(exit_code=130)

        kit = replace(self.kit(), observers=(leave,))
        assert start_run(PLAN, run=self.engine.run, kit=kit, stop=stop).state is RunState.INTERRUPTED

    def kit(self) -> Kit:
        return replace(self.engine.kit(), as_it_is_now=lambda: self.present, launch=at_once)

    def resume(self) -> RunResult:
        return resume_run(PLAN, run=self.engine.run, kit=self.kit(), stop=Stop())

    def say(self, gate: str, who: str, *, granted: bool = True) -> None:
        engine = self.engine
        now = engine.clock.now()
        word = answer_for(PLAN, run=engine.run, gate=gate, who=who, granted=granted, at=now)
        answer_gate(
            sign_in_simulation(word),
            run=engine.run,
            plan=PLAN,
            journal=engine.journal,
            approvers=SimulatedApprovers(),
            now=now,
            present=self.present,
        )

    def refused_gate(self) -> str:
        with pytest.raises(Refused):
            self.resume()
        (name,) = [one for one in open_gates(self.engine.journal.notes(self.engine.run)) if ":" in one]
        return name


def test_an_estate_that_changed_refuses_the_resume_with_the_difference_and_nothing_is_performed() -> None:
    story = Story()
    story.say("one", "ana")
    story.present = Present(plan=PLAN, places=MOVED)

    with pytest.raises(Refused) as caught:
        story.resume()

    assert caught.value.exit_code == 5
    assert "host db was at dc1, managed at 198.19.0.1, and is at dc1, managed at 198.19.0.66" in caught.value.what
    assert "2 persons have to consent" in caught.value.what
    assert f"secondsite approve {story.engine.run} drift:" in caught.value.next_step
    assert story.engine.world.asked == []


def test_a_plan_that_would_be_another_now_refuses_the_resume() -> None:
    story = Story()
    other: Plan = example_plan(replace(GATED, hosts=("db", "web")))
    story.present = Present(plan=other, places=HERE)
    with pytest.raises(Refused, match=r'step one: hosts was \["db"\], and would be \["db", "web"\]'):
        story.resume()


def test_a_yes_to_a_gate_is_refused_while_the_estate_is_not_what_was_approved_and_a_no_is_not() -> None:
    story = Story()
    story.present = Present(plan=PLAN, places=MOVED)
    with pytest.raises(Refused, match=r"managed at 198\.19\.0\.66"):
        story.say("one", "ana")
    story.say("one", "ana", granted=False)
    answers = [
        note.body["granted"] for note in story.engine.journal.notes(story.engine.run) if note.kind is NoteKind.ANSWER
    ]
    assert answers == [False]


def test_two_persons_may_consent_to_the_difference_and_the_run_says_so_from_then_on() -> None:
    story = Story()
    story.present = Present(plan=PLAN, places=MOVED)
    gate_name = story.refused_gate()
    story.say(gate_name, "ana")
    assert story.refused_gate() == gate_name, "one person is not enough"
    with pytest.raises(Refused, match="has answered"):
        story.say(gate_name, "ana")
    story.say(gate_name, "bo")
    story.say("one", "ana")

    ended = story.resume()

    assert ended.state is RunState.DONE
    (remark,) = ended.remarks
    assert remark.startswith("ana, bo consented to go on although host db was at dc1")


def test_consent_to_one_difference_is_none_to_the_next() -> None:
    story = Story()
    story.present = Present(plan=PLAN, places=MOVED)
    first = story.refused_gate()
    for who in ("ana", "bo"):
        story.say(first, who)
    story.present = Present(plan=PLAN, places={"db": "at dc2, managed at 198.19.0.66"})
    with pytest.raises(Refused, match="at dc2"):
        story.resume()
    story.present = Present(plan=PLAN, places=HERE)
    story.say("one", "ana")
    assert story.resume().state is RunState.DONE, "what was put back needs no consent"


def test_one_no_refuses_the_difference_for_good() -> None:
    story = Story()
    story.present = Present(plan=PLAN, places=MOVED)
    gate_name = story.refused_gate()
    story.say(gate_name, "ana", granted=False)
    with pytest.raises(Refused, match="ana said no to that"):
        story.resume()
    with pytest.raises(Refused, match="no open gate"):
        story.say(gate_name, "bo")


def test_a_run_begun_by_another_engine_goes_on_only_with_the_consent_of_two_persons() -> None:
    engine = SimulatedEngine(plan=PLAN, world=SimulatedWorld(), launch=at_once)
    story = Story.__new__(Story)
    story.engine, story.present = engine, Present()
    engine.orders = OrdersFor()
    engine.journal.note(engine.run, NoteKind.BEGUN, "", {"plan_digest": PLAN.digest, "engine": "0"})

    with pytest.raises(Refused, match="the run was begun by engine 0, this is engine 1"):
        story.resume()

    assert engine.world.asked == []
    for who in ("ana", "bo"):
        story.say("engine:1", who)
    stop = Stop()
    stop.ask(exit_code=130)
    resumed = resume_run(PLAN, run=engine.run, kit=story.kit(), stop=stop)
    assert resumed.state is RunState.INTERRUPTED
    assert "begun by engine 0" in remarks_in(engine.journal.notes(engine.run))[0]


def test_what_was_overridden_for_a_run_is_noted_and_told_with_its_reason() -> None:
    engine = SimulatedEngine(plan=example_plan(replace(GATED, gate=None)), world=SimulatedWorld(), launch=at_once)
    story = Story.__new__(Story)
    story.engine, story.present = engine, Present()
    override = Override(check="RDY-LOGIN", why="failed: nobody gets in", who="ana", reason="the probe is broken")

    ended = start_run(engine.plan, run=engine.run, kit=story.kit(), stop=Stop(), overrides=[override])

    assert ended.state is RunState.DONE
    assert ended.remarks == ("ana overrode RDY-LOGIN (failed: nobody gets in): the probe is broken",)
