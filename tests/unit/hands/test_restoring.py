"""Restoring: what hosts say of it is told, what they refuse is known not to have happened, and nonsense is neither."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from secondsite.errors import ActionError, Effect
from secondsite.estate.load import load_estate
from secondsite.hands.restoring import Steps
from secondsite.plan.load import load_plan
from secondsite.plan.model import Plan
from secondsite.plan.rules import dependency_order
from secondsite.run.ports import CommandResult, Hands, Outcome, StepContext

ROOT = Path(__file__).parents[3]
CONTEXT = StepContext(
    run="000007-cold_restart",
    step="s",
    attempt=1,
    hosts=(),
    timeout=dt.timedelta(seconds=5),
    files=Path(),
    stopping=lambda: False,
)
DATABASE = {"host": "db-dc2", "scope": "billing", "source": "vault"}
SAID = {"bytes": 4_000_000, "seconds": 2.0, "until": "1796032000.5", "was_there": False, "rows": {"shop: o": 3}}


class Host:
    """One host that answers as it was told to, and keeps what it was asked."""

    def __init__(self, *, code: int = 0, said: str = json.dumps(SAID), complaint: str = "") -> None:
        self.answer = CommandResult(exit_code=code, stdout=said, stderr=complaint)
        self.orders: list[dict[str, object]] = []

    def run(
        self, host: str, argv: Sequence[str], *, stdin: str, timeout: dt.timedelta, accept: Sequence[int]
    ) -> CommandResult:
        assert host == "db-dc2"
        assert timeout
        assert self.answer.exit_code in accept
        compile(argv[-1], "script", "exec")
        self.orders.append(json.loads(stdin))
        return self.answer


def restore(host: Host, **changed: object) -> Outcome:
    action = Steps(hands=cast("Hands", host)).registry().actions["restore-database"]
    return action.perform({**DATABASE, **changed}, key="k", context=CONTEXT)


def test_how_much_came_back_how_fast_and_up_to_when_is_told() -> None:
    host = Host()
    came = restore(host)
    assert host.orders == [{"run": CONTEXT.run, "scope": "billing", "source": "vault"}]
    assert came.changed
    assert came.detail["said"] == "4000000 bytes in 2.0 s (2.0 MB/s), up to 1796032000.5"
    assert came.detail["rows"] == {"shop: o": 3}


def test_what_this_run_restored_before_is_no_change() -> None:
    assert not restore(Host(said=json.dumps({**SAID, "was_there": True}))).changed


def test_a_refusal_is_known_to_have_changed_nothing() -> None:
    with pytest.raises(ActionError, match="holds data that no restart put there") as caught:
        restore(Host(code=3, said="", complaint="/srv holds data that no restart put there: nothing was touched"))
    assert caught.value.effect is Effect.NONE


@pytest.mark.parametrize("complaint", ["pgbackrest: exit code 32", ""])
def test_a_failure_in_between_leaves_the_effect_unknown(complaint: str) -> None:
    with pytest.raises(ActionError) as caught:
        restore(Host(code=1, said="", complaint=complaint))
    assert caught.value.effect is Effect.UNKNOWN


@pytest.mark.parametrize("said", ["", "[]", "done"])
def test_an_answer_that_is_none_is_not_taken_for_one(said: str) -> None:
    with pytest.raises(ActionError) as caught:
        restore(Host(said=said))
    assert caught.value.effect is Effect.UNKNOWN


@pytest.fixture(scope="module", params=[("dc1", "dc2"), ("dc2", "dc1")], ids=["dc1-lost", "dc2-lost"])
def plan(request: pytest.FixtureRequest) -> Plan:
    origin, target = request.param
    estate = load_estate(ROOT / "inventories" / "lab")
    return load_plan(
        "cold_restart", directory=ROOT / "runbooks", root=ROOT, estate=estate, origin=origin, target=target
    )


def test_nothing_is_put_anywhere_before_two_consented_and_machines_are_known(plan: Plan) -> None:
    before: dict[str, set[str]] = {}
    for step in dependency_order(plan.steps):
        before[step.name] = set(step.after).union(*(before[name] for name in step.after))
    restores = [step.name for step in plan.steps if step.name.startswith("restore-")]
    assert len(restores) == 3
    for name in restores:
        assert {"consent-to-restore", "confirm-fencing", "note-machines", "go-on-alone"} <= before[name]
        assert name in before["open-hosts"]  # roles begin what uses it only when it is there
    assert {"authorise", "confirm-fencing"} <= before["go-on-alone"]
    assert all("verify-shop" in before[name] for name in ("first-backups",))


def test_no_step_needs_a_host_of_the_site_that_is_lost(plan: Plan) -> None:
    estate = load_estate(ROOT / "inventories" / "lab")
    lost = {str(host.name) for host in estate.hosts.values() if host.site == plan.origin}
    assert not [step.name for step in plan.steps if lost & set(step.hosts)]
