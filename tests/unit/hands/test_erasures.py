"""After a restore: the ledger is applied again, and nothing opens while anything of anybody erased is still there."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from secondsite.drill.ports import Clock
from secondsite.errors import ActionError, LeftOff
from secondsite.estate.load import load_estate
from secondsite.hands.erasures import Steps
from secondsite.plan.load import load_plan
from secondsite.plan.model import Plan
from secondsite.plan.rules import dependency_order
from secondsite.run.ports import CommandResult, Hands, Outcome, StepContext

ROOT = Path(__file__).parents[3]
GONE = "519734e4-1b8e-4624-abf7-17232fa8f0fd"
REPLAYED = {"entries": 6, "applied": 2, "in_force": {"erased": 1, "legal-hold": 0}}
CLEAN: dict[str, Any] = {"leads": True, "ledger": True, "present": [], "missing": {}, "unrecorded": []}
CLEAN |= {"keys": {"vault": [], "ops-dc2": []}, "unheard": {}}


class Time:
    """A clock that moves only while somebody waits."""

    def __init__(self) -> None:
        self.at = 0.0

    def monotonic(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


class Hosts:
    """Hosts that answer each verb in turn, the last answer for ever."""

    def __init__(self, **answers: list[object]) -> None:
        self.answers, self.code = answers, 0

    def run(self, host: str, argv: Sequence[str], *, timeout: dt.timedelta, accept: Sequence[int]) -> CommandResult:
        assert host == ("store-dc2" if argv[2].endswith("storectl") else "db-dc2")
        waiting = self.answers[argv[3]]
        said = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        code = 1 if isinstance(said, str) else 0
        assert code in accept
        assert timeout
        return CommandResult(exit_code=code, stdout="" if code else json.dumps(said), stderr=str(said) if code else "")


def perform(action: str, hosts: Hosts, *, stopping: bool = False) -> Outcome:
    context = StepContext(
        run="000007-cold_restart",
        step="s",
        attempt=1,
        hosts=(),
        timeout=dt.timedelta(seconds=60),
        files=Path(),
        stopping=lambda: stopping,
    )
    steps = Steps(hands=cast("Hands", hosts), clock=cast("Clock", Time()))
    arguments = {"host": "db-dc2", "source": "vault", "stores": ["store-dc2"]}
    return steps.registry().actions[action].perform(arguments, key="k", context=context)


def test_what_was_applied_is_told_and_a_second_time_it_is_no_change() -> None:
    came = perform("replay-erasures", Hosts(replay=[REPLAYED]))
    assert came.changed
    assert came.detail["said"] == ("6 entries from vault: 2 accounts were changed; 1 are erased, 0 under a legal hold")
    assert not perform("replay-erasures", Hosts(replay=[{**REPLAYED, "applied": 0}])).changed


@pytest.mark.parametrize(
    "said",
    [
        pytest.param("vault: record 3 does not follow the one before it", id="a broken chain"),
        pytest.param({"entries": 6}, id="an answer that is not whole"),
        pytest.param([], id="an answer that is none"),
    ],
)
def test_a_replay_that_is_not_known_to_be_done_fails(said: object) -> None:
    with pytest.raises(ActionError):
        perform("replay-erasures", Hosts(replay=[said]))


def test_nothing_is_found_when_nothing_is_there() -> None:
    came = perform("prove-erasures", Hosts(audit=[CLEAN], erased=[{"erased": []}]))
    assert not came.changed
    assert "no search index" in str(came.detail["said"])


@pytest.mark.parametrize(
    ("audit", "erased", "cause"),
    [
        pytest.param({"present": [GONE]}, [], f"{GONE}.* in the database again", id="a person in the database"),
        pytest.param({"keys": {"ops-dc2": [GONE]}}, [], "ops-dc2 has the key", id="a key"),
        pytest.param({"missing": {GONE: ["hold"]}}, [], "hold in the ledger, and not in force", id="a hold"),
        pytest.param({"unrecorded": [GONE]}, [], "the ledger does not know", id="a hold that nobody recorded"),
        pytest.param({"unheard": {"vault": "refused"}}, [], "keeper vault was not heard", id="a silent keeper"),
        pytest.param({"leads": False}, [], "does not lead", id="a standby"),
        pytest.param({"keys": None}, [], "does not tell all", id="an answer that is not whole"),
        pytest.param({}, [GONE], "store-dc2 keeps files", id="a person's files"),
        pytest.param({}, None, "does not tell whose files", id="a store that does not tell"),
    ],
)
def test_whatever_is_left_keeps_everything_closed_and_is_named(audit: Any, erased: Any, cause: str) -> None:
    with pytest.raises(ActionError, match=cause) as caught:
        perform("prove-erasures", Hosts(audit=[{**CLEAN, **audit}], erased=[{"erased": erased}]))
    assert "nothing is opened" in str(caught.value)


def test_a_store_and_a_new_keeper_are_given_time() -> None:
    behind = {**CLEAN, "keys": {"ops-dc2": [GONE]}}
    perform("prove-erasures", Hosts(audit=[behind, CLEAN], erased=[{"erased": [GONE]}, {"erased": []}]))


def test_a_run_that_is_stopped_waits_no_longer() -> None:
    with pytest.raises(LeftOff, match="in the database again"):
        perform("prove-erasures", Hosts(audit=[{**CLEAN, "present": [GONE]}], erased=[{"erased": []}]), stopping=True)


def test_a_host_that_fails_is_named() -> None:
    with pytest.raises(ActionError, match="db-dc2: accountctl: the ledger can't be read"):
        perform("prove-erasures", Hosts(audit=["accountctl: the ledger can't be read"]))


@pytest.mark.parametrize(("origin", "target"), [("dc1", "dc2"), ("dc2", "dc1")])
def test_a_restart_opens_to_nobody_before_absence_is_proven_on_everything_that_was_restored(
    origin: str, target: str
) -> None:
    estate = load_estate(ROOT / "inventories" / "lab")
    plan: Plan = load_plan(
        "cold_restart", directory=ROOT / "runbooks", root=ROOT, estate=estate, origin=origin, target=target
    )
    before: dict[str, set[str]] = {}
    for step in dependency_order(plan.steps):
        before[step.name] = set(step.after).union(*(before[name] for name in step.after))
    opened = [step.name for step in plan.steps if step.call.name == "open-service"]
    restored = [step.name for step in plan.steps if step.name.startswith(("restore-", "promote-", "open-hosts"))]
    assert opened
    for name in opened:
        assert "prove-erasures" in before[name]
    assert set(restored) <= before["replay-erasures"] < before["prove-erasures"]
