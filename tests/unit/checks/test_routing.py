"""Ways between the sites: what makes their checks red, and what leaves them unknown."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secondsite.checks.model import Check, Section, State, World
from secondsite.checks.rules import routing
from secondsite.checks.rules.frame import judged
from secondsite.estate.load import load_estate
from secondsite.estate.model import HostName
from secondsite.estate.routing.model import EdgeRouting
from secondsite.estate.routing.rules import routing_of

ESTATE = load_estate(Path(__file__).parents[3] / "inventories" / "lab")
NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
EDGE = HostName("edge1-dc1")
Change = Callable[[dict[str, Any]], object]


def told_by(plan: EdgeRouting) -> dict[str, Any]:
    limits = routing.limits_of(plan)
    return {
        "routing": {
            "up_after_s": 0.0,
            "sessions": dict.fromkeys(routing.sessions_of(plan), "Established"),
            "watched": {
                address: {"interface": "x", "state": "Up", "notices_after_s": limit}
                for address, limit in limits.items()
            },
        },
        "tunnels": {tunnel.interface: {"peer": "k", "handshake_age_s": 12.0} for tunnel in plan.tunnels},
    }


def world(change: Change = dict) -> World:
    hosts = {}
    for name, plan in routing_of(ESTATE).items():
        if isinstance(plan, EdgeRouting):
            told = told_by(plan)
            if name == EDGE:
                change(told)
            hosts[name] = {section: Section(value=value) for section, value in told.items()}
    return World(estate=ESTATE, now=NOW, hosts=hosts)


@pytest.mark.parametrize("check", routing.CHECKS, ids=lambda check: check.id)
def test_an_estate_whose_ways_are_all_there_passes(check: Check) -> None:
    assert judged(check, world()).state is State.PASSED


@pytest.mark.parametrize(("up_after_s", "is_said"), [(0.0, False), (1.5, True), (None, False)])
def test_only_a_session_that_is_up_again_is_said_to_have_been_lost(up_after_s: float | None, *, is_said: bool) -> None:
    told = judged(routing.routes, world(lambda told: told["routing"].update(up_after_s=up_after_s)))
    assert told.state is State.PASSED
    assert ("up again 1.5 s later" in told.saw) is is_said


@pytest.mark.parametrize(
    ("check", "change", "saw"),
    [
        (routing.routes, lambda told: told["routing"]["sessions"].update(carrier_a="Active"), "carrier_a is Active"),
        (routing.routes, lambda told: told["routing"]["sessions"].pop("wg_b1"), "wg_b1 is not there"),
        (routing.watched, lambda told: told["routing"]["watched"].clear(), "198.18.11.1 is not watched"),
        (
            routing.watched,
            lambda told: told["routing"]["watched"]["198.18.12.1"].update(notices_after_s=0.9),
            "198.18.12.1 is missed after 0.9 s only",
        ),
        (routing.tunnels, lambda told: told["tunnels"].pop("wg-a1"), "wg-a1 to edge1-dc2 over carrier-a is not there"),
        (routing.tunnels, lambda told: told["tunnels"]["wg-a1"].update(handshake_age_s=None), "proved its key never"),
        (routing.tunnels, lambda told: told["tunnels"]["wg-a2"].update(handshake_age_s=181.0), "181.0 s ago"),
        (
            routing.tunnels,
            lambda told: told["routing"]["watched"]["198.18.9.3"].update(state="Down"),
            "nothing flows through it",
        ),
    ],
)
def test_a_way_that_is_missing_is_seen(check: Check, change: Change, saw: str) -> None:
    result = judged(check, world(change))
    assert result.state is State.FAILED
    assert saw in result.saw
    assert EDGE in result.hosts


def test_an_edge_that_tells_nothing_is_unknown() -> None:
    silent = world()
    hosts = {**silent.hosts, EDGE: {name: Section(trouble="not reached") for name in ("routing", "tunnels")}}
    for check in (routing.routes, routing.watched, routing.tunnels):
        assert judged(check, dataclasses.replace(silent, hosts=hosts)).state is State.UNKNOWN


def with_ducts(duct: str | None) -> World:
    links = tuple(dataclasses.replace(link, duct=duct) if link.site == "dc2" else link for link in ESTATE.links)
    return dataclasses.replace(world(), estate=dataclasses.replace(ESTATE, links=links))


def test_a_datacenter_whose_links_all_lie_in_one_duct_is_seen() -> None:
    result = judged(routing.shared_risk, with_ducts("one"))
    assert result.state is State.FAILED
    assert "dc2: all links lie in one" in result.saw


def test_links_that_name_no_duct_are_unknown() -> None:
    assert judged(routing.shared_risk, with_ducts(None)).state is State.UNKNOWN
