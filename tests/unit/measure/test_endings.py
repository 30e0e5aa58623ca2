"""Drills that end otherwise: a primary that comes back, a fence that lies, writers that may stop."""

from __future__ import annotations

import pytest
from tests.unit.measure.story import (
    BEGIN,
    FAULT,
    OPENED,
    STOPPED,
    THIN,
    WRITABLE,
    Line,
    Story,
    finding,
    samples,
    thin_story,
    traffic,
)
from tests.unit.measure.test_endured import BACK, endured

from secondsite.measure import DrillResult, Verdict
from secondsite.reports import render_html

DETAIL = "web-dc1, db-dc1"


def unsatisfied(result: DrillResult) -> dict[str, str]:
    return {rule.id: rule.saw for rule in result.rules if rule.status.value != "satisfied"}


def came_back(when: str, *, at: float, aged: float | None = None) -> Story:
    """Return a passed drill in which dc1 has power again at an instant, and answers polls half a second later."""
    told = thin_story()
    told.promised["comes_back"] = when
    told.events.append({"t": at, "event": "power-restored", "step": None, "detail": DETAIL})
    if aged is not None:
        told.events.append({"t": aged, "event": "aged", "step": None, "detail": "nothing is kept"})
    told.events.sort(key=lambda line: line["t"])
    for sample in told.writability:
        if sample["node"] == "db-dc1" and at + 0.5 < sample["t"] and sample["state"] == "unreachable":
            sample["state"] = "down" if sample["t"] < at + 2 else "read-only"
    return told


SUSTAINED = OPENED + 10.6
CASES = [
    ("while-promoting", FAULT + 1.45, None),
    ("once-promoted", OPENED + 0.5, None),
    ("a-day-later", SUSTAINED + 1.0, SUSTAINED + 0.5),
]


@pytest.mark.parametrize(("when", "at", "aged"), CASES)
def test_an_old_primary_that_comes_back_and_can_not_write_passes(when: str, at: float, aged: float | None) -> None:
    result = came_back(when, at=at, aged=aged).result()

    assert result.verdict is Verdict.PASSED, unsatisfied(result)
    assert finding(result, "came-back") == "satisfied"


@pytest.mark.parametrize(("when", "at", "aged"), CASES)
def test_an_old_primary_that_could_write_for_one_poll_fails(when: str, at: float, aged: float | None) -> None:
    told = came_back(when, at=at, aged=aged)
    next(s for s in told.writability if s["node"] == "db-dc1" and s["t"] > at + 1)["state"] = "writable"

    result = told.result()

    assert finding(result, "came-back") == "not-satisfied"
    assert result.verdict is Verdict.FAILED


@pytest.mark.parametrize(("when", "at", "aged"), CASES)
def test_a_moment_that_was_not_the_one_meant_proves_nothing(when: str, at: float, aged: float | None) -> None:
    wrong = {"while-promoting": SUSTAINED + 1, "once-promoted": SUSTAINED + 1, "a-day-later": OPENED + 0.5}[when]
    result = came_back(when, at=wrong, aged=aged).result()

    assert finding(result, "came-back") == "not-measured"
    assert result.verdict is not Verdict.PASSED


def test_a_copy_that_was_never_seen_alive_has_not_come_back() -> None:
    told = came_back("once-promoted", at=OPENED + 0.5)
    told.writability = [s for s in told.writability if s["node"] != "db-dc1" or not OPENED < s["t"] < BACK + 20]

    assert finding(told.result(), "came-back") == "not-measured"


REFUSED_AT, ENDED, HOME = FAULT + 3.0, FAULT + 4.0, FAULT + 12.0
LEFT_OUT = {
    "held-back",
    "fenced",
    "writable",
    "redirected",
    "opened",
    "restored-verified",
    "sustained",
    "failback-started",
}
LEFT_OUT |= {"failback-done"}


