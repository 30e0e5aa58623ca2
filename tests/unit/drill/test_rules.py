"""Decisions about a drill."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from secondsite.drill.ports import CheckResult
from secondsite.drill.rules import reasons_not_steady

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
