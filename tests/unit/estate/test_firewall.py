"""What is declared passes, all else is dropped: on every host and at every edge, for every declaration."""

from __future__ import annotations

import dataclasses
import itertools
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.estate.nft_reader import Wire, accepts

from secondsite.errors import UsageError
from secondsite.estate.firewall.rules import trials
from secondsite.estate.load import load_estate
from secondsite.estate.model import (
    CONTROL,
    Edges,
    Estate,
    Firewall,
    FirewallService,
    Flow,
    Host,
    HostName,
    Management,
    Protocol,
    Site,
    SiteKind,
    SiteName,
    Zone,
    ZoneName,
)
from secondsite.estate.nftables.rules import rulesets
from secondsite.sim.estate import two_site_estate

INVENTORIES = Path(__file__).resolve().parents[3] / "inventories"
LAB = INVENTORIES / "small"
FULL = INVENTORIES / "lab"
CONTROLLER = IPv4Address("198.19.0.1")
SITES = {"dc1": 1, "dc2": 2, "customers": 4}
HOSTS = {
    "edge-dc1": ("dc1", 2, ("edge",)),
    "web-dc1": ("dc1", 10, ("web",)),
    "db-dc1": ("dc1", 20, ("database",)),
    "edge-dc2": ("dc2", 2, ("edge",)),
    "web-dc2": ("dc2", 10, ("web",)),
    "db-dc2": ("dc2", 20, ("database",)),
    "customers": ("customers", 40, ("customers",)),
}
PORTS = (22, 53, 443, 5432)
ELSEWHERE = IPv4Address("192.0.2.7")


def estate_with(firewall: Firewall) -> Estate:
    sites = {
        SiteName(name): Site(
            name=SiteName(name),
            kind=SiteKind.DATACENTER if name.startswith("dc") else SiteKind.CUSTOMERS,
            network=IPv4Network(f"198.18.{number}.0/24"),
        )
        for name, number in SITES.items()
    }
    carrier = SiteName("carrier")
    sites[carrier] = Site(name=carrier, kind=SiteKind.CARRIER, network=None)
    hosts = {
        HostName(name): Host(
            name=HostName(name),
            site=SiteName(site),
            management=IPv4Address(f"198.19.{SITES[site]}.{number}"),
            address=IPv4Address(f"198.18.{SITES[site]}.{number}"),
            groups=groups,
        )
        for name, (site, number, groups) in HOSTS.items()
    }
    router = HostName("carrier")
    hosts[router] = Host(
        name=router, site=carrier, management=IPv4Address("198.19.9.1"), address=None, groups=("carrier",)
    )
    return dataclasses.replace(two_site_estate(), sites=sites, hosts=hosts, firewall=firewall)


zone_names = st.sampled_from([ZoneName(name) for name in ("a", "b", "c")])
zones = st.builds(
    Zone,
    name=st.just(ZoneName("placeholder")),
    groups=st.lists(st.sampled_from(("web", "database", "edge", "customers", "carrier")), max_size=2).map(tuple),
    hosts=st.lists(st.sampled_from([HostName(name) for name in HOSTS]), max_size=2).map(tuple),
    networks=st.lists(
        st.sampled_from([IPv4Network(n) for n in ("192.0.2.0/24", "198.18.4.0/24", "198.18.1.0/28", "0.0.0.0/0")]),
        max_size=1,
    ).map(tuple),
)
some_ports = st.lists(st.sampled_from(PORTS), min_size=1, max_size=2).map(tuple)
services = st.builds(
    FirewallService,
    name=st.just("placeholder"),
    ports=st.one_of(
        st.fixed_dictionaries({Protocol.TCP: some_ports}, optional={Protocol.UDP: some_ports}),
        st.just({Protocol.VRRP: ()}),
    ),
)
flows = st.builds(
    Flow,
    name=st.text("abc ", min_size=1, max_size=5),
    index=st.just(0),
    sources=st.lists(st.one_of(zone_names, st.just(CONTROL)), min_size=1, max_size=2).map(tuple),
    targets=st.lists(zone_names, min_size=1, max_size=2).map(tuple),
    services=st.lists(st.sampled_from(("s", "t")), min_size=1, max_size=2).map(tuple),
    same_site=st.booleans(),
)