def refused() -> Story:
    """Return a passed drill: a fence lied, nothing was promoted, and dc1 served again when its power was back."""
    requests = [request_of_a_refusal(line) for line in traffic(THIN)]
    told = Story(requests=requests, writability=[poll_of_a_refusal(line) for line in samples(2)])
    told.promised |= {"refused": True, "returns": False, "scenario": "lying-fence"}
    told.events = [line for line in told.events if line["event"] not in LEFT_OUT]
    for t, event, detail in (
        (FAULT - 0.5, "fence-lies", "carrier-b"),
        (REFUSED_AT, "fenced", {"fencing": "failed", "observations": []}),
        (REFUSED_AT, "run-ended", "3 failover refused"),
        (ENDED, "fault-ended", None),
        (ENDED, "power-restored", DETAIL),
    ):
        told.events.append({"t": t, "event": event, "step": None, "detail": detail})
    told.events.sort(key=lambda line: line["t"])
    told.steps = []
    told.final = []
    for arm in ("main", "control"):
        kept = [r["id"] for r in requests if r["arm"] == arm and r["kind"] == "write" and r["outcome"] == "ok"]
        told.final += [{"arm": arm, "node": "db-dc1", "id": one} for one in kept]
        told.final.append({"arm": arm, "node": "db-dc1", "read_at": STOPPED + 0.5, "rows": len(kept)})
    return told


def request_of_a_refusal(line: Line) -> Line:
    t0 = line["t0"]
    if t0 < FAULT or t0 >= HOME:
        return line | {"t1": t0 + 0.02, "outcome": "ok", "web": "web-dc1", "db": "db-dc1", "error": None}
    return line | {"t1": t0 + 1.0, "outcome": "failed", "web": None, "db": None, "error": "no answer"}


def poll_of_a_refusal(sample: Line) -> Line:
    if sample["node"] == "db-dc2":
        return sample | {"state": "read-only"}
    dark = FAULT <= sample["t"] < ENDED + 1
    return sample | {"state": "unreachable" if dark else "down" if FAULT < sample["t"] < ENDED + 3 else "writable"}


def test_a_lie_that_was_found_out_passes() -> None:
    result = refused().result()

    assert result.verdict is Verdict.PASSED, unsatisfied(result)
    assert finding(result, "fence-refuted") == "satisfied"
    assert not [rule.id for rule in result.rules if rule.id.startswith("rto:")]


def test_whoever_promotes_on_the_word_of_a_lying_fence_fails() -> None:
    told = refused()
    told.events.append({"t": WRITABLE, "event": "writable", "step": None, "detail": {}})
    told.events.sort(key=lambda line: line["t"])
    for sample in told.writability:
        if sample["node"] == "db-dc2" and WRITABLE < sample["t"] < ENDED:
            sample["state"] = "writable"

    result = told.result()

    assert {"fence-refuted", "nothing-promoted"} <= {r.id for r in result.rules if r.status.value == "not-satisfied"}
    assert result.verdict is Verdict.FAILED


def test_without_a_lie_on_record_a_refusal_proves_nothing() -> None:
    told = refused()
    told.events = [line for line in told.events if line["event"] != "fence-lies"]

    assert finding(told.result(), "fence-refuted") == "not-measured"


def test_an_origin_that_never_serves_again_has_not_been_left_as_it_was() -> None:
    told = refused()
    for line in told.requests:
        if line["t0"] >= FAULT:
            line |= {"outcome": "failed", "web": None, "db": None}

    assert told.result().verdict is not Verdict.PASSED


def stopped() -> Story:
    """Return a passed drill: two members of the quorum were gone, and the primary stopped until they were back."""
    told = endured(stuck_s=BACK - FAULT + 2)
    told.promised |= {"writers_may_stop": True, "scenario": "quorum-loss"}
    told.events.append({"t": BACK, "event": "fault-ended", "step": None, "detail": None})
    told.events.sort(key=lambda line: line["t"])
    for sample in told.writability:
        if sample["node"] == "db-dc1" and FAULT + 8 < sample["t"] < BACK + 1:
            sample["state"] = "read-only"
    return told


def test_writers_that_may_stop_are_judged_from_the_end_of_the_fault() -> None:
    result = stopped().result()

    assert "kept-writing" not in {rule.id for rule in result.rules}
    assert finding(result, "resumed") == "satisfied"
    # the objective counts from the fault as ever: what took longer than was promised is said
    assert set(unsatisfied(result)) <= {"rto:billing"}


def test_an_instant_before_the_fault_is_not_its_end() -> None:
    told = stopped()
    told.event("fault-ended")["t"] = BEGIN + 2

    assert told.result().verdict is not Verdict.PASSED


def test_the_report_of_a_refusal_says_what_had_to_be_refused() -> None:
    page = render_html(refused().files())

    assert "The failover was refused, as it had to be." in page
    assert "lost and the failover to" in page


def test_the_report_says_when_the_old_primary_came_back() -> None:
    assert "came back once promoted" in render_html(came_back("once-promoted", at=OPENED + 0.5).files())
