"""Every check has a fault that turns it red, and what became of a planted one is judged without mercy."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondsite.checks.load import load_sabotages
from secondsite.checks.model import Place, Sabotage, State
from secondsite.checks.rules import CHECKS
from secondsite.checks.rules.planted import alarms, changed, confirmed, missed, reasons_not_healthy, target
from secondsite.errors import ConfigError

from .estates import ESTATE

SABOTAGES = load_sabotages(Path(__file__).parents[3] / "drtests" / "sabotages", checks=CHECKS)
# What can't be planted on a running lab without ruining it; the unit tests plant these in facts.
IN_FACTS_ONLY = {
    "NET-ROUTES": "NET-BFD and NET-TUNNELS notice the faults by which a route is lost",
    "NET-SRLG-DECLARED": "two links would have to be declared in one duct",
    "CFG-DIFFERENCES": "a day would have to pass",
    "INV-TWINS": "a twin would have to vanish from the inventory",
    "FEN-SINGLE-WRITER": "two writers ruin the data; every drill of a site's loss looks for them",
    "RDY-COLLATION-PARITY": "one host would have to run another release",
    "NET-QUORUM-PLACEMENT": "a voter would have to move",
}
IDS = ("A-ONE", "A-TWO", "A-THREE")
states = st.fixed_dictionaries({name: st.sampled_from(State) for name in IDS})


def sabotage(red: set[str], may: set[str] | None = None) -> Sabotage:
    return Sabotage(
        id="X01",
        title="x",
        groups=("web",),
        at=Place.SECONDARY,
        script="",
        expect_red=frozenset(red),
        may_red=frozenset(may or set()),
        within=dt.timedelta(seconds=1),
        source="",
    )


def test_every_check_has_a_planted_fault_or_a_reason_why_not() -> None:
    planted = {name for one in SABOTAGES.values() for name in one.expect_red}

    assert {check.id for check in CHECKS} - planted == set(IN_FACTS_ONLY)


@pytest.mark.parametrize("one", SABOTAGES.values(), ids=lambda one: one.id)
def test_every_fault_can_be_planted_and_taken_back(one: Sabotage) -> None:
    assert "inject() {" in one.script
    assert "revert() {" in one.script


@given(before=states, after=states, red=st.sets(st.sampled_from(IDS), min_size=1), may=st.sets(st.sampled_from(IDS)))
def test_only_green_that_turns_red_counts_as_noticed_and_nothing_else_may_move(
    before: dict[str, State], after: dict[str, State], red: set[str], may: set[str]
) -> None:
    planted = sabotage(red, may)

    for name in IDS:
        turned = before[name] is State.PASSED and after[name] is State.FAILED
        assert (name in missed(planted, before, after)) == (name in red and not turned)
        moved = before[name] is not after[name]
        assert (name in alarms(planted, before, after)) == (moved and name not in red | may)
        assert (name in changed(before, after)) == moved


@given(
    before=states,
    after=states,
    again=states,
    red=st.sets(st.sampled_from(IDS), min_size=1),
    may=st.sets(st.sampled_from(IDS)),
)
def test_an_alarm_is_what_is_not_as_before_at_a_second_look_either_and_what_was_noticed_stays_noticed(
    before: dict[str, State], after: dict[str, State], again: dict[str, State], red: set[str], may: set[str]
) -> None:
    planted = sabotage(red, may)
    seen = confirmed(planted, before, after, again)

    assert alarms(planted, before, seen) == alarms(planted, before, after) & alarms(planted, before, again)
    assert missed(planted, before, seen) == missed(planted, before, after)


@given(before=states)
def test_a_fault_is_planted_only_where_every_check_is_known_to_be_green(before: dict[str, State]) -> None:
    reasons = reasons_not_healthy(before)

    assert (reasons == []) == all(state is State.PASSED for state in before.values())
    assert reasons == [f"{name} is {before[name].value}" for name in sorted(IDS) if before[name] is not State.PASSED]


def test_a_check_that_vanished_was_not_noticed() -> None:
    assert missed(sabotage({"A-ONE"}), {"A-ONE": State.PASSED}, {}) == {"A-ONE"}


def test_a_fault_is_planted_where_it_says() -> None:
    host = target(sabotage({"A-ONE"}), ESTATE)

    assert host is not None
    assert host.name == "web-dc2"


def test_a_fault_that_expects_an_unknown_check_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_text(
        "X01:\n  title: x\n  groups: [web]\n  at: secondary\n  expect_red: [NO-SUCH]\nX02:\n  title: y\n"
    )
    (tmp_path / "X01.sh").write_text("inject() { :; }\n")

    with pytest.raises(ConfigError) as refused:
        load_sabotages(tmp_path, checks=CHECKS)

    assert "NO-SUCH" in str(refused.value)
    assert "X02" in str(refused.value)
