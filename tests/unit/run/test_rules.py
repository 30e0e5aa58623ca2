from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondsite.plan.builder import call, gate
from secondsite.plan.document import sealed
from secondsite.plan.model import Intent, Plan, Step
from secondsite.run.model import (
    Answer,
    Attempt,
    AttemptKey,
    HeardAnswer,
    Note,
    NoteKind,
    RunState,
    StepResult,
    StepState,
)
from secondsite.run.rules import (
    came_out_well,
    ended_state,
    exit_code_of,
    fold,
    interruption,
    interruption_body,
    interruptions,
    reasons_not_to_accept,
    resolved,
    result_body,
    result_from,
    run_state,
    tally,
    targets_of,
)
from secondsite.run.service import answer_for

STEPS = (
    Step(name="a", title="", call=call("x"), hosts=(), probe=call("p")),
    Step(
        name="b", title="", call=call("x"), hosts=(), after=("a",), gate=gate(persons=1), verify=True, probe=call("p")
    ),
    Step(name="c", title="", call=call("x"), hosts=(), after=("b",), repeatable=True),
)
PLAN = sealed(
    Plan(
        runbook="r",
        title="",
        intent=Intent.PROVISION,
        estate="e",
        estate_digest="",
        origin=None,
        target=None,
        steps=STEPS,
        pins={},
        digest="",
    )
)

names = st.sampled_from(["a", "b", "c", "a#1", "b#2", "", "stranger", "in-doubt:a#1"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
words = st.sampled_from(["granted", "effect", "reasons", "by", "detail", "waited_ms", "state", "gate"])
bodies = st.dictionaries(words, json_values | st.sampled_from(["applied", "none", "unknown", "done"]), max_size=5)
notes = st.builds(
    Note, run=st.just("r"), kind=st.sampled_from(NoteKind), name=names, body=bodies, number=st.integers(1, 99)
)
results = st.builds(StepResult, state=st.sampled_from(StepState), changed=st.booleans(), exit_code=st.integers(0, 9))
keys = st.builds(
    AttemptKey, run=st.just("r"), step=st.sampled_from(["a", "b", "c", "stranger"]), attempt=st.integers(1, 4)
)
attempts = st.builds(Attempt, key=keys, intent=st.just({}), result=st.none() | results)


@given(attempts=st.lists(attempts, max_size=8), notes=st.lists(notes, max_size=8))
def test_any_entries_give_every_step_a_state_and_the_run_an_end(attempts: list[Attempt], notes: list[Note]) -> None:
    records = fold(PLAN, attempts, notes)
    assert set(records) == {"a", "b", "c"}
    state = ended_state(PLAN, records)
    code = exit_code_of(state, records)
    assert (code == 0) == all(came_out_well(step, records[step.name]) for step in STEPS)
    assert isinstance(run_state(notes), RunState)
    assert len(interruptions(notes)) == sum(note.kind is NoteKind.RESUMED for note in notes)


@given(attempts=st.lists(attempts, max_size=8), notes=st.lists(notes, max_size=8))
def test_what_is_told_of_an_interruption_is_read_back_as_it_was_recorded(
    attempts: list[Attempt], notes: list[Note]
) -> None:
    found = interruption(attempts, notes)
    body = interruption_body(found, resumed_at="2030-01-01T00:00:00+00:00")
    (again,) = interruptions([Note(run="r", kind=NoteKind.RESUMED, name="1", body=body)])
    assert replace(again, resumed_at="") == found


@given(
    attempts=st.lists(attempts, max_size=8, unique_by=lambda one: one.key),
    notes=st.lists(notes, max_size=6),
    data=st.data(),
)
def test_the_order_of_attempts_means_nothing(attempts: list[Attempt], notes: list[Note], data: st.DataObject) -> None:
    assert fold(PLAN, data.draw(st.permutations(attempts)), notes) == fold(PLAN, attempts, notes)


@given(body=bodies)
def test_a_recorded_result_that_cannot_be_read_is_never_taken_for_done(body: Mapping[str, object]) -> None:
    if body.get("state") not in [state.value for state in StepState]:
        assert result_from(body).state is StepState.UNKNOWN


@given(result=results)
def test_a_result_survives_being_recorded(result: StepResult) -> None:
    assert result_from(json.loads(json.dumps(result_body(result)))) == result


def attempt(result: StepResult | None, *, number: int = 1, step: str = "a") -> Attempt:
    return Attempt(key=AttemptKey(run="r", step=step, attempt=number), intent={}, result=result)


def note(kind: NoteKind, name: str, **body: object) -> Note:
    return Note(run="r", kind=kind, name=name, body=body, number=1)


@pytest.mark.parametrize(
    ("entries", "state"),
    [
        pytest.param(([], []), StepState.PLANNED, id="nothing"),
        pytest.param(([attempt(None)], []), StepState.IN_DOUBT, id="intended-only"),
        pytest.param(([attempt(StepResult(state=StepState.DONE))], []), StepState.DONE, id="done"),
        pytest.param(
            ([attempt(None)], [note(NoteKind.SETTLED, "a#1", effect="applied")]), StepState.VERIFIED, id="seen-applied"
        ),
        pytest.param(
            ([attempt(None)], [note(NoteKind.SETTLED, "a#1", effect="none")]), StepState.PLANNED, id="seen-not-applied"
        ),
        pytest.param(
            ([attempt(None)], [note(NoteKind.SETTLED, "a#1", effect="perhaps")]), StepState.IN_DOUBT, id="misspelt"
        ),
        pytest.param(
            ([attempt(None)], [note(NoteKind.SETTLED, "a#2", effect="applied")]),
            StepState.IN_DOUBT,
            id="of-another-try",
        ),
        pytest.param(
            ([attempt(StepResult(state=StepState.UNKNOWN))], [note(NoteKind.SETTLED, "a#1", effect="none")]),
            StepState.NOT_VERIFIED,
            id="timed-out-and-not-seen",
        ),
        pytest.param(
            ([attempt(None), attempt(StepResult(state=StepState.DONE), number=2)], []), StepState.DONE, id="second-try"
        ),
        pytest.param(([], [note(NoteKind.GATE_CLOSED, "a", granted="yes")]), StepState.REFUSED, id="a-word-is-no-yes"),
    ],
)
def test_what_is_recorded_of_a_step_says_where_it_stands(
    entries: tuple[list[Attempt], list[Note]], state: StepState
) -> None:
    assert fold(PLAN, *entries)["a"].state is state


NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
GOOD = answer_for(PLAN, run="r", gate="b", who="ana", granted=True, at=NOW)


def heard(who: str, *, key: str, granted: bool = True) -> HeardAnswer:
    return HeardAnswer(answer=replace(GOOD, who=who, granted=granted), key=key)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param({"run": "other"}, "for run other", id="run"),
        pytest.param({"gate": "a"}, "no open gate", id="gate"),
        pytest.param({"plan_digest": "0" * 64}, "the answer is for plan", id="digest"),
        pytest.param({"who": "  "}, "does not say whose", id="nobody"),
    ],
)
def test_an_answer_that_is_not_for_this_gate_of_this_plan_is_refused(change: Mapping[str, str], told: str) -> None:
    bad = Answer(**{**{name: getattr(GOOD, name) for name in GOOD.__dataclass_fields__}, **change})
    assert any(told in reason for reason in reasons_not_to_accept(bad, run="r", plan=PLAN, gates=("b",), now=NOW))
    assert list(reasons_not_to_accept(GOOD, run="r", plan=PLAN, gates=("b",), now=NOW)) == []


