"""Names that customers use: those of services, and those of workloads that are read by a name of their own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from secondsite.errors import ConfigError
from secondsite.estate.load import load_estate
from secondsite.estate.model import SiteName
from secondsite.hands.declared import declared_variables
from secondsite.plan.load import load_plan
from secondsite.plan.model import Plan

ROOT = Path(__file__).resolve().parents[3]
FULL, SMALL = (load_estate(ROOT / "inventories" / name) for name in ("lab", "small"))


def plan_of(name: str, *, origin: str, target: str) -> Plan:
    return load_plan(
        name, directory=ROOT / "runbooks", root=ROOT, estate=FULL, origin=SiteName(origin), target=SiteName(target)
    )


def test_a_workload_with_a_name_is_published_beside_the_services_in_their_zone() -> None:
    assert [one.dns_name for one in SMALL.published] == ["shop.secondsite.test"]
    shop, website = FULL.published
    assert (shop.name, website.name, website.dns_name) == ("shop", "website", "www.secondsite.test")
    assert (website.zone, website.ttl, website.name_server) == (shop.zone, shop.ttl, shop.name_server)
    assert dict(website.members) == {"dc1": "store-dc1", "dc2": "store-dc2"}


def test_the_name_servers_are_told_each_name_and_where_it_is_at_home() -> None:
    told = declared_variables(FULL)["service_published"]
    homes = [str(FULL.hosts[one.members[SiteName("dc1")]].address) for one in FULL.published]
    assert told == [
        {"name": "shop.secondsite.test", "address": homes[0]},
        {"name": "www.secondsite.test", "address": homes[1]},
    ]


@pytest.mark.parametrize(("runbook", "origin", "target"), [("failover", "dc1", "dc2"), ("failback", "dc2", "dc1")])
def test_the_name_follows_its_workload_and_is_then_read_as_customers_do(runbook: str, origin: str, target: str) -> None:
    steps = {step.name: step for step in plan_of(runbook, origin=origin, target=target).steps}
    redirect, verify = steps["redirect-website"], steps["verify-website"]
    moved = "promote-website" if runbook == "failover" else "switch-website"
    assert moved in redirect.after
    assert redirect.call.arguments["new"] == str(FULL.hosts[FULL.published[1].members[SiteName(target)]].address)
    assert verify.after == ("redirect-website",)
    assert verify.call.arguments["served_by"] == f"store-{target}"


def test_no_name_is_moved_before_fencing_is_confirmed() -> None:
    steps = {step.name: step for step in plan_of("failover", origin="dc1", target="dc2").steps}
    assert [one.name for one in steps["redirect-website"].guards] == ["fencing-confirmed"]


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("dns_name: www.secondsite.test", "dns_name: www.elsewhere.test", "is not inside the zone secondsite.test"),
        ("dns_name: www.secondsite.test", "dns_name: shop.secondsite.test", "is a service's name already"),
        ("\n  shop:\n    dns_name", "\n  website:\n    dns_name", "has a name of its own, and a service's name"),
    ],
)
def test_a_name_that_can_not_be_published_is_refused(tmp_path: Path, old: str, new: str, what: str) -> None:
    folder = tmp_path / "estate"
    shutil.copytree(ROOT / "inventories" / "lab", folder)
    text = (folder / "estate.yml").read_text()
    assert old in text
    (folder / "estate.yml").write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load_estate(folder)
    assert any(problem.what.startswith(what) or what in problem.what for problem in caught.value.problems)