@st.composite
def firewalls(draw: st.DrawFn) -> Firewall:
    zoned = {name: dataclasses.replace(draw(zones), name=name) for name in map(ZoneName, "abc")}
    spoken = {name: dataclasses.replace(draw(services), name=name) for name in "st"}
    edges = {
        site: Edges(site=site, hosts=(HostName(f"edge-{site}"),), inside="lan")
        for site in map(SiteName, ("dc1", "dc2"))
    }
    interface = draw(st.sampled_from(("oob", None)))
    return Firewall(
        management=Management(control=CONTROLLER, interface=interface),
        zones=zoned,
        services=spoken,
        flows=tuple(draw(st.lists(flows, max_size=4))),
        edges=draw(st.sampled_from(({}, edges))),
    )


# The declaration read plainly, flow by flow and zone by zone, for one packet at a time, in no way the generator's.


def site_at(estate: Estate, address: IPv4Address) -> str | None:
    return next((site.name for site in estate.sites.values() if site.network and address in site.network), None)


def in_zone(estate: Estate, zone: Zone, address: IPv4Address) -> bool:
    host = next((host for host in estate.hosts.values() if host.address == address), None)
    named = host is not None and (host.name in zone.hosts or bool(set(host.groups) & set(zone.groups)))
    return named or any(address in network for network in zone.networks)


def host_in_zone(zone: Zone, host: Host) -> bool:
    return host.name in zone.hosts or bool(set(host.groups) & set(zone.groups))


def speaks(firewall: Firewall, flow: Flow, protocol: str, port: int) -> bool:
    for name in flow.services:
        for spoken, ports in firewall.services[name].ports.items():
            if spoken.value == protocol and (port in ports or not ports):
                return True
    return False


def allowed(estate: Estate, source: IPv4Address, target: Host, protocol: str, port: int) -> bool:
    firewall = estate.firewall
    assert firewall is not None
    if source == CONTROLLER and (protocol, port) == ("tcp", 22):
        return True
    for flow in firewall.flows:
        if not speaks(firewall, flow, protocol, port):
            continue
        if not any(host_in_zone(firewall.zones[zone], target) for zone in flow.targets):
            continue
        if source == CONTROLLER:
            known = CONTROL in flow.sources
        else:
            known = any(in_zone(estate, firewall.zones[zone], source) for zone in flow.sources if zone != CONTROL)
        if known and (source == CONTROLLER or not flow.same_site or site_at(estate, source) == target.site):
            return True
    return False


def packets(estate: Estate) -> list[tuple[IPv4Address, str, int]]:
    sources = [host.address for host in estate.hosts.values() if host.address is not None]
    kinds = [("tcp", port) for port in PORTS] + [("udp", 53), ("vrrp", 0)]
    return [(source, protocol, port) for source in (*sources, ELSEWHERE) for protocol, port in kinds]


@settings(max_examples=30, deadline=None)
@given(firewall=firewalls())
def test_a_host_lets_in_what_is_declared_and_nothing_else(firewall: Firewall) -> None:
    estate = estate_with(firewall)
    written = rulesets(estate)
    for host in estate.hosts.values():
        edge = any(host.name in edges.hosts for edges in firewall.edges.values())
        for source, protocol, port in packets(estate):
            if source == host.address:
                continue
            iif = "lan" if not edge or site_at(estate, source) == host.site else "carrier-a"
            wire = Wire(iif=iif, saddr=source, daddr=host.address or ELSEWHERE, protocol=protocol, port=port)
            expected = allowed(estate, source, host, protocol, port)
            assert accepts(written[host.name], "input", wire) is expected, (host.name, wire)


@settings(max_examples=15, deadline=None)
@given(firewall=firewalls())
def test_management_takes_the_controllers_ssh_and_flows_and_nothing_else(firewall: Firewall) -> None:
    estate = estate_with(firewall)
    written = rulesets(estate)
    for host in estate.hosts.values():
        for source, protocol, port in [*packets(estate), *((CONTROLLER, "tcp", port) for port in PORTS)]:
            wire = Wire(iif="oob", saddr=source, daddr=host.management, protocol=protocol, port=port)
            if firewall.management.interface is None:
                if source == CONTROLLER and port == 22:
                    assert accepts(written[host.name], "input", wire)
                continue
            expected = source == CONTROLLER and allowed(estate, source, host, protocol, port)
            assert accepts(written[host.name], "input", wire) is expected, (host.name, wire)


