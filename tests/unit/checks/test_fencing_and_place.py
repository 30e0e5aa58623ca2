"""Before a fence or a challenge is needed: whether the one would hold, and whether the other would be passed."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.checks.estates import ESTATE, verdict, world

from secondsite.checks.model import State

NAMES = {"family": "inet", "table": "secondsite_isolation"}


def drop(side: str) -> dict[str, Any]:
    left = {"payload": {"protocol": "ip", "field": side}}
    expr = [
        {"match": {"op": "==", "left": left, "right": "@fenced"}},
        {"counter": {"packets": 1, "bytes": 1}},
        {"drop": None},
    ]
    return {"rule": {**NAMES, "chain": "prerouting", "expr": expr}}


CHAIN = {"chain": {**NAMES, "name": "prerouting", "hook": "prerouting", "prio": -310, "policy": "accept"}}
ACCEPT = {"rule": {**NAMES, "chain": "prerouting", "expr": [{"accept": None}]}}
FENCE = [{"table": {"family": "inet", "name": "secondsite_isolation"}}, CHAIN, drop("saddr"), drop("daddr")]


@pytest.mark.parametrize(
    ("live", "state"),
    [
        pytest.param(FENCE, State.PASSED, id="as it is laid"),
        pytest.param([*FENCE[:2], ACCEPT, *FENCE[2:]], State.FAILED, id="accepted before it is dropped"),
        pytest.param(FENCE[:3], State.FAILED, id="one way only"),
        pytest.param([], State.FAILED, id="no table at all"),
    ],
)
def test_a_fence_that_would_not_hold_is_told_before_it_is_needed(live: list[Any], state: State) -> None:
    assert verdict("FEN-FILTER", world("firewall", {"live": live, "saved": []})).state is state


def place(**other: str) -> dict[str, Any]:
    host = ESTATE.hosts[next(name for name in ESTATE.hosts if name == "web-dc1")]
    return {"estate": ESTATE.name, "host": "web-dc1", "site": "dc1", "groups": sorted(host.groups), **other}


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (place(site="dc9"), "web-dc1: its site is dc9, and should be dc1"),
        (place(estate="another"), "web-dc1: its estate is another"),
        (None, "web-dc1 does not know its place"),
    ],
)
def test_a_host_that_says_another_place_is_told(told: object, words: str) -> None:
    found = verdict("SEC-PLACE", world("identity", {"place": None}, web_dc1={"place": told}))

    assert found.state is State.FAILED
    assert words in found.saw
