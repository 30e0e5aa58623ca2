"""What each router is told follows from the declared links, and what cannot be meant is refused."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondsite.errors import ConfigError
from secondsite.estate.load import load_estate
from secondsite.estate.model import Estate, Host, HostName, SiteName
from secondsite.estate.routing.model import CarrierRouting, EdgeRouting, HostRouting, RouterPlan
from secondsite.estate.routing.rules import routing_of, tunnel_links

INVENTORIES = Path(__file__).resolve().parents[3] / "inventories"
FULL = load_estate(INVENTORIES / "lab")
SMALL = load_estate(INVENTORIES / "small")
DC1, DC2 = IPv4Network("198.18.1.0/24"), IPv4Network("198.18.2.0/24")


def edge(plans: dict[HostName, RouterPlan] | None = None, name: str = "edge1-dc1") -> EdgeRouting:
    plan = (plans or dict(routing_of(FULL)))[HostName(name)]
    assert isinstance(plan, EdgeRouting)
    return plan


def test_an_estate_without_edges_is_told_nothing() -> None:
    assert routing_of(SMALL) == {}


def test_routers_and_hosts_with_several_carriers_are_told_and_nobody_else() -> None:
    plans = routing_of(FULL)
    assert {name for name, plan in plans.items() if isinstance(plan, CarrierRouting)} == {"carrier-a", "carrier-b"}
    assert {name for name, plan in plans.items() if isinstance(plan, HostRouting)} == {"vault", "customers", "console"}
    assert {name for name, plan in plans.items() if isinstance(plan, EdgeRouting)} == {
        "edge1-dc1", "edge2-dc1", "edge1-dc2", "edge2-dc2",
    }  # fmt: skip


def test_an_edge_believes_no_carrier_about_another_datacenter() -> None:
    for name, plan in routing_of(FULL).items():
        if isinstance(plan, EdgeRouting):
            believed = {network for uplink in plan.uplinks for network in uplink.carrier.networks}
            assert not believed & {DC1, DC2}, name
            assert {network for tunnel in plan.tunnels for network in tunnel.peer.networks} == {DC1, DC2} - {
                plan.network
            }


def test_the_other_end_of_a_tunnel_is_reached_over_its_own_carrier_only() -> None:
    for uplink, other in itertools.permutations(edge().uplinks, 2):
        far = [tunnel.endpoint for tunnel in edge().tunnels if tunnel.over == uplink.interface]
        assert far
        assert all(any(endpoint in network for network in uplink.far) for endpoint in far)
        assert not any(endpoint in network for endpoint in far for network in other.far)


def with_edges(first: int, second: int) -> Estate:
    """Return the full estate with other numbers of edges at its datacenters."""
    hosts = {name: host for name, host in FULL.hosts.items() if "edge" not in host.groups}
    for site, count in (("dc1", first), ("dc2", second)):
        for number in range(1, count + 1):
            name = HostName(f"edge{number}-{site}")
            network = FULL.sites[SiteName(site)].network
            assert network is not None
            address, management = network.network_address + 1 + number, IPv4Address("198.19.0.100") + len(hosts)
            hosts[name] = Host(name=name, site=SiteName(site), management=management, address=address, groups=("edge",))
    return dataclasses.replace(FULL, hosts=hosts)


@given(first=st.integers(1, 5), second=st.integers(1, 5))
def test_both_ends_of_every_tunnel_say_the_same(first: int, second: int) -> None:
    plans = {
        name: plan for name, plan in routing_of(with_edges(first, second)).items() if isinstance(plan, EdgeRouting)
    }
    ends = {(name, tunnel.peer.host, tunnel.over): tunnel for name, plan in plans.items() for tunnel in plan.tunnels}
    assert len(ends) == 2 * 2 * first * second
    for (name, peer, over), tunnel in ends.items():
        back = ends[peer, name, over]
        assert (back.port, tunnel.port) == (tunnel.endpoint_port, back.endpoint_port)
        assert (back.address.ip, tunnel.address.ip) == (tunnel.peer.address, back.peer.address)
        assert back.address.network == tunnel.address.network
        assert back.endpoint in {uplink.address.ip for uplink in plans[name].uplinks}
    addresses = [tunnel.address.ip for tunnel in ends.values()]
    assert len(set(addresses)) == len(addresses)


@given(first=st.integers(1, 5), second=st.integers(1, 5))
def test_both_ends_of_every_session_know_each_other(first: int, second: int) -> None:
    plans = routing_of(with_edges(first, second))
    for name, plan in plans.items():
        if isinstance(plan, EdgeRouting):
            for uplink in plan.uplinks:
                carrier = plans[uplink.carrier.host]
                assert isinstance(carrier, CarrierRouting)
                (own,) = [one for one in carrier.edges if one.host == name]
                assert (own.address, own.as_number) == (uplink.address.ip, plan.as_number)
                assert uplink.carrier.as_number == carrier.as_number
            assert len(plan.twins) == len(plan.twins) == (first if plan.network == DC1 else second) - 1


def test_twins_call_their_tunnels_alike() -> None:
    for one, other in (("edge1-dc1", "edge1-dc2"), ("edge2-dc1", "edge2-dc2")):
        names = [[(tunnel.interface, tunnel.port) for tunnel in edge(name=name).tunnels] for name in (one, other)]
        assert sorted(names[0]) == sorted(names[1])
        assert [name for name, _ in sorted(names[0])] == ["wg-a1", "wg-a2", "wg-b1", "wg-b2"]


def test_fencing_a_site_means_its_network_and_its_edges_transit_networks() -> None:
    assert [str(network) for network in FULL.networks_of(SiteName("dc1"))] == [
        "198.18.1.0/24", "198.18.11.0/29", "198.18.12.0/29",
    ]  # fmt: skip
    assert [str(network) for network in SMALL.networks_of(SiteName("dc1"))] == ["198.18.1.0/24"]


def test_tunnels_go_over_both_carriers() -> None:
    assert {(one.carrier, here.name, there.name) for one, here, _, there in tunnel_links(FULL)} == {
        (carrier, HostName(f"edge{a}-dc1"), HostName(f"edge{b}-dc2"))
        for carrier in ("carrier-a", "carrier-b")
        for a in (1, 2)
        for b in (1, 2)
    }


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("transit: 198.18.11.0/29", "transit: 198.18.1.0/29", "overlaps dc1"),
        ("transit: 198.18.11.0/29", "transit: 198.18.12.0/29", "overlaps"),
        ("transit: 198.18.11.0/29", "transit: 198.18.11.0/30", "too small"),
        ("transit: 198.18.11.0/29", "transit: 198.18.11.0/29, gateway: 198.18.1.9", "ends twice"),
        ("gateway: 198.18.3.1}", "gateway: 198.18.4.1}", "outside vault's network"),
        ("gateway: 198.18.3.1}", "transit: 198.18.13.0/29}", "no host of the group 'edge'"),
        ("dc2: 64702}", "dc9: 64702}", "no number for dc2"),
        ("dc2: 198.18.2.1}", "dc2: 198.18.1.7}", "outside dc2's network"),
        ("dc2: 198.18.2.1}", "dc2: 198.18.2.10}", "is web-dc2's own"),
        ("tunnels: 198.18.9.0/24", "tunnels: 198.18.9.0/29", "too small for 16 ends"),
    ],
)
def test_what_cannot_be_routed_is_refused_with_its_place(tmp_path: Path, old: str, new: str, what: str) -> None:
    folder = tmp_path / "estate"
    shutil.copytree(INVENTORIES / "lab", folder)
    text = (folder / "estate.yml").read_text()
    assert old in text
    (folder / "estate.yml").write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError) as refused:
        load_estate(folder)
    assert any(what in problem.what and problem.line for problem in refused.value.problems), refused.value.problems
