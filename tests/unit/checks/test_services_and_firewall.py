"""What must run runs, and firewalls let the same through."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondsite.checks.model import State
from secondsite.checks.rules.firewall import canonical, lacking

from .estates import joined, verdict, world


def unit(active: str = "active", enabled: str = "enabled", **other: str) -> dict[str, str]:
    return {"ActiveState": active, "SubState": "running", "UnitFileState": enabled, **other}


@pytest.mark.parametrize(
    ("there", "ready", "standby"),
    [
        pytest.param(unit(), State.PASSED, State.PASSED, id="runs"),
        pytest.param(unit("inactive"), State.FAILED, State.FAILED, id="stopped"),
        pytest.param(unit("inactive", "disabled"), State.PASSED, State.FAILED, id="disabled"),
        pytest.param(unit("active", "disabled"), State.FAILED, State.FAILED, id="runs until the next boot"),
        pytest.param(unit("failed"), State.FAILED, State.FAILED, id="failed"),
        pytest.param(unit("activating"), State.UNKNOWN, State.FAILED, id="on its way"),
        pytest.param(
            unit("inactive", Type="oneshot", Result="success"), State.PASSED, State.PASSED, id="a task that is done"
        ),
        pytest.param(
            unit("inactive", ConditionResult="no", ConditionTimestampMonotonic="7"),
            State.PASSED,
            State.PASSED,
            id="not meant for this host",
        ),
        pytest.param(
            unit("inactive", ConditionResult="no", ConditionTimestampMonotonic="0", Type="simple", Result="success"),
            State.FAILED,
            State.FAILED,
            id="stopped, and forgotten by systemd",
        ),
    ],
)
def test_a_unit_is_judged_by_itself_and_beside_its_twin(there: dict[str, str], ready: State, standby: State) -> None:
    told = world("units", {"nginx.service": unit()}, web_dc2={"nginx.service": there})

    assert verdict("RDY-SERVICES", told).state is ready
    assert verdict("RDY-STANDBY-SERVICES", told).state is standby


def test_a_unit_that_is_gone_at_one_datacenter_is_found() -> None:
    told = world("units", {"nginx.service": unit()}, web_dc1={})

    assert "web-dc1: nginx.service is not enabled" in verdict("RDY-STANDBY-SERVICES", told).saw


def rule(comment: str, verdict: str = "accept", elements: tuple[str, ...] = ("a", "b")) -> dict[str, Any]:
    match = {"match": {"op": "==", "left": {"payload": "saddr"}, "right": {"set": list(elements)}}}
    body = {
        "family": "inet",
        "table": "secondsite",
        "chain": "input",
        "comment": comment,
        "expr": [match, {verdict: None}],
    }
    return {"rule": body}


TABLE: dict[str, Any] = {"table": {"family": "inet", "name": "secondsite"}}
CHAIN: dict[str, Any] = {
    "chain": {"family": "inet", "table": "secondsite", "name": "input", "hook": "input", "policy": "drop"}
}


@given(st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_neighbouring_accepts_and_of_set_members_does_not_matter(names: list[str], chance: Random) -> None:
    rules = [rule(name, elements=tuple(names)) for name in names]
    shuffled = [
        rule(name, elements=tuple(chance.sample(names, len(names)))) for name in chance.sample(names, len(names))
    ]

    assert canonical([TABLE, CHAIN, *rules]) == canonical([TABLE, CHAIN, *shuffled])


def test_a_drop_before_an_accept_is_not_a_drop_after_it() -> None:
    drop, accept = rule("x", "drop"), rule("y")

    assert canonical([drop, accept]) != canonical([accept, drop])


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=6), st.lists(st.sampled_from(["a", "b", "c"]), max_size=6))
def test_two_rule_sets_lack_nothing_of_each_other_only_if_they_have_the_same_rules(
    first: list[str], second: list[str]
) -> None:
    mine, other = [rule(name) for name in first], [rule(name) for name in second]

    assert (not lacking(mine, other) and not lacking(other, mine)) == (sorted(first) == sorted(second))


def ruleset(*rules: dict[str, Any], policy: str = "drop") -> list[Any]:
    return [TABLE, {"chain": {**CHAIN["chain"], "policy": policy}}, *rules]


def firewall(live: list[Any], saved: Any = None) -> dict[str, Any]:
    return {"live": live, "saved": live if saved is None else saved}


UNITS = {"nftables.service": {"UnitFileState": "enabled"}}


@pytest.mark.parametrize(
    ("there", "red"),
    [
        pytest.param(firewall(ruleset(rule("a"))), set(), id="the same"),
        pytest.param(firewall(ruleset()), {"FW-PARITY"}, id="a rule less, also on disk"),
        pytest.param(firewall(ruleset(), ruleset(rule("a"))), {"FW-PARITY", "FW-PERSISTENT"}, id="a rule deleted"),
        pytest.param(firewall(ruleset(rule("a")), ruleset()), {"FW-PERSISTENT"}, id="not saved"),
        pytest.param(
            firewall(ruleset(rule("a"), policy="accept")), {"FW-PARITY", "FW-DEFAULT"}, id="accepts by default"
        ),
        pytest.param(firewall([]), {"FW-PARITY", "FW-DEFAULT"}, id="none at all"),
    ],
)
def test_a_firewall_that_differs_turns_the_right_checks_red(there: dict[str, Any], red: set[str]) -> None:
    told = joined(world("firewall", firewall(ruleset(rule("a"))), web_dc2=there), world("units", UNITS))

    failed = {
        name for name in ("FW-PARITY", "FW-DEFAULT", "FW-PERSISTENT") if verdict(name, told).state is State.FAILED
    }

    assert failed == red


def test_a_saved_rule_set_that_can_not_be_tried_is_unknown() -> None:
    told = joined(
        world("firewall", firewall(ruleset(), {"trouble": "unshare is not installed"})), world("units", UNITS)
    )

    assert verdict("FW-PERSISTENT", told).state is State.UNKNOWN


def test_a_service_that_listens_at_one_datacenter_only_is_found() -> None:
    nginx = {"protocol": "tcp", "address": "198.18.1.10", "port": 443, "program": "nginx"}
    short_lived = {"protocol": "udp", "address": "0.0.0.0", "port": 40000, "program": "knotd"}  # noqa: S104

    assert verdict("NET-LISTENERS", world("listeners", [nginx], web_dc2=[nginx, short_lived])).state is State.PASSED
    assert verdict("NET-LISTENERS", world("listeners", [nginx], web_dc2=[])).state is State.FAILED
    assert verdict("NET-LISTENERS", world("listeners", [], web_dc2=[nginx])).state is State.FAILED
