"""Decisions about a drill."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from secondsite.drill.load import load_scenario
from secondsite.drill.ports import CheckResult
from secondsite.drill.rules import reasons_not_steady, reasons_not_to_drill
from secondsite.estate.load import load_estate
from secondsite.estate.model import SiteName

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
