from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondsite.plan.builder import call, gate, guard
from secondsite.plan.model import Fencing, Plan, Step
from secondsite.plan.rules import (
    GUARDS,
    Frontier,
    Isolation,
    LeaseGone,
    Power,
    critical_path,
    dependency_order,
    due_steps,
    fencing_from,
    flags,
    reasons_not_to_proceed,
)
from secondsite.sim.facts import SATISFYING
from secondsite.sim.plans import example_plan

CARRIERS = ("carrier-a", "carrier-b")
ADDRESS = "198.18.1.10"


def step(name: str, *after: str, expected: int = 1) -> Step:
    return Step(name=name, title=name, call=call("x"), hosts=(), after=after, expected=dt.timedelta(seconds=expected))


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    count = draw(st.integers(1, 12))
    steps = []
    for number in range(count):
        after = draw(st.sets(st.integers(0, number - 1))) if number else set()
        steps.append(step(f"s{number}", *(f"s{one}" for one in sorted(after))))
    return example_plan(*draw(st.permutations(steps)))


@given(plan=plans(), data=st.data())
def test_the_frontier_names_the_same_due_steps_as_looking_at_everything(plan: Plan, data: st.DataObject) -> None:
    frontier, settled = Frontier(plan), set[str]()
    due = {one.name for one in frontier.first}
    while due:
        assert due == {one.name for one in due_steps(plan, settled=settled, begun=())}
        name = data.draw(st.sampled_from(sorted(due)))
        due.remove(name)
        settled.add(name)
        due |= {one.name for one in frontier.settle(name)}
    assert settled == {one.name for one in plan.steps}


@given(plan=plans(), data=st.data())
def test_a_step_is_never_due_before_everything_it_comes_after(plan: Plan, data: st.DataObject) -> None:
    settled = data.draw(st.sets(st.sampled_from([one.name for one in plan.steps])))
    for one in due_steps(plan, settled=settled, begun=()):
        assert set(one.after) <= settled
        assert one.name not in settled


@given(plan=plans())
def test_dependency_order_keeps_every_edge(plan: Plan) -> None:
    places = {one.name: place for place, one in enumerate(dependency_order(plan.steps))}
    assert all(places[before] < places[one.name] for one in plan.steps for before in one.after)


def test_the_critical_path_is_the_longest_chain_and_earlier_runs_correct_it() -> None:
    parts = step("a"), step("slow", "a", expected=5), step("quick", "a", expected=2), step("z", "slow", "quick")
    plan = example_plan(*parts)
    assert critical_path(plan).steps == ("a", "slow", "z")
    assert critical_path(plan).duration == dt.timedelta(seconds=7)
    measured = {"quick": dt.timedelta(seconds=9)}
    assert critical_path(plan, measured=measured).steps == ("a", "quick", "z")


def isolation(
    *, dropping: Mapping[str, bool | None] | None = None, flows: int = 8, answers: int | None = 0
) -> Isolation:
    seen = dict.fromkeys(CARRIERS, True) if dropping is None else dropping
    return Isolation(carriers=CARRIERS, dropping=seen, flows_tried={ADDRESS: flows}, answers_heard={ADDRESS: answers})


@pytest.mark.parametrize(
    ("seen", "fencing"),
    [
        pytest.param([], Fencing.UNKNOWN, id="nothing-observed"),
        pytest.param([isolation()], Fencing.CONFIRMED, id="both-carriers-and-silence"),
        pytest.param([isolation(dropping={"carrier-a": True})], Fencing.UNKNOWN, id="one-carrier-not-read"),
        pytest.param([isolation(dropping={"carrier-a": True, "carrier-b": None})], Fencing.UNKNOWN, id="one-unknown"),
        pytest.param([isolation(dropping={"carrier-a": True, "carrier-b": False})], Fencing.FAILED, id="one-forwards"),
        pytest.param([isolation(answers=1)], Fencing.FAILED, id="customers-heard-it"),
        pytest.param([isolation(answers=None)], Fencing.UNKNOWN, id="customers-not-tried"),
        pytest.param([isolation(flows=7)], Fencing.UNKNOWN, id="too-few-flows"),
        pytest.param([Power(feeding=("p1",), off={"p1": True}, endpoint_outside=True)], Fencing.CONFIRMED, id="power"),
        pytest.param(
            [Power(feeding=("p1",), off={"p1": True}, endpoint_outside=False)], Fencing.UNKNOWN, id="its-own-power"
        ),
        pytest.param(
            [Power(feeding=("p1", "p2"), off={"p1": True}, endpoint_outside=True)], Fencing.UNKNOWN, id="one-outlet"
        ),
        pytest.param([Power(feeding=("p1",), off={"p1": False}, endpoint_outside=True)], Fencing.FAILED, id="still-on"),
        pytest.param(
            [LeaseGone(gone=True, read_linearizably=True, quorum_without_site=True, demotion_rehearsed=True)],
            Fencing.CONFIRMED,
            id="lease",
        ),
        pytest.param(
            [LeaseGone(gone=True, read_linearizably=True, quorum_without_site=True, demotion_rehearsed=False)],
            Fencing.UNKNOWN,
            id="lease-not-rehearsed",
        ),
        pytest.param(
            [
                Power(feeding=("p1",), off={"p1": True}, endpoint_outside=True),
                isolation(answers=3),
            ],
            Fencing.FAILED,
            id="customers-refute-the-power-reading",
        ),
    ],
)
def test_fencing_is_confirmed_only_by_a_rule_that_was_observed_whole(
    seen: list[Isolation | Power | LeaseGone], fencing: Fencing
) -> None:
    assert fencing_from(seen) is fencing


