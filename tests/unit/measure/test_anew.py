"""A cold restart is judged by what came back, by what could not be destroyed, and by what production would take."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.measure.story import (
    FAULT,
    OPENED,
    STOPPED,
    THIN,
    WRITABLE,
    Line,
    Story,
    finding,
    lines,
    samples,
    traffic,
)

from secondsite.measure import DrillResult, Verdict, read_records, recompute, to_document

LOST_BEFORE_S = 4.0
"""What was acknowledged so long before the fault lay in no log at the vault."""
LEFT_OUT = {"held-back", "failback-started", "failback-done"}
GB = 1_000_000_000
STORES = ("billing", "control", "store-dc2")


def production(**changes: Any) -> Line:
    stated = {"source": "the capacity report of the quarter"}
    amounts = {"databases": 200 * GB, "files": 600 * GB, "number-of-files": 3_000_000, "hosts": 24}
    rates = {"vault-link": 125_000_000, "disk": 200_000_000}
    wait = {"expected_s": 3600.0, "at_most_s": 7200.0, "source": "the contract", "after": []}
    told: Line = {
        "target_s": 86400.0,
        "amounts": {name: {"value": value, **stated} for name, value in amounts.items()},
        "rates": {name: {"value": value, **stated} for name, value in rates.items()},
        "waits": {"decision": wait, "machines": wait | {"after": ["decision"]}},
    }
    return told | changes


def restore(phase: str, amounts: Line, took: float, *, t0: float = FAULT + 5, **changes: Any) -> Line:
    line: Line = {"t0": t0, "t1": t0 + took, "store": phase, "phase": phase, "from": "vault", "amounts": amounts}
    return line | {"until": "", "verified_by": "every page's checksum", "is_trial": True} | changes


def restores(*, seconds_a_gb: float = 20.0) -> list[Line]:
    found = [restore(f"restore-{one}", {"bytes": 10**7}, 0.5, store=one, is_trial=False) for one in STORES]
    for size, wobble in ((0.1, 0.01), (0.4, -0.02), (1.6, 0.015)):
        large = {"bytes": int(size * GB)}
        found.append(restore("databases", large, 1 + seconds_a_gb * size + wobble))
        found.append(restore("files", large, 0.5 + 10 * size - wobble))
        found.append(restore("number-of-files", {"bytes": 1, "files": int(size * 10_000)}, 0.5 + 2 * size + wobble))
    found += [restore(one, {"hosts": 8}, 30, verified_by="", is_trial=False) for one in ("build-hosts", "open-hosts")]
    return found


class Cold(Story):
    restored: list[Line]
    attempts: list[Line]

    def files(self) -> dict[str, bytes]:
        more = {"restores.jsonl": lines(self.restored), "attempts.jsonl": lines(self.attempts)}
        return super().files() | more

    def result(self) -> DrillResult:
        return recompute(read_records(self.files()))


def cold(**changes: Any) -> Cold:
    """Return a passed drill: dc1 and dc2 were lost, and dc2 serves with what the vault kept."""
    requests = [served(line) for line in traffic(THIN)]
    told = Cold(requests=requests, writability=[polled(line) for line in samples(2)])
    told.restored = restores()
    told.attempts = [
        {"t": FAULT - 1, "producer": one, "place": "the vault", "refused": True, "saw": "403"}
        for one in ("web-dc1", "db-dc1")
    ]
    told.promised |= {
        "returns": False,
        "begins_anew": True,
        "stores": list(STORES),
        "erases": True,
        "producers": ["web-dc1", "db-dc1"],
        "production": production(),
    }
    told.promised |= {"fault_hosts": ["web-dc1", "db-dc1", "web-dc2", "db-dc2"], "scenario": "cold-restart"}
    told.promised |= changes
    told.promised["workloads"] = [one | {"rto_s": 86400.0, "rpo_s": 900.0} for one in told.promised["workloads"]]
    told.silence["hosts"] = told.promised["fault_hosts"]
    told.events = [line for line in told.events if line["event"] not in LEFT_OUT and line["t"] < FAULT + 15]
    told.events += [
        {"t": FAULT + 0.09, "event": "delivered", "step": None, "detail": "web-dc2, db-dc2"},
        {
            "t": FAULT + 0.095,
            "event": "controller-rebuilt",
            "step": None,
            "detail": {"from": "vault", "bytes": 9, "sha256": "d" * 64, "version": "v", "began": FAULT + 0.091},
        },
        {
            "t": FAULT + 0.1,
            "event": "controller-recovered",
            "step": None,
            "detail": {"from": "vault", "bytes": 10, "opened_by": ["holder-1", "holder-2"]},
        },
        {"t": FAULT - 1, "event": "erased", "step": None, "detail": {"customers": ["a", "b"]}},
        {"t": OPENED, "event": "erased-looked-for", "step": None, "detail": {"present": {"a": False, "b": False}}},
        {"t": STOPPED, "event": "traffic-stopped", "step": None, "detail": None},
        {"t": STOPPED + 2, "event": "cleanup-proven", "step": None, "detail": {"left": []}},
    ]
    told.steps = [line | {"runbook": "cold_restart"} for line in told.steps]
    told.final = []
    for arm in ("main", "control"):
        kept = [
            line["id"]
            for line in requests
            if line["arm"] == arm and line["kind"] == "write" and line["outcome"] == "ok"
            if not FAULT - LOST_BEFORE_S <= line["t0"] < FAULT
        ]
        told.final += [{"arm": arm, "node": "db-dc2", "id": one} for one in kept]
        told.final.append({"arm": arm, "node": "db-dc2", "read_at": STOPPED + 0.5, "rows": len(kept)})
    told.count()
    return told


def served(line: Line) -> Line:
    if line["t0"] < OPENED:
        return line
    return line | {"t1": line["t0"] + 0.02, "outcome": "ok", "web": "web-dc2", "db": "db-dc2", "error": None}


def polled(sample: Line) -> Line:
    if sample["node"] == "db-dc1":
        return sample | {"state": "unreachable" if sample["t"] >= FAULT else "writable"}
    return sample | {"state": "writable" if sample["t"] >= WRITABLE else sample["state"]}


def saw(result: DrillResult, rule: str) -> str:
    return next(one.saw for one in result.rules if one.id == rule)


def test_a_cold_restart_passes_with_what_was_lost_counted_and_production_in_time() -> None:
    result = cold().result()

    assert result.verdict is Verdict.PASSED, [rule for rule in result.rules if rule.status.value != "satisfied"]
    document = to_document(result)
    assert result.writes.lost == 16
    assert result.objectives[0].rpa == pytest.approx(LOST_BEFORE_S, abs=0.5)
    projection = document["projection"]
    assert isinstance(projection, dict)
    assert projection["target_h"] == 24
    assert 0 < projection["expected_h"] < projection["upper_95_h"] < 24
    assert projection["extrapolated"] is True
    assert [one["store"] for one in document["restored"]] == list(STORES)  # type: ignore[attr-defined]
    assert json.loads(json.dumps(document)) == document


def test_a_slow_way_to_the_vault_breaks_the_projection_and_is_named() -> None:
    told = cold()
    told.restored = restores(seconds_a_gb=500.0)

    result = told.result()

    assert result.verdict is Verdict.FAILED
    assert finding(result, "production-in-time") == "not-satisfied"
    assert "databases" in saw(result, "production-in-time")


def test_production_that_nobody_declared_or_measured_makes_it_inconclusive() -> None:
    without = production()
    del without["amounts"]["files"]
    assert "files" in saw(cold(production=without).result(), "production-in-time")
    undeclared = cold(production=None).result()
    assert undeclared.verdict is Verdict.INCONCLUSIVE
    assert "does not declare" in saw(undeclared, "production-in-time")
    told = cold()
    told.restored = [line for line in told.restored if line["phase"] != "files"]
    assert "0 sizes" in saw(told.result(), "production-in-time")


def bend(told: Cold, rule: str) -> None:
    match rule:
        case "vault-withstood":
            told.attempts[1] |= {"refused": False}
        case "both-copies-gone":
            told.event("delivered")["detail"] = "web-dc2"
        case "controller-began-anew":
            told.event("controller-recovered")["detail"]["opened_by"] = ["holder-1", "holder-1"]
        case "restored-and-verified":
            told.restored = [line for line in told.restored if line["store"] != "store-dc2"]
        case "loss-seen":
            told.final = []
            for arm in ("main", "control"):
                kept = [r["id"] for r in told.requests if r["arm"] == arm and r["kind"] == "write" and r["web"]]
                told.final += [{"arm": arm, "node": "db-dc2", "id": one} for one in kept]
                told.final.append({"arm": arm, "node": "db-dc2", "read_at": STOPPED + 0.5, "rows": len(kept)})


@pytest.mark.parametrize(
    "rule", ["vault-withstood", "both-copies-gone", "controller-began-anew", "restored-and-verified", "loss-seen"]
)
def test_what_was_not_so_is_named_and_never_passes(rule: str) -> None:
    told = cold()
    bend(told, rule)

    result = told.result()

    assert result.verdict is not Verdict.PASSED
    assert finding(result, rule) != "satisfied"


def test_an_erased_customer_who_comes_back_fails_the_drill_by_name() -> None:
    told = cold()
    told.event("erased-looked-for")["detail"]["present"]["b"] = True

    result = told.result()

    assert result.verdict is Verdict.FAILED
    assert saw(result, "erased-stay-erased") == "came back: b"
    told.event("erased-looked-for")["detail"] = {"present": {"a": False}}
    assert told.result().verdict is Verdict.INCONCLUSIVE
    told.promised["erases"] = False
    assert "erased-stay-erased" not in {rule.id for rule in told.result().rules}


@pytest.mark.parametrize(
    "forget",
    [
        pytest.param(lambda told: told.attempts.clear(), id="nobody-attacked"),
        pytest.param(lambda told: told.attempts[0].update(refused=None), id="one-was-not-tried"),
        pytest.param(lambda told: told.attempts[0].update(t=FAULT + 1), id="tried-too-late"),
    ],
)
def test_an_attack_that_was_not_made_shows_nothing(forget: Callable[[Cold], None]) -> None:
    told = cold()
    forget(told)

    result = told.result()

    assert result.verdict is not Verdict.PASSED
    if told.attempts and told.attempts[0]["t"] < FAULT:
        assert finding(result, "vault-withstood") == "not-measured"


def test_a_machine_that_was_thrown_away_and_still_serves_refutes_the_fault() -> None:
    told = cold()
    late = next(line for line in told.requests if line["t0"] > FAULT + 8)
    late |= {"web": "web-dc1", "db": "db-dc1"}

    assert finding(told.result(), "fault-proven") == "not-satisfied"
