"""Customers as they are started on their host: real processes, real TLS, a shop that does what a shop may do."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from .conftest import SmallShop, Visit

PATIENT = {"in_flight": 400, "timeout_s": 20, "connect_s": 20}  # however busy the machine is, the shop answers in time
ARMS = [
    {"arm": "main", "kind": "write", "rate": 20},
    {"arm": "control", "kind": "write", "rate": 10},
    {"arm": "main", "kind": "read", "rate": 20},
]


def traffic_for(seconds: float, child: subprocess.Popen[str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    time.sleep(seconds)
    out, _ = child.communicate(timeout=60)  # closes its standard input: that is how it is told to stop
    lines = [json.loads(line) for line in out.splitlines()]
    return [line for line in lines if "t0" in line], lines[-1]


def wait_until(seen: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not seen():
        assert time.monotonic() < until, "the traffic did not come so far"
        time.sleep(0.02)


def wait_for_orders(shop: SmallShop) -> None:
    wait_until(lambda: len(shop.orders) >= 10)


def test_every_request_is_recorded_with_who_answered(shop: SmallShop, visit: Visit) -> None:
    child = visit("traffic", arms=ARMS, **PATIENT)
    wait_until(lambda: len(shop.orders) >= 30)
    requests, end = traffic_for(0, child)
    assert end["end"] is True
    assert end["scheduled"] == end["recorded"] == len(requests) > 50
    assert {(one["web"], one["db"], one["address"]) for one in requests} == {("web-x", "db-x", "127.0.0.1")}
    assert {one["outcome"] for one in requests} == {"ok"}
    assert {one["id"] for one in requests if (one["arm"], one["kind"]) == ("main", "write")} == set(shop.orders)


def test_what_is_read_before_any_order_is_the_account_and_the_record_says_so(shop: SmallShop, visit: Visit) -> None:
    child = visit("traffic", arms=[{"arm": "main", "kind": "read", "rate": 20}], **PATIENT)
    wait_until(lambda: shop.asked >= 10)
    requests, _ = traffic_for(0, child)
    assert {(one["id"], one["outcome"]) for one in requests} == {("own account", "ok")}


def test_a_shop_that_never_answers_does_not_slow_its_customers_down(shop: SmallShop, visit: Visit) -> None:
    child = visit("traffic", arms=ARMS, in_flight=400, timeout_s=1)
    wait_for_orders(shop)
    shop.hang = threading.Event()
    requests, end = traffic_for(3, child)
    assert end["scheduled"] == len(requests) > 120
    late = [one for one in requests if one["outcome"] != "ok"]
    sent = [
        one for one in late if not one["error"].startswith("connect: ")
    ]  # a busy machine may not even connect in time
    assert {(one["kind"], one["outcome"]) for one in sent} == {("write", "unknown"), ("read", "failed")}
    due = sorted(float(one["t0"]) for one in late)
    assert max(later - earlier for earlier, later in pairwise(due)) < 0.15


def test_what_could_not_be_sent_is_recorded_as_failed(shop: SmallShop, visit: Visit) -> None:
    child = visit("traffic", arms=ARMS, in_flight=5, timeout_s=1)
    wait_for_orders(shop)
    shop.hang = threading.Event()
    requests, end = traffic_for(2, child)
    assert end["scheduled"] == len(requests)
    saturated = [one for one in requests if one["error"] == "generator saturated"]
    assert saturated
    assert {one["outcome"] for one in saturated} == {"failed"}


@pytest.mark.parametrize(
    ("status", "outcomes"),
    [
        pytest.param(503, {("write", "failed"), ("read", "failed")}, id="closed"),
        pytest.param(202, {("write", "unknown"), ("read", "failed")}, id="in doubt"),
    ],
)
def test_outcomes_are_what_the_shop_said(
    shop: SmallShop, visit: Visit, status: int, outcomes: set[tuple[str, str]]
) -> None:
    child = visit("traffic", arms=ARMS, **PATIENT)
    wait_for_orders(shop)
    shop.status, before = status, shop.asked
    wait_until(lambda: shop.asked >= before + 50)
    requests, _ = traffic_for(0, child)
    counted = Counter((one["kind"], one["outcome"]) for one in requests if one["error"] == f"status {status}")
    assert set(counted) == outcomes


def test_a_customer_who_cannot_sign_in_says_why_and_sends_nothing(shop: SmallShop, visit: Visit) -> None:
    shop.status = 503
    child = visit("traffic", arms=ARMS, in_flight=50)
    wait_until(lambda: shop.asked >= 2)
    out, _ = child.communicate(timeout=15)
    lines = [json.loads(line) for line in out.splitlines()]
    assert {line["error"] for line in lines[:-1]} == {"status 503"}
    assert lines[-1]["recorded"] == 0


def test_a_journey_buys_something_and_finds_it_again(shop: SmallShop, visit: Visit) -> None:
    child = visit("journey", within_s=3, served_by="web-x")
    out, _ = child.communicate(timeout=15)
    seen = json.loads(out)
    assert (child.returncode, seen["ok"], seen["served_by"], seen["database"]) == (0, True, "web-x", "db-x")
    assert seen["order"] in shop.orders


def test_a_journey_fails_when_the_order_is_not_there_afterwards(shop: SmallShop, visit: Visit) -> None:
    shop.forget_orders = True
    child = visit("journey", within_s=0, served_by=None)
    out, _ = child.communicate(timeout=15)
    assert child.returncode == 1
    assert json.loads(out)["error"] == "read the order: status 404"


@pytest.mark.parametrize(
    ("refused", "error"),
    [
        (("signin drill-revoked",), "order on hold: status 201"),
        (("orders drill-held",), "sign in revoked: status 200"),
    ],
)
def test_a_journey_fails_when_somebody_is_served_who_must_not_be(
    shop: SmallShop, visit: Visit, refused: tuple[str, ...], error: str
) -> None:
    shop.refused = refused
    child = visit("journey", within_s=0, served_by=None)
    out, _ = child.communicate(timeout=15)
    assert child.returncode == 1
    assert json.loads(out)["error"] == error


def test_a_journey_served_from_the_wrong_place_fails(visit: Visit) -> None:
    child = visit("journey", within_s=0, served_by="web-y")
    out, _ = child.communicate(timeout=15)
    assert child.returncode == 1
    assert "served by web-x, not by web-y" in json.loads(out)["error"]
