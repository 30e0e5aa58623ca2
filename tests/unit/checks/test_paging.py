"""A person is told: what makes the checks red, and that nobody's silence is taken for good news."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.unit.checks.estates import BY_ID

from secondsite.checks.model import Result, Section, State, World
from secondsite.checks.rules.frame import judged
from secondsite.checks.rules.paging import TEST_PAGES
from secondsite.checks.rules.parity import _peers_elsewhere
from secondsite.estate.load import load_estate
from secondsite.estate.model import HostName

FULL = load_estate(Path(__file__).parents[3] / "inventories" / "lab")
NOW = dt.datetime(2026, 11, 30, 12, tzinfo=dt.UTC)
WATCHERS = [host.name for host in FULL.hosts.values() if "watcher" in host.groups]
PERSONS = ("lab-deputy-1@oncall.secondsite.test", "lab-approver-1@oncall.secondsite.test")
RELAYS = ("ops-dc1", "ops-dc2", "vault")


def well(host: HostName) -> dict[str, Any]:
    ages = {str(name): 4.0 for name in WATCHERS if name != host} if host in RELAYS else {}
    quiet: dict[str, Any] = {"waiting": 0, "waiting_for": None, "failing": {}}
    return {"looked_ago": 4.0, "told_ago": 1.0, "ages": ages, **quiet}


def verdict(check: str, different: Mapping[str, Any] | None = None) -> Result:
    told = {host: {"pager": Section(value={**well(host)})} for host in WATCHERS}
    for name, facts in (different or {}).items():
        host = HostName(name)
        told[host] = {"pager": facts if isinstance(facts, Section) else Section(value={**well(host), **facts})}
    return judged(BY_ID[check], World(estate=FULL, now=NOW, hosts=told))


def arrived(**late: float | None) -> dict[str, float | None]:
    return {"webhook": 1.0, **dict.fromkeys(PERSONS, 1.0), **late}


def by_ways(different: Mapping[str, Section] | None = None) -> Result:
    parts = {host: Section(value={"asked": True, "arrived": arrived()}) for host in WATCHERS}
    parts |= {HostName(name): part for name, part in (different or {}).items()}
    world = World(estate=FULL, now=NOW, hosts={}, outside={TEST_PAGES: Section(value=parts)})
    return judged(BY_ID["PG-WAYS"], world)


def test_an_estate_in_which_everybody_looks_and_is_heard_passes() -> None:
    assert verdict("PG-WATCH").state is State.PASSED
    assert verdict("PG-HEARD").state is State.PASSED
    assert by_ways().state is State.PASSED


@pytest.mark.parametrize(
    ("facts", "saw"),
    [
        pytest.param({"looked_ago": None}, "nobody ever looked", id="never looked"),
        pytest.param({"looked_ago": 61.0}, "nobody has looked for 61 s", id="looks no more"),
        pytest.param({"looked_ago": float("nan")}, "nobody has looked", id="no number"),
        pytest.param({"looked_ago": -3600.0}, "nobody has looked", id="from the future"),
        pytest.param({"told_ago": 300.0}, "nobody has told for 300 s", id="tells no more"),
        pytest.param(
            {"waiting": 2, "waiting_for": 90.0, "failing": {"mail": "timed out"}}, "2 pages wait", id="pages wait"
        ),
    ],
)
def test_a_host_where_nobody_looks_or_tells_is_red(facts: dict[str, Any], saw: str) -> None:
    result = verdict("PG-WATCH", {"store-dc2": facts})

    assert result.state is State.FAILED
    assert result.hosts == ("store-dc2",)
    assert saw in result.saw


@pytest.mark.parametrize("relay", RELAYS)
def test_a_host_that_one_relay_does_not_hear_is_red(relay: str) -> None:
    ages = well(HostName(relay))["ages"]
    late = verdict("PG-HEARD", {relay: {"ages": {**ages, "web-dc1": 61.0}}})
    never = verdict("PG-HEARD", {relay: {"ages": {name: age for name, age in ages.items() if name != "web-dc1"}}})

    assert (late.state, never.state) == (State.FAILED, State.FAILED)
    assert f"{relay} does not hear web-dc1" in late.saw


def test_what_a_host_cannot_tell_is_unknown() -> None:
    unread = Section(trouble="not reached")

    assert verdict("PG-WATCH", {"vault": unread}).state is State.UNKNOWN
    assert verdict("PG-HEARD", {"vault": unread}).state is State.UNKNOWN
    assert verdict("PG-WATCH", {"vault": {"looked_ago": "soon"}}).state is State.UNKNOWN


@pytest.mark.parametrize(
    ("part", "state", "saw"),
    [
        pytest.param({"asked": False, "arrived": arrived()}, State.FAILED, "nobody there takes", id="not asked"),
        pytest.param({"asked": True, "arrived": arrived(webhook=None)}, State.FAILED, "by webhook", id="webhook"),
        pytest.param({"asked": True, "arrived": arrived(**{PERSONS[1]: None})}, State.FAILED, PERSONS[1], id="one"),
        pytest.param({"asked": True, "arrived": {}}, State.UNKNOWN, "nothing to look at", id="nowhere"),
    ],
)
def test_a_way_by_which_no_test_page_arrives_is_red(part: Any, state: State, saw: str) -> None:
    hosts = ["store-dc1"] if part["arrived"] else map(str, WATCHERS)
    result = by_ways({name: Section(value=part) for name in hosts})

    assert result.state is state
    assert saw in result.saw


def test_a_mailbox_that_cannot_be_looked_at_makes_it_unknown() -> None:
    trouble = Section(value={"asked": True, "arrived": arrived()}, trouble="customers can't be looked at")

    assert by_ways({"store-dc1": trouble}).state is State.UNKNOWN


def test_an_application_host_may_be_heard_by_a_relay_elsewhere_and_by_nobody_else_there() -> None:
    host = FULL.hosts[HostName("web-dc1")]
    world = World(estate=FULL, now=NOW, hosts={})
    peers = [{"address": "198.18.2.40", "port": port} for port in (8444, 8443)]

    assert list(_peers_elsewhere(host, {"peers": peers}, world)) == ["ops-dc2 port 8443"]