@settings(max_examples=30, deadline=None)
@given(firewall=firewalls())
def test_an_edge_lets_across_what_is_declared_and_nothing_else(firewall: Firewall) -> None:
    estate = estate_with(firewall)
    written = rulesets(estate)
    for edges in firewall.edges.values():
        for source, target in itertools.permutations(estate.hosts.values(), 2):
            ends = [host.site == edges.site for host in (source, target)]
            if sum(ends) != 1 or source.address is None or target.address is None:
                continue
            iif, oif = ("lan", "carrier-a") if ends[0] else ("carrier-a", "lan")
            for protocol, port in (*(("tcp", port) for port in PORTS), ("udp", 53)):
                wire = Wire(iif=iif, oif=oif, saddr=source.address, daddr=target.address, protocol=protocol, port=port)
                expected = allowed(estate, source.address, target, protocol, port) or to_network(
                    estate, source.address, target.address, protocol, port
                )
                assert accepts(written[edges.hosts[0]], "forward", wire) is expected, (edges.site, wire)
                for other_iif, other_oif in ((oif, iif), ("oob", oif), (iif, "oob")):
                    other = dataclasses.replace(wire, iif=other_iif, oif=other_oif)
                    if firewall.management.interface is not None or "oob" not in {other_iif, other_oif}:
                        assert not accepts(written[edges.hosts[0]], "forward", other)


def to_network(estate: Estate, source: IPv4Address, target: IPv4Address, protocol: str, port: int) -> bool:
    """Say whether a flow leads to a network that holds the target, though not to the host itself."""
    firewall = estate.firewall
    assert firewall is not None
    for flow in firewall.flows:
        ends = [
            any(in_zone(estate, firewall.zones[zone], address) for zone in zones if zone != CONTROL)
            for zones, address in ((flow.sources, source), (flow.targets, target))
        ]
        inside = not flow.same_site or site_at(estate, source) == site_at(estate, target)
        if all(ends) and inside and speaks(firewall, flow, protocol, port):
            return True
    return False


@settings(max_examples=15, deadline=None)
@given(firewall=firewalls(), state=st.sampled_from(("established", "related", "invalid")))
def test_answers_pass_and_what_belongs_to_nothing_is_dropped(firewall: Firewall, state: str) -> None:
    for text in rulesets(estate_with(firewall)).values():
        wire = Wire(iif="lan", saddr=ELSEWHERE, daddr=ELSEWHERE, protocol="tcp", port=40000, state=state)
        assert accepts(text, "input", wire) is (state != "invalid")


def test_who_claims_to_be_inside_but_comes_from_outside_is_dropped_at_the_edge() -> None:
    everyone = Zone(name=ZoneName("a"), networks=(IPv4Network("0.0.0.0/0"),))
    databases = Zone(name=ZoneName("b"), groups=("database", "edge"))
    flow = Flow(name="all", index=0, sources=(everyone.name,), targets=(databases.name,), services=("s",))
    site = SiteName("dc1")
    firewall = Firewall(
        management=Management(control=CONTROLLER, interface="oob"),
        zones={zone.name: zone for zone in (everyone, databases)},
        services={"s": FirewallService(name="s", ports={Protocol.TCP: (5432,)})},
        flows=(flow,),
        edges={site: Edges(site=site, hosts=(HostName("edge-dc1"),), inside="lan")},
    )
    edge = rulesets(estate_with(firewall))[HostName("edge-dc1")]
    wire = Wire(
        iif="carrier-a",
        oif="lan",
        saddr=ELSEWHERE,
        daddr=IPv4Address("198.18.1.20"),
        protocol="tcp",
        port=5432,
    )
    claimed = dataclasses.replace(wire, saddr=IPv4Address("198.18.1.10"))

    assert accepts(edge, "forward", wire)
    assert not accepts(edge, "forward", claimed)
    assert accepts(edge, "input", wire)
    assert not accepts(edge, "input", claimed)


