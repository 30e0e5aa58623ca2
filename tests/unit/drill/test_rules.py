"""Decisions about a drill."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondsite.drill.load import load_scenario
from secondsite.drill.ports import CheckResult
from secondsite.drill.rules import (
    reasons_not_now,
    reasons_not_steady,
    reasons_not_to_disrupt,
    reasons_not_to_drill,
)
from secondsite.estate.load import load_estate
from secondsite.estate.model import DrillWindow, Estate, SiteName

ROOT = Path(__file__).parents[3]
SCENARIOS = ROOT / "drtests" / "scenarios"
ESTATE = load_estate(ROOT / "inventories" / "small")
VAULT, HQ = SiteName("vault"), SiteName("hq")
RESULTS = st.lists(
    st.builds(
        CheckResult,
        id=st.text(min_size=1, max_size=40),
        state=st.sampled_from(["passed", "failed", "unknown"]),
        saw=st.text(max_size=600),
        expected=st.just(""),
    ),
    max_size=60,
)


@given(RESULTS)
def test_only_checks_that_all_passed_give_no_reason(results: list[CheckResult]) -> None:
    healthy = bool(results) and all(result.state == "passed" for result in results)
    assert healthy == (list(reasons_not_steady(results)) == [])


@given(RESULTS)
def test_however_many_checks_are_red_the_reasons_fit_on_a_screen(results: list[CheckResult]) -> None:
    reasons = list(reasons_not_steady(results))
    assert len(reasons) <= 6
    assert sum(len(reason) for reason in reasons) < 6 * 450


def test_one_cause_of_many_reds_is_told_once() -> None:
    silent = [CheckResult(id=f"check[{n}]", state="unknown", saw="web-dc1 is silent", expected="") for n in range(9)]
    late = CheckResult(id="dns", state="failed", saw="serial 3, expected 4", expected="")
    assert list(reasons_not_steady([*silent, late])) == [
        "check[0], check[1], check[2] and 6 more are unknown: web-dc1 is silent",
        "dns is failed: serial 3, expected 4",
    ]


def test_a_third_place_may_be_lost_only_where_nobody_has_to_take_over_from_it() -> None:
    endured = load_scenario("vault-loss", folder=SCENARIOS, estate=ESTATE)
    answered = load_scenario("site-loss", folder=SCENARIOS, estate=ESTATE)

    assert list(reasons_not_to_drill(endured, ESTATE)) == []
    for wrong in (replace(answered, fault_site=VAULT), replace(endured, origin=HQ, fault_site=HQ)):
        assert any("is no datacenter" in why for why in reasons_not_to_drill(wrong, ESTATE))


def test_a_fault_that_the_estate_does_not_permit_is_not_brought_about() -> None:
    partition = load_scenario("partition", folder=SCENARIOS, estate=ESTATE)

    assert "the estate does not permit the injection cut-link" in list(
        reasons_not_to_drill(partition, replace(ESTATE, injections=("cut-power",)))
    )


def in_windows(*windows: DrillWindow) -> Estate:
    assert ESTATE.drills is not None
    return replace(ESTATE, drills=replace(ESTATE.drills, windows=windows))


def window(days: set[int], begins: str, ends: str, zone: str = "Europe/Berlin") -> DrillWindow:
    return DrillWindow(
        days=frozenset(days),
        begins=dt.time.fromisoformat(begins),
        ends=dt.time.fromisoformat(ends),
        zone=ZoneInfo(zone),
        zone_name=zone,
    )


NIGHTS = window({0, 1}, "22:00", "04:00")  # Monday's and Tuesday's, as Berlin counts


@pytest.mark.parametrize(
    ("now", "open_"),
    [
        pytest.param("2026-11-30T20:59", False, id="a-minute-before"),
        pytest.param("2026-11-30T21:00", True, id="as-it-begins"),
        pytest.param("2026-12-01T01:00", True, id="after-midnight"),
        pytest.param("2026-12-01T02:50", True, id="just-in-time-to-end"),
        pytest.param("2026-12-01T02:51", False, id="it-would-end-too-late"),
        pytest.param("2026-12-02T01:00", True, id="the-second-night"),
        pytest.param("2026-12-03T01:00", False, id="not-on-wednesday"),
        pytest.param("2026-11-30T01:00", False, id="not-on-sunday-night"),
        pytest.param("2026-07-06T20:00", True, id="summer-time"),
        pytest.param("2026-07-06T19:59", False, id="summer-time-a-minute-before"),
    ],
)
def test_a_drill_begins_and_ends_inside_a_window_of_the_estate(now: str, open_: bool) -> None:  # noqa: FBT001
    scenario = replace(load_scenario("site-loss", folder=SCENARIOS, estate=ESTATE), maximum=dt.timedelta(minutes=10))
    at = dt.datetime.fromisoformat(now).replace(tzinfo=dt.UTC)
    reasons = list(reasons_not_now(scenario, in_windows(NIGHTS), now=at))
    assert (reasons == []) is open_
    if not open_:
        assert "mon, tue from 22:00 to 04:00 Europe/Berlin" in reasons[0]
        assert "may take 0:10:00" in reasons[0]


def test_two_windows_that_meet_are_not_one_and_without_any_drills_are_held_at_any_time() -> None:
    scenario = replace(load_scenario("site-loss", folder=SCENARIOS, estate=ESTATE), maximum=dt.timedelta(minutes=10))
    halves = (window({0}, "10:00", "12:00", "UTC"), window({0}, "12:00", "14:00", "UTC"))
    noon = dt.datetime(2026, 11, 30, 11, 55, tzinfo=dt.UTC)
    assert list(reasons_not_now(scenario, in_windows(*halves), now=noon))
    assert list(reasons_not_now(scenario, in_windows(halves[0], window({0}, "11:30", "12:30", "UTC")), now=noon)) == []
    assert list(reasons_not_now(scenario, ESTATE, now=noon)) == []


def test_an_estate_that_is_no_lab_is_not_disrupted() -> None:
    scenario = load_scenario("site-loss", folder=SCENARIOS, estate=ESTATE)
    assert list(reasons_not_to_disrupt(scenario, ESTATE, is_lab=True)) == []
    (reason,) = reasons_not_to_disrupt(scenario, ESTATE, is_lab=False)
    assert "the consent of two persons" in reason


def test_who_carries_a_failover_out_by_hand_uses_no_standing_order_and_signs_at_no_desk() -> None:
    whole = load_estate(ROOT / "inventories" / "lab")
    by_hand = load_scenario("site-loss-by-hand", folder=SCENARIOS, estate=whole)
    assert not by_hand.may_use_an_order
    assert replace(by_hand, by_hand=False).may_use_an_order
    with pytest.raises(ValueError, match="by_hand"):
        replace(by_hand, consent_at=SiteName("dc2"))