def test_one_person_twice_is_one_person_and_any_no_refuses() -> None:
    ana, again = heard("ana", key="1"), heard(" ANA ", key="2")
    bo, no = heard("bo", key="2"), heard("eve", key="3", granted=False)
    assert tally([ana, again], persons=2) is None
    assert tally([ana, heard("bo", key="1")], persons=2) is None, "one key under two names is one person"
    assert tally([ana, bo], persons=2) is True
    assert tally([ana, bo, no], persons=2) is False


def test_consent_is_about_the_hosts_of_its_step_and_of_all_that_follows_it() -> None:
    def on(name: str, *hosts: str, after: tuple[str, ...] = ()) -> Step:
        return Step(name=name, title="", call=call("x"), hosts=hosts, after=after)

    steps = (
        on("watch", "vault"),
        on("consent", after=("watch",)),
        on("fence", "carrier", after=("consent",)),
        on("promote", "db", "carrier", after=("fence",)),
        on("read", "web", after=("watch",)),
    )
    plan = sealed(replace(PLAN, steps=steps))
    assert targets_of(plan, "consent") == ("carrier", "db")
    assert targets_of(plan, "in-doubt:fence#2") == ("carrier", "db")


def test_a_reference_to_a_result_that_is_not_there_names_it() -> None:
    arguments = {"to": [{"result_of": "a", "field": "lsn"}]}
    assert resolved(arguments, {"a": {"lsn": "0/16"}}) == {"to": ["0/16"]}
    with pytest.raises(KeyError, match="step a left no result named lsn"):
        resolved(arguments, {"a": {}})
