"""A run remembers who began it and who answers for its runbook; that nobody does is said and stops nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from secondsite.app.roles import limitations, roles_record
from secondsite.evidence.roles import approval_statement, runbook_version
from secondsite.hands.authors import LAB_LIMITATION
from secondsite.plan.builder import call
from secondsite.plan.model import Step
from secondsite.run.model import Answer, Authorship, Beginning, NoteKind, RunState, StepState, Transition
from secondsite.run.roles import NOBODY_ANSWERS, beginning_body, beginning_in, version_of
from secondsite.run.rules import answer_body, answer_statement
from secondsite.run.service import resume_run, start_run
from secondsite.run.stop import Stop
from secondsite.sim.plans import example_plan
from secondsite.sim.world import OrdersFor, SimulatedEngine, SimulatedWorld, at_once

PLAN = example_plan(Step(name="one", title="", call=call("act"), hosts=("db",), repeatable=True))
SIGNED = Authorship(runbook="failover", version="ab" * 32, name="ana", key="SHA256:1", at="then", signature="...")
UNSIGNED = Authorship(runbook="failover", version="ab" * 32, why="no version of it is signed")


def begun(authorship: Authorship) -> tuple[SimulatedEngine, RunState]:
    engine = SimulatedEngine(plan=PLAN, world=SimulatedWorld(), orders=OrdersFor(), launch=at_once)
    kit = replace(engine.kit(), launch=at_once)
    body = beginning_body("bo", authorship)
    result = start_run(PLAN, run=engine.run, kit=kit, stop=Stop(), beginning=body)
    assert result.beginning == Beginning(by=("bo",), authorship=authorship)
    return engine, result.state


@pytest.mark.parametrize("authorship", [SIGNED, UNSIGNED])
def test_a_run_remembers_who_began_it_and_who_answers_for_it_and_runs_either_way(authorship: Authorship) -> None:
    engine, state = begun(authorship)
    assert state is RunState.DONE
    assert beginning_in(engine.journal.notes(engine.run)) == Beginning(by=("bo",), authorship=authorship)


def test_who_resumes_a_run_is_remembered_besides() -> None:
    engine = SimulatedEngine(plan=PLAN, world=SimulatedWorld(), orders=OrdersFor(), launch=at_once)
    stop = Stop()

    def leave(transition: Transition, /) -> None:
        if transition.state is StepState.INTENDED:
            stop.ask(exit_code=130)

    two = example_plan(*PLAN.steps, Step(name="two", title="", call=call("act"), hosts=("db",), after=("one",)))
    kit = replace(engine.kit(), launch=at_once)
    started = start_run(
        two, run=engine.run, kit=replace(kit, observers=(leave,)), stop=stop, beginning=beginning_body("bo", SIGNED)
    )
    assert started.state is RunState.INTERRUPTED
    ended = resume_run(two, run=engine.run, kit=kit, stop=Stop(), by="cy")
    assert ended.beginning.by == ("bo", "cy")


def test_a_run_of_an_older_version_says_nothing_of_its_beginning() -> None:
    engine = SimulatedEngine(plan=PLAN, world=SimulatedWorld(), orders=OrdersFor(), launch=at_once)
    start_run(PLAN, run=engine.run, kit=replace(engine.kit(), launch=at_once), stop=Stop())
    assert beginning_in(engine.journal.notes(engine.run)) == Beginning()
    assert beginning_in([]) == Beginning()


def test_the_engine_and_whoever_verifies_without_it_mean_the_same_version_and_the_same_answer() -> None:
    plan = replace(PLAN, pins={"roles/web/täsks.yml": "cd" * 32, "runbooks/failover.py": "ab" * 32})
    assert version_of(plan) == runbook_version(plan.runbook, plan.pins)
    answer = Answer(
        run="r", gate="gäte", plan_digest="1", targets=("db",), who="ana", granted=True, at="a", expires="e", reason="x"
    )
    assert answer_statement(answer) == approval_statement(answer_body(replace(answer, signature="signed")))


def test_without_anybody_to_ask_nobody_answers() -> None:
    found = NOBODY_ANSWERS.answering_for(PLAN)
    assert not found.is_signed
    assert found.version


def test_a_drill_records_who_answers_and_that_nobody_does_is_a_limitation() -> None:
    runs = {name: begun(one)[0] for name, one in (("000004-failover", SIGNED), ("000005-failback", UNSIGNED))}
    notes = {name: engine.journal.notes(engine.run) for name, engine in runs.items()}
    record = roles_record(by="bo", runs=notes, by_hand={"failover-dc1-dc2": UNSIGNED}, order_signers=[])
    assert record["executors"] == ["bo"]
    told = limitations(record, is_lab=True)
    assert told == [
        "nobody answers for this version of failover (abababababab): no version of it is signed",
        LAB_LIMITATION,
    ]
    assert limitations(record, is_lab=False) == told[:1]
    assert limitations({**record, "runs": []}, is_lab=True) == []


def test_a_run_that_never_began_is_recorded_as_such() -> None:
    record = roles_record(by="bo", runs={"000004-failover": []}, by_hand={}, order_signers=[])
    assert limitations(record, is_lab=True) == [
        "nobody answers for this version of failover (not known): its run did not come so far as to record it"
    ]


def test_an_answer_whose_signature_is_none_is_recorded_without_a_key() -> None:
    engine, _ = begun(SIGNED)
    engine.journal.note(engine.run, NoteKind.ANSWER, "x", {"who": "cy", "gate": "one", "signature": "none"})
    record = roles_record(by="bo", runs={"r": engine.journal.notes(engine.run)}, by_hand={}, order_signers=[])
    assert record["answers"] == [{"key": "", "answer": {"who": "cy", "gate": "one", "signature": "none"}}]