GUARDED = Step(
    name="promote",
    title="Promote",
    call=call("promote"),
    hosts=(),
    guards=(guard("fencing-confirmed", on=("seen",), carriers=list(CARRIERS), addresses=[ADDRESS]),),
)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        pytest.param({}, "left no result", id="no-result"),
        pytest.param({"seen": {}}, "fencing of the old primary is unknown", id="empty"),
        pytest.param(
            {"seen": {"dropping": {"carrier-a": True}, "customers": {ADDRESS: {"flows": 9, "answers": 0}}}},
            "carrier carrier-b is not known to drop",
            id="a-step-that-looked-at-one-carrier",
        ),
        pytest.param(
            {"seen": {"dropping": dict.fromkeys(CARRIERS, True), "customers": {}}},
            f"customers heard an unknown number of answers from {ADDRESS}",
            id="no-customers",
        ),
        pytest.param(
            {"seen": {"dropping": dict.fromkeys(CARRIERS, "yes"), "customers": {ADDRESS: {"flows": 9, "answers": 0}}}},
            "fencing of the old primary is unknown",
            id="a-word-is-not-a-reading",
        ),
        pytest.param(
            {
                "seen": {
                    "dropping": dict.fromkeys(CARRIERS, True),
                    "customers": {ADDRESS: {"flows": 9, "answers": True}},
                }
            },
            "fencing of the old primary is unknown",
            id="true-is-not-a-count",
        ),
    ],
)
def test_promotion_is_refused_unless_fencing_is_confirmed(found: Mapping[str, Mapping[str, object]], told: str) -> None:
    assert any(told in reason for reason in reasons_not_to_proceed(GUARDED, found))


def test_promotion_passes_when_two_steps_together_saw_everything() -> None:
    both = Step(
        name="promote",
        title="",
        call=call("promote"),
        hosts=(),
        guards=(guard("fencing-confirmed", on=("a", "b"), carriers=list(CARRIERS), addresses=[ADDRESS]),),
    )
    facts: dict[str, dict[str, object]] = {
        "a": {"dropping": {"carrier-a": True}},
        "b": {"dropping": {"carrier-b": True}, "customers": {ADDRESS: {"flows": 8, "answers": 0}}},
    }
    assert list(reasons_not_to_proceed(both, facts)) == []


@pytest.mark.parametrize("name", sorted(set(GUARDS) - {"fencing-confirmed"}))
@pytest.mark.parametrize(
    "found", [{}, {"ok": None, "lost": None, "writable": None}, {"ok": 1, "lost": 1, "writable": 0}]
)
def test_what_a_guard_does_not_know_never_passes(name: str, found: Mapping[str, object]) -> None:
    guarded = Step(name="s", title="", call=call("x"), hosts=(), guards=(guard(name, on=("seen",)),))
    assert list(reasons_not_to_proceed(guarded, {"seen": found}))


def test_every_guard_can_be_simulated() -> None:
    assert set(SATISFYING) == set(GUARDS)


def test_a_reviewer_is_pointed_at_steps_nobody_can_tell_about_or_take_back() -> None:
    risky = Step(name="wipe", title="", call=call("wipe"), hosts=())
    asked = Step(name="wipe", title="", call=call("wipe"), hosts=(), gate=gate(persons=2))
    assert len(list(flags(example_plan(risky)))) == 2
    assert list(flags(example_plan(asked))) == []
