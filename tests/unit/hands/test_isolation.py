"""Isolation is believed only when the carrier's kernel enforces it both ways, ahead of everything else."""

from __future__ import annotations

import copy
from collections.abc import Callable
from ipaddress import IPv4Network
from typing import Any

import pytest

from secondsite.estate.nftables.isolation import networks_dropped

SITE = IPv4Network("198.18.1.0/24")


def rule(side: str, *, verdict: str = "drop", of_set: str = "@fenced", op: str = "==") -> dict[str, Any]:
    match = {"match": {"op": op, "left": {"payload": {"protocol": "ip", "field": side}}, "right": of_set}}
    return {"rule": {"chain": "isolate", "expr": [match, {"counter": {"packets": 1, "bytes": 2}}, {verdict: None}]}}


def listing() -> list[dict[str, Any]]:
    return [
        {"metainfo": {"version": "1.1.3"}},
        {"table": {"family": "inet", "name": "secondsite_isolation"}},
        {"set": {"name": "fenced", "elem": [{"prefix": {"addr": "198.18.1.0", "len": 24}}]}},
        {"chain": {"name": "isolate", "hook": "prerouting", "prio": -310, "policy": "accept"}},
        rule("saddr"),
        rule("daddr"),
    ]


def test_an_enforced_isolation_is_seen() -> None:
    assert networks_dropped(listing()) == (SITE,)


def test_a_fenced_network_among_others_is_seen() -> None:
    items = listing()
    items[2]["set"]["elem"].append("192.0.2.7")
    assert set(networks_dropped(items)) == {SITE, IPv4Network("192.0.2.7/32")}


def without(index: int) -> Callable[[list[dict[str, Any]]], None]:
    return lambda items: items.__delitem__(index)


def accept_first(items: list[dict[str, Any]]) -> None:
    items.insert(4, rule("saddr", verdict="accept"))


def late_chain(items: list[dict[str, Any]]) -> None:
    items[3]["chain"]["prio"] = 0


def other_hook(items: list[dict[str, Any]]) -> None:
    items[3]["chain"]["hook"] = "output"


def replace_rule(**how: str) -> Callable[[list[dict[str, Any]]], None]:
    return lambda items: items.__setitem__(4, rule("saddr", **how))


@pytest.mark.parametrize(
    "lie",
    [
        pytest.param(without(4), id="nothing drops what comes from the site"),
        pytest.param(without(5), id="nothing drops what goes to the site"),
        pytest.param(without(3), id="no chain"),
        pytest.param(without(2), id="no set"),
        pytest.param(accept_first, id="an accept stands first"),
        pytest.param(late_chain, id="the chain comes after the filter"),
        pytest.param(other_hook, id="the chain sees no forwarded packet"),
        pytest.param(replace_rule(verdict="accept"), id="accepts instead"),
        pytest.param(replace_rule(of_set="@other"), id="looks at another set"),
        pytest.param(replace_rule(op="!="), id="drops everything but the site"),
    ],
)
def test_a_filter_that_does_not_fence_is_not_believed(lie: Callable[[list[dict[str, Any]]], None]) -> None:
    items = copy.deepcopy(listing())
    lie(items)
    assert SITE not in networks_dropped(items)
