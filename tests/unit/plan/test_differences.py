"""What differs between an approved plan and the estate as it is now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from secondsite.estate.load import load_estate
from secondsite.estate.model import Estate, HostName, SiteName
from secondsite.plan.differences import Present, differences, places_of
from secondsite.plan.load import load_plan
from secondsite.plan.model import Plan

ROOT = Path(__file__).parents[3]
ESTATE = load_estate(ROOT / "inventories" / "small")


def failover(estate: Estate) -> Plan:
    return load_plan("failover", directory=ROOT / "runbooks", root=ROOT, estate=estate, origin="dc1", target="dc2")


def told(now: Estate) -> list[str]:
    present = Present(plan=failover(now), places=places_of(now))
    return list(differences(failover(ESTATE), places_of(ESTATE), present))


def with_host(name: str, **change: Any) -> Estate:
    return replace(ESTATE, hosts={**ESTATE.hosts, HostName(name): replace(ESTATE.hosts[HostName(name)], **change)})


def test_an_estate_that_did_not_change_and_words_for_people_are_no_difference() -> None:
    assert told(ESTATE) == []
    assert told(replace(ESTATE, digest="f" * 64)) == []
    approved = failover(ESTATE)
    renamed = replace(approved, steps=tuple(replace(step, title="!", by_hand="!") for step in approved.steps))
    assert list(differences(approved, {}, Present(plan=renamed))) == []


def test_an_address_that_changed_is_named_with_both() -> None:
    lines = told(with_host("db-dc2", management=IPv4Address("198.19.0.99")))
    (line,) = lines
    assert line.startswith("host db-dc2 was at dc2, managed at 198.19.0.")
    assert "and is at dc2, managed at 198.19.0.99" in line


def test_a_host_that_moved_to_another_site_changes_hosts_and_steps() -> None:
    lines = told(with_host("web-dc1", site=SiteName("vault")))
    assert any(line.startswith("step detect: call was") for line in lines), "its address is watched no more"


def test_a_workload_more_or_less_changes_steps() -> None:
    fewer = {name: one for name, one in ESTATE.workloads.items() if name != "control"}
    services = tuple(replace(one, workloads=(next(iter(fewer)),)) for one in ESTATE.services)
    lines = told(replace(ESTATE, workloads=fewer, services=services))
    assert "step promote-control would no longer be in the plan" in lines
    back = list(
        differences(failover(replace(ESTATE, workloads=fewer, services=services)), {}, Present(plan=failover(ESTATE)))
    )
    assert "step promote-control would be new in the plan" in back


def test_a_host_that_is_gone_is_named() -> None:
    places = {host: where for host, where in places_of(ESTATE).items() if host != "carrier-a"}
    found = list(differences(failover(ESTATE), places_of(ESTATE), Present(places=places)))
    assert found == ["host carrier-a is no longer in the estate"]


@pytest.mark.parametrize("then", [{}, {"db-dc2": "elsewhere"}])
def test_what_can_not_be_compared_is_a_difference(then: Mapping[str, str]) -> None:
    found = list(differences(failover(ESTATE), then, Present(trouble="estate.yml:3: a key stands twice")))
    assert found == ["the estate as it is now can't be compared: estate.yml:3: a key stands twice"]
