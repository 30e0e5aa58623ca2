"""What is left of an estate when a site is gone for good: nothing of that site, and everything at home elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from secondsite.errors import UsageError
from secondsite.estate.left import left_after
from secondsite.estate.load import load_estate
from secondsite.estate.model import Estate, SiteKind, SiteName
from secondsite.estate.nftables.rules import rulesets
from secondsite.estate.routing.rules import routing_of
from secondsite.hands.declared import declared_variables

ROOT = Path(__file__).parents[3]
LAB = load_estate(ROOT / "inventories" / "lab")
DC1, DC2 = SiteName("dc1"), SiteName("dc2")


@pytest.mark.parametrize("name", ["lab", "small", "powered"])
@pytest.mark.parametrize(("lost", "home"), [(DC1, DC2), (DC2, DC1)])
def test_no_host_and_no_member_of_the_lost_site_is_left(name: str, lost: SiteName, home: SiteName) -> None:
    whole = load_estate(ROOT / "inventories" / name)
    left = left_after(whole, lost, home=home)

    gone = {host for host, one in whole.hosts.items() if one.site == lost}
    assert gone
    assert left.hosts.keys() == whole.hosts.keys() - gone
    assert left.workloads.keys() == whole.workloads.keys()
    holders = [*(one.members for one in left.workloads.values()), *(one.members for one in left.services)]
    for members in holders:
        assert not gone & set(members.values())
    assert {one.home for one in left.workloads.values()} == {home}
    assert left.quorum is None or not gone & set(left.quorum.members)


def test_what_roles_and_rules_are_told_names_nobody_who_is_gone() -> None:
    left = left_after(LAB, DC1, home=DC2)
    gone = [str(host.address) for host in LAB.hosts_at(DC1) if host.address is not None]

    told = repr(declared_variables(left))
    assert "dc1" not in told
    assert not [address for address in gone if f"'{address}'" in told]
    for text in rulesets(left).values():
        assert not [address for address in gone if f" {address} " in f" {text.replace(',', ' ')} "]
    assert "edge1-dc1" not in repr(routing_of(left))


def test_a_workload_that_never_had_a_place_there_can_not_be_restarted_there() -> None:
    vault = next(name for name, site in LAB.sites.items() if site.kind is SiteKind.VAULT)
    with pytest.raises(UsageError, match="billing, control"):
        left_after(LAB, DC1, home=vault)


def test_the_whole_estate_stays_what_it_was() -> None:
    before: Estate = load_estate(ROOT / "inventories" / "lab")
    left_after(LAB, DC1, home=DC2)
    assert before == LAB
