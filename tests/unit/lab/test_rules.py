"""From the lab's topology to wires, routes and settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from secondsite.errors import UsageError
from secondsite.lab import rules
from secondsite.lab.load import load_topology
from secondsite.lab.model import (
    DUCT_CUT,
    LAID_ASTRAY,
    LINK_CUT,
    POWER_CUT,
    FaultInForce,
    LabSettings,
    Topology,
)

LAB = Path(__file__).parents[3] / "inventories" / "small" / "lab.yml"


@pytest.fixture(scope="module")
def topology() -> Topology:
    return load_topology(LAB)


@pytest.fixture
def settings(tmp_path: Path) -> LabSettings:
    return LabSettings(instance="unit", state=tmp_path, cache=tmp_path, topology=LAB)


def test_every_interface_name_fits_the_kernel_and_is_unique(topology: Topology) -> None:
    names = [wire.outer_name for host in topology.hosts.values() for wire in rules.wires_of(host, topology)]
    names += [rules.bridge(network) for network in ("oob", *topology.sites)]
    assert len(names) == len(set(names))
    assert all(len(name) <= 15 for name in names)


def test_a_site_host_has_two_legs_and_a_carrier_one_in_every_network(topology: Topology) -> None:
    legs = {name: [wire.guest_name for wire in rules.wires_of(host, topology)] for name, host in topology.hosts.items()}
    assert legs["db-dc1"] == ["oob", "lan"]
    assert legs["carrier-b"] == ["oob", "dc1", "dc2", "vault", "customers", "hq"]


def test_hardware_addresses_are_local_unicast_and_differ(topology: Topology) -> None:
    macs = [wire.mac for host in topology.hosts.values() for wire in rules.wires_of(host, topology)]
    assert len(macs) == len(set(macs))
    assert all(int(mac[:2], 16) & 0b11 == 0b10 for mac in macs)


def test_the_default_route_of_a_site_host_goes_over_both_carriers(topology: Topology) -> None:
    host = topology.hosts["web-dc2"]
    lines = list(rules.guest_commands(host, rules.wires_of(host, topology), topology))
    assert lines[-1] == "route add default metric 1024 nexthop via 198.18.2.1 dev lan nexthop via 198.18.2.2 dev lan"


def test_a_carrier_forwards_between_sites_and_never_out_of_band(topology: Topology) -> None:
    carrier = rules.kernel_settings(topology.hosts["carrier-a"])
    assert carrier["ipv4/ip_forward"] == "1"
    assert carrier["ipv4/conf/oob/forwarding"] == "0"
    assert rules.kernel_settings(topology.hosts["web-dc1"])["ipv4/ip_forward"] == "0"


def test_only_out_of_band_ports_are_isolated(topology: Topology) -> None:
    lines = list(rules.outer_commands(rules.wires_of(topology.hosts["web-dc1"], topology), "unit-web-dc1"))
    assert [line for line in lines if "isolated" in line] == ["link set web-dc1.oob type bridge_slave isolated on"]


def test_the_controllers_port_is_not_isolated(topology: Topology, settings: LabSettings) -> None:
    lines = [line for line in rules.bridge_commands(topology, settings) if rules.CONTROL_WIRE in line.split()]
    assert lines
    assert not any("isolated" in line for line in lines)


def test_a_sites_name_means_all_its_hosts(topology: Topology) -> None:
    assert [host.name for host in rules.hosts_meant(topology, ["dc1"])] == ["web-dc1", "db-dc1"]


def test_a_host_named_twice_is_meant_once(topology: Topology) -> None:
    assert [host.name for host in rules.hosts_meant(topology, ["db-dc1", "dc1"])] == ["db-dc1", "web-dc1"]


@pytest.mark.parametrize("names", [["dc9"], ["-oProxyCommand=x"], ["web-dc1", ""], []])
def test_an_unknown_place_is_refused(topology: Topology, names: list[str]) -> None:
    with pytest.raises(UsageError):
        rules.hosts_meant(topology, names)


@pytest.mark.parametrize(("carrier", "site"), [("carrier-a", "dc9"), ("web-dc1", "dc1"), ("carrier-c", "dc1")])
def test_an_unknown_link_is_refused(topology: Topology, carrier: str, site: str) -> None:
    with pytest.raises(UsageError, match="no link"):
        rules.leg_of(topology, carrier, site)


def test_the_customers_are_asked_first_and_a_silenced_host_never(topology: Topology) -> None:
    running = set(topology.hosts)
    first = rules.outsider(topology, [topology.hosts["db-dc1"]], running=running)
    second = rules.outsider(topology, [topology.hosts["customers"]], running=running)
    assert first is topology.hosts["customers"]
    assert second is not None
    assert not second.carrier
    assert rules.outsider(topology, [topology.hosts["db-dc1"]], running={"db-dc1"}) is None


def test_machine_ids_differ_between_hosts_and_labs_and_stay_the_same() -> None:
    assert rules.machine_id("a", "x") == rules.machine_id("a", "x")
    assert len({rules.machine_id("a", "x"), rules.machine_id("a", "y"), rules.machine_id("b", "x")}) == 3


FULL = LAB.parent.with_name("lab") / "lab.yml"


@pytest.fixture(scope="module")
def full() -> Topology:
    return load_topology(FULL)


def fault(kind: str, target: str) -> FaultInForce:
    return FaultInForce(kind=kind, target=target, since=0.0)


def test_every_interface_name_of_the_full_lab_fits_the_kernel_and_is_unique(full: Topology) -> None:
    names = [wire.outer_name for host in full.hosts.values() for wire in rules.wires_of(host, full)]
    names += [rules.bridge(network) for network in ("oob", *full.networks)]
    assert len(names) == len(set(names))
    assert all(len(name) <= 15 for name in names)


def test_an_edge_calls_its_legs_by_the_carrier_and_a_carrier_by_the_site(full: Topology) -> None:
    legs = {name: [wire.guest_name for wire in rules.wires_of(host, full)] for name, host in full.hosts.items()}
    assert legs["edge1-dc1"] == ["oob", "lan", "carrier-a", "carrier-b"]
    assert legs["carrier-a"] == ["oob", "vault", "customers", "hq", "dc1", "dc2", "exchange"]
    assert legs["store-dc2"] == ["oob", "lan"]


def test_a_host_behind_edges_goes_over_their_shared_address_and_an_edge_learns_its_ways(full: Topology) -> None:
    host, edge = full.hosts["web-dc2"], full.hosts["edge1-dc2"]
    assert list(rules.guest_commands(host, rules.wires_of(host, full), full))[-1] == (
        "route add default via 198.18.2.1 dev lan metric 1024"
    )
    assert not any("default" in line for line in rules.guest_commands(edge, rules.wires_of(edge, full), full))
    assert rules.kernel_settings(edge)["ipv4/ip_forward"] == "1"
    assert rules.kernel_settings(edge)["ipv4/conf/oob/forwarding"] == "0"


def test_a_link_to_a_site_behind_edges_is_the_carriers_leg_in_its_transit_network(full: Topology) -> None:
    assert rules.leg_of(full, "carrier-b", "dc1").network == "b-dc1"
    assert rules.leg_of(full, "carrier-b", "vault").network == "vault"


def test_a_duct_holds_its_links_and_those_laid_astray(full: Topology) -> None:
    astray = [fault(LAID_ASTRAY, "carrier-b dc1 dc1-west")]
    assert [str(link) for link in rules.links_in(full, "hq-street", ())] == ["carrier-a hq", "carrier-b hq"]
    assert [str(link) for link in rules.links_in(full, "dc1-west", astray)] == ["carrier-a dc1", "carrier-b dc1"]
    assert rules.links_in(full, "dc1-east", astray) == ()
    with pytest.raises(UsageError, match="no duct"):
        rules.links_in(full, "dc9", ())


def test_every_wire_that_a_fault_keeps_down_is_explained(full: Topology) -> None:
    cuts = [fault(POWER_CUT, "edge1-dc1"), fault(LINK_CUT, "carrier-a dc2"), fault(DUCT_CUT, "hq-street")]
    held = rules.ends_held_down(full, cuts)
    assert {end: cut.kind for end, cut in held.items()} == {
        "edge1-dc1.oob": POWER_CUT,
        "edge1-dc1.lan": POWER_CUT,
        "edge1-dc1.n6": POWER_CUT,
        "edge1-dc1.n7": POWER_CUT,
        "carrier-a.n8": LINK_CUT,
        "carrier-a.n5": DUCT_CUT,
        "carrier-b.n5": DUCT_CUT,
    }
