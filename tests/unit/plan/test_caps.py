"""A step may take something away from as many hosts and sites as the estate allows, and says from whom."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from secondsite.errors import ConfigError
from secondsite.estate.load import load_estate
from secondsite.estate.model import Caps, Estate
from secondsite.plan.builder import PlanBuilder, Runbook, build_plan, call, gate
from secondsite.plan.document import plan_document, plan_from_document
from secondsite.plan.load import load_plan
from secondsite.plan.model import Intent, Plan

ROOT = Path(__file__).parents[3]
ESTATE = load_estate(ROOT / "inventories" / "small")


def wiping(*destroys: str, hosts: tuple[str, ...] = ("db-dc1", "db-dc2"), estate: Estate = ESTATE) -> Plan:
    def build(_estate: Estate, plan: PlanBuilder) -> None:
        plan.step("agree", title="Agree", call=call("authorise"), gate=gate(persons=2))
        plan.step("wipe", title="Wipe", call=call("rebuild"), hosts=hosts, destroys=destroys, after=("agree",))

    book = Runbook(name="wiping", title="Wiping", intent=Intent.PROVISION, build=build)
    return build_plan(book, estate, origin=None, target=None, pinning=lambda _used: {})


def told(*destroys: str, estate: Estate = ESTATE, hosts: tuple[str, ...] = ("db-dc1", "db-dc2")) -> str:
    with pytest.raises(ConfigError) as caught:
        wiping(*destroys, hosts=hosts, estate=estate)
    assert caught.value.exit_code == 2
    return caught.value.what


def test_one_host_at_one_site_is_allowed_and_stays_in_the_plan() -> None:
    plan = wiping("db-dc1")
    assert plan.step("wipe").destroys == ("db-dc1",)
    assert plan_from_document(plan_document(plan)) == plan


def test_more_hosts_or_sites_than_the_estate_allows_are_refused_with_the_numbers() -> None:
    assert "from 2 hosts (db-dc1, web-dc1), and the estate allows 1 in one step (caps/hosts)" in told(
        "db-dc1", "web-dc1"
    )
    both = told("db-dc1", "db-dc2")
    assert "from 2 hosts (db-dc1, db-dc2)" in both
    assert "from 2 sites (dc1, dc2), and the estate allows 1 in one step (caps/sites)" in both
    assert "from 2 sites (dc1, dc2)" in told("dc1", "dc2")
    assert "from 2 sites (dc1, dc2)" in told("dc1", "db-dc2")


def test_an_estate_may_allow_more() -> None:
    plan = wiping("db-dc1", "db-dc2", estate=replace(ESTATE, caps=Caps(hosts=2, sites=2)))
    assert plan.step("wipe").destroys == ("db-dc1", "db-dc2")


def test_a_step_that_takes_something_away_says_from_whom_and_there_is_somebody_to_ask() -> None:
    assert "does not say whom it takes something away from" in told()
    assert "which is no host and no site of small" in told("db-dc9")
    assert "names no host that could be asked who it is" in told("db-dc1", hosts=())


@pytest.mark.parametrize("hosts", [0, -1])
def test_caps_under_which_nothing_could_be_done_are_refused(hosts: int) -> None:
    with pytest.raises(ValueError, match="must be allowed one host"):
        Caps(hosts=hosts)


@pytest.mark.parametrize(("runbook", "action"), [("failover", "isolate"), ("failback", "rebuild")])
@pytest.mark.parametrize("size", ["small", "lab"])
def test_every_step_of_our_runbooks_that_fences_or_rebuilds_says_from_whom(
    size: str, runbook: str, action: str
) -> None:
    estate = load_estate(ROOT / "inventories" / size)
    plan = load_plan(runbook, directory=ROOT / "runbooks", root=ROOT, estate=estate, origin="dc1", target="dc2")
    steps = [step for step in plan.steps if step.call.name == action]
    assert steps
    assert all(step.destroys for step in steps)


def test_a_plan_from_before_it_was_known_keeps_its_digest() -> None:
    plan = load_plan("provision", directory=ROOT / "runbooks", root=ROOT, estate=ESTATE)
    assert not any("destroys" in step for step in plan_document(plan)["steps"])
