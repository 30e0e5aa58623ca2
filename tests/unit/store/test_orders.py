"""A standing order consents to one plan, by two persons, until it expires; nothing else."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from secondsite.estate.load import load_estate
from secondsite.plan.load import load_plan
from secondsite.plan.model import Plan, Step
from secondsite.run.ports import Covered, NotCovered
from secondsite.store.orders import SignedOrders

ROOT = Path(__file__).parents[3]
ESTATE = load_estate(ROOT / "inventories" / "small")
NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def failover() -> Plan:
    return load_plan("failover", directory=ROOT / "runbooks", root=ROOT, estate=ESTATE, origin="dc1", target="dc2")


def gated(plan: Plan) -> Step:
    return next(step for step in plan.steps if step.gate is not None)


def orders(state: Path, *, now: dt.datetime = NOW) -> SignedOrders:
    return SignedOrders(state, estate=ESTATE, now=lambda: now)


def signed(state: Path) -> Path:
    return orders(state).sign_as_lab(failover(), reference=ESTATE.standing_orders[0], lasts=DAY)


def test_a_signed_order_covers_its_plan(tmp_path: Path) -> None:
    signed(tmp_path)
    covering = orders(tmp_path).covering(failover(), gated(failover()))
    assert isinstance(covering, Covered)
    assert len(set(covering.signers)) == 2


def reasons(state: Path, plan: Plan, *, now: dt.datetime = NOW) -> str:
    found = orders(state, now=now).covering(plan, gated(plan))
    assert isinstance(found, NotCovered)
    return "; ".join(found.reasons)


def test_without_an_order_nothing_is_covered(tmp_path: Path) -> None:
    assert "no order can be read" in reasons(tmp_path, failover())


def test_an_order_does_not_cover_another_plan(tmp_path: Path) -> None:
    signed(tmp_path)
    assert "consents to plan" in reasons(tmp_path, replace(failover(), digest="0" * 64))


def test_an_order_does_not_cover_the_other_direction(tmp_path: Path) -> None:
    one = signed(tmp_path)
    shutil.copy(one, one.with_name("failover-dc2-dc1.json"))  # under the name of the other, it is still this one
    assert "its origin is dc1" in reasons(tmp_path, replace(failover(), origin="dc2", target="dc1"))


@pytest.mark.parametrize("now", [NOW - DAY, NOW + DAY, NOW + 100 * DAY])
def test_an_order_holds_from_when_until_when_it_says(tmp_path: Path, now: dt.datetime) -> None:
    signed(tmp_path)
    assert "it holds from" in reasons(tmp_path, failover(), now=now)


def test_an_order_changed_after_it_was_signed_is_refused(tmp_path: Path) -> None:
    path = signed(tmp_path)
    envelope = json.loads(path.read_text())
    envelope["payload"] = envelope["payload"][:-8] + "AAAAAAA="
    path.write_text(json.dumps(envelope))
    assert "failover-dc1-dc2" in reasons(tmp_path, failover())


def test_one_persons_signature_twice_is_not_two_persons(tmp_path: Path) -> None:
    path = signed(tmp_path)
    envelope = json.loads(path.read_text())
    envelope["signatures"] = [envelope["signatures"][0], {**envelope["signatures"][0], "keyid": "another"}]
    path.write_text(json.dumps(envelope))
    assert "failover-dc1-dc2" in reasons(tmp_path, failover())


def test_a_step_whose_gate_takes_no_standing_order_is_not_covered(tmp_path: Path) -> None:
    signed(tmp_path)
    plan = failover()
    step = gated(plan)
    assert step.gate is not None
    closed = replace(step, gate=replace(step.gate, standing_order=False))
    assert isinstance(orders(tmp_path).covering(plan, closed), NotCovered)
