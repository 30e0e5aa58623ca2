"""A drill in which nothing may fail over: what was lost is endured where operations are."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.unit.measure.story import FAULT, STOPPED, THIN, WORKLOADS, Line, Story, finding, samples, traffic

from secondsite.measure import Verdict, to_document

BACK = FAULT + 20
STUCK_S = 4.0
"""For so long after the fault no write was answered."""
LEFT_OUT = {"held-back", "detected", "declared", "approved", "fenced", "writable", "redirected", "opened"}
LEFT_OUT |= {"restored-verified", "failback-started", "failback-done"}


def endured(*, stuck_s: float = STUCK_S) -> Story:
    """Return a passed drill: dc2 was lost, and dc1 went on after its writes had waited for the copy for a while."""
    requests = [served_at_home(line, stuck_s=stuck_s) for line in traffic(THIN)]
    told = Story(requests=requests, writability=[polled(line) for line in samples(2)])
    told.promised |= {"origin": "dc2", "target": "dc1", "fault_hosts": ["web-dc2", "db-dc2"], "returns": False}
    told.promised |= {"endured": True, "resumes_within_s": 10.0, "scenario": "secondary-loss"}
    told.events = [line for line in told.events if line["event"] not in LEFT_OUT]
    told.events.append({"t": BACK, "event": "power-restored", "step": None, "detail": "web-dc2, db-dc2"})
    told.events.sort(key=lambda line: line["t"])
    told.silence["hosts"] = ["web-dc2", "db-dc2"]
    told.steps, told.final = [], []
    told.approvals = {"standing_order": None, "approvals": []}
    for arm in ("main", "control"):
        kept = [r["id"] for r in requests if r["arm"] == arm and r["kind"] == "write" and r["outcome"] == "ok"]
        told.final += [{"arm": arm, "node": "db-dc1", "id": one} for one in kept]
        told.final.append({"arm": arm, "node": "db-dc1", "read_at": STOPPED + 0.5, "rows": len(kept)})
    return told


def served_at_home(line: Line, *, stuck_s: float) -> Line:
    number, t0 = line["id"], line["t0"]
    served = line | {"t1": t0 + 0.02, "outcome": "ok", "web": "web-dc1", "db": "db-dc1", "error": None, "id": number}
    if line["kind"] == "write" and line["arm"] == "main" and FAULT - 0.02 <= t0 < FAULT + stuck_s:
        return served | {"t1": t0 + 2.0, "outcome": "unknown", "web": None, "db": None, "error": "no answer"}
    return served


def polled(sample: Line) -> Line:
    if sample["node"] == "db-dc1":
        return sample | {"state": "writable"}
    return sample | {"state": "unreachable" if FAULT <= sample["t"] < BACK + 1 else "read-only"}


def test_a_loss_that_was_endured_passes_without_a_word_about_fencing_or_steps() -> None:
    result = endured().result()

    assert result.verdict is Verdict.PASSED, [rule for rule in result.rules if rule.status.value != "satisfied"]
    assert to_document(result)["fencing"] == "not-needed"
    assert finding(result, "resumed") == "satisfied"
    assert not {"fencing-confirmed", "steps-completed", "returned", "times-known"} & {rule.id for rule in result.rules}
    assert STUCK_S <= (result.times.fault_to_restored or 0) <= STUCK_S + 0.5
    assert (result.gaps.read or 9) < 1 < STUCK_S <= (result.gaps.write or 0)


def promoted_elsewhere(told: Story) -> None:
    for sample in told.writability:
        if sample["node"] == "db-dc2" and sample["workload"] == WORKLOADS[0] and sample["t"] >= STOPPED - 2:
            sample["state"] = "writable"
        if sample["node"] == "db-dc1" and sample["workload"] == WORKLOADS[0] and sample["t"] >= STOPPED - 3:
            sample["state"] = "read-only"


def promoted_for_a_moment(told: Story) -> None:
    next(s for s in told.writability if s["node"] == "db-dc2" and s["t"] > BACK + 5)["state"] = "writable"


def primary_flapped(told: Story) -> None:
    next(s for s in told.writability if s["node"] == "db-dc1" and s["t"] > FAULT + 5)["state"] = "read-only"


def lost_a_write(told: Story) -> None:
    told.final.remove(next(line for line in told.final if line["arm"] == "main" and "id" in line))
    next(line for line in told.final if line["arm"] == "main" and "rows" in line)["rows"] -= 1


def never_back(told: Story) -> None:
    told.steady[-1] |= {"state": "failed", "saw": "billing has no standby"}


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        pytest.param(promoted_elsewhere, "nothing-promoted", id="promoted"),
        pytest.param(promoted_for_a_moment, "nothing-promoted", id="promoted-for-a-moment"),
        pytest.param(primary_flapped, "kept-writing", id="primary-flapped"),
        pytest.param(lost_a_write, "rpo:billing", id="lost-a-write"),
        pytest.param(never_back, "steady-after", id="never-back"),
    ],
)
def test_what_must_not_happen_fails_the_drill(spoil: Callable[[Story], None], rule: str) -> None:
    told = endured()
    spoil(told)

    result = told.result()

    assert result.verdict is Verdict.FAILED
    assert finding(result, rule) == "not-satisfied"


def test_writes_that_wait_too_long_fail_the_drill() -> None:
    result = endured(stuck_s=12.0).result()

    assert (finding(result, "resumed"), result.verdict) == ("not-satisfied", Verdict.FAILED)


def test_writes_that_never_come_back_fail_the_drill() -> None:
    result = endured(stuck_s=1000.0).result()

    assert (finding(result, "resumed"), result.verdict) == ("not-satisfied", Verdict.FAILED)


def test_without_polls_nobody_can_say_that_nothing_was_promoted() -> None:
    told = endured()
    told.writability = []

    result = told.result()

    assert finding(result, "nothing-promoted") == "not-measured"
    assert result.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("change", [{"resumes_within_s": None}, {"resumes_within_s": 0}, {"returns": True}])
def test_a_promise_that_can_not_be_meant_is_no_promise(change: Line) -> None:
    told = endured()
    told.promised |= change

    assert told.result().verdict is not Verdict.PASSED


@pytest.mark.parametrize("node", ["db-dc1", "db-dc2"])
def test_of_a_node_that_nobody_watched_nothing_is_claimed(node: str) -> None:
    told = endured()
    told.writability = [line for line in told.writability if line["node"] != node]

    result = told.result()

    promoted = "satisfied" if node == "db-dc1" else "not-measured"  # who serves is not one who was promoted elsewhere
    assert (finding(result, "nothing-promoted"), finding(result, "kept-writing")) == (promoted, "not-measured")
    assert result.verdict is not Verdict.PASSED