def test_only_routers_forward_and_never_between_management_and_a_site() -> None:
    estate = load_estate(LAB)
    written = rulesets(estate)
    wire = Wire(iif="dc1", oif="dc2", saddr=ELSEWHERE, daddr=ELSEWHERE, protocol="tcp", port=443)
    for host in estate.hosts.values():
        carries = estate.sites[host.site].kind is SiteKind.CARRIER
        assert accepts(written[host.name], "forward", wire) is carries
        assert not accepts(written[host.name], "forward", dataclasses.replace(wire, iif="oob"))
        assert not accepts(written[host.name], "forward", dataclasses.replace(wire, oif="oob"))


def test_every_declared_flow_that_has_ports_is_tried_in_the_full_lab() -> None:
    estate = load_estate(FULL)
    assert estate.firewall is not None

    assert {flow.name for flow in estate.firewall.flows} <= {trial.flow for trial in trials(estate)}


def test_the_rules_replace_the_old_ones_in_one_transaction_and_touch_no_other_table() -> None:
    for text in rulesets(load_estate(LAB)).values():
        tables = [line for line in text.splitlines() if line.lstrip().startswith(("table", "delete", "flush"))]
        assert tables == ["table inet secondsite", "delete table inet secondsite", "table inet secondsite {"]


def test_each_edge_is_handed_every_pair_of_hosts_that_it_stands_between() -> None:
    estate = load_estate(FULL)
    assert estate.firewall is not None
    assert estate.firewall.edges
    handed = [trial for trial in trials(estate) if trial.via is not None]
    ports = len({(trial.packet.protocol, trial.packet.port) for trial in handed})
    addressed = [host for host in estate.hosts.values() if host.address is not None]
    for edges in estate.firewall.edges.values():
        inside = [host for host in addressed if host.site == edges.site and host.name not in edges.hosts]
        outside = [host for host in addressed if host.site != edges.site]
        free = [host for host in outside if host.site not in estate.firewall.edges]
        carriers = [link for link in estate.links if link.site == edges.site]
        for edge in edges.hosts:
            own = [trial for trial in handed if trial.via == edge]
            outwards = [trial for trial in own if estate.hosts[trial.target].site != edges.site]
            assert len(outwards) == len(inside) * len(outside) * ports
            assert len(own) - len(outwards) == len(carriers) * len(free) * len(inside) * ports
            assert any(trial.flow for trial in outwards)


@pytest.mark.parametrize("directory", sorted({LAB, FULL}), ids=lambda path: path.name)
def test_the_matrix_holds_every_pair_of_hosts_with_every_port_of_every_service(directory: Path) -> None:
    estate = load_estate(directory)
    assert estate.firewall is not None
    listed = [trial for trial in trials(estate) if trial.via is None]
    own = {host.address for host in estate.hosts.values()}
    between = [t for t in listed if {t.packet.source, t.packet.target} <= own]
    data = {(t.source, t.target, t.packet.protocol, t.packet.port) for t in between}
    addressed = [host for host in estate.hosts.values() if host.address is not None]
    ports = {
        (protocol, port)
        for service in estate.firewall.services.values()
        for protocol, some in service.ports.items()
        for port in some
        if protocol is not Protocol.VRRP
    } | {(Protocol.TCP, 22)}
    expected = {
        (source.name, target.name, *port) for source, target in itertools.permutations(addressed, 2) for port in ports
    }

    assert data == expected
    assert len({(t.source, t.packet) for t in listed}) == len(listed)


@settings(max_examples=15, deadline=None)
@given(firewall=firewalls())
def test_a_trial_expects_what_the_declaration_says(firewall: Firewall) -> None:
    estate = estate_with(firewall)
    for trial in trials(estate):
        host, packet = estate.hosts[trial.target], trial.packet
        if packet.by_management:
            expected = packet.source == CONTROLLER and allowed(
                estate, packet.source, host, packet.protocol.value, packet.port
            )
        else:
            expected = allowed(estate, packet.source, host, packet.protocol.value, packet.port)
        assert (trial.flow is not None) is expected, trial


def test_an_estate_without_a_declaration_gets_no_rules_at_all() -> None:
    with pytest.raises(UsageError, match="declares no firewall"):
        rulesets(dataclasses.replace(two_site_estate(), firewall=None))
