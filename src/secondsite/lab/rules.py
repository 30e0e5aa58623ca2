"""From the topology to wires, routes and settings: pure, so that they can be read and tested without a machine."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from ..errors import UsageError
from .model import (
    CONTROLLER_CUT,
    DUCT_CUT,
    ENDPOINT_SILENT,
    LAID_ASTRAY,
    LINK_CUT,
    OUTLET_OFF,
    OUTLETS_CROSSED,
    POWER_CUT,
    FaultInForce,
    LabHost,
    LabSettings,
    Link,
    PowerEndpoint,
    Topology,
    Wire,
)

OOB = "oob"
LAN = "lan"
OOB_BRIDGE = "br-oob"
CONTROL_WIRE = "control"
_METRIC = 1024


def bridge(network: str) -> str:
    """Return the bridge of a network: a site's LAN or the out-of-band one."""
    if network == OOB:
        return OOB_BRIDGE
    name = f"br-{network}"
    return name if len(name) <= 15 else f"br-{hashlib.sha256(network.encode()).hexdigest()[:8]}"  # noqa: PLR2004


def mac(host: str, network: str) -> str:
    """Return the stable, locally administered hardware address of a host's leg in a network."""
    digest = hashlib.sha256(f"{host}/{network}".encode()).hexdigest()
    return "02:" + ":".join(digest[index : index + 2] for index in range(0, 10, 2))


def machine_id(instance: str, host: str, *, delivery: int = 0) -> str:
    """Return a stable machine id for a host of a lab; each machine that is delivered in its place has its own."""
    again = f"/{delivery}" if delivery else ""
    return hashlib.sha256(f"secondsite/{instance}/{host}{again}".encode()).hexdigest()[:32]


def wires_of(host: LabHost, topology: Topology) -> tuple[Wire, ...]:
    """Return the host's legs: out-of-band first, then its LAN, then the others in the topology's order."""
    legs = [Wire(
        guest_name=OOB, outer_name=f"{host.name}.oob", network=OOB, address=host.management, mac=mac(host.name, OOB)
    )]  # fmt: skip
    for index, network in enumerate(topology.networks, start=1):
        if network in host.addresses:
            guest_name = leg_name(host, network, topology)
            legs.append(
                Wire(
                    guest_name=guest_name,
                    outer_name=f"{host.name}.lan" if guest_name == LAN else f"{host.name}.n{index}",
                    network=network,
                    address=host.addresses[network],
                    mac=mac(host.name, network),
                )
            )
    return tuple(legs)


def leg_name(host: LabHost, network: str, topology: Topology) -> str:
    """Return what a host calls its leg in a network: a carrier by the site, an edge by the carrier at the other end."""
    transit = topology.transits.get(network)
    if host.carrier:
        return network if transit is None else transit.site
    return LAN if transit is None else transit.carrier


def bridge_commands(topology: Topology, settings: LabSettings) -> Iterator[str]:
    """Yield the ``ip -batch`` lines, run in the wires namespace, for all bridges and the controller's wire."""
    for network in (OOB, *topology.networks):
        yield f"link add {bridge(network)} type bridge forward_delay 0 mcast_snooping 0"
        yield f"link set {bridge(network)} up"
    yield f"link add {CONTROL_WIRE} type veth peer name {OOB} netns {settings.control}"
    yield f"link set {CONTROL_WIRE} master {OOB_BRIDGE} up"


def control_commands(topology: Topology) -> Iterator[str]:
    """Yield the ``ip -batch`` lines, run in the control namespace."""
    yield "link set lo up"
    yield f"addr add {topology.control} dev {OOB}"
    yield f"link set {OOB} up"


def outer_commands(wires: tuple[Wire, ...], namespace: str) -> Iterator[str]:
    """Yield the ``ip -batch`` lines, run in the wires namespace, that plug a host in.

    Out-of-band ports are isolated: hosts reach the controller there, and not each other.
    """
    for wire in wires:
        yield (f"link add {wire.outer_name} type veth peer name {wire.guest_name} address {wire.mac} netns {namespace}")
        yield f"link set {wire.outer_name} master {bridge(wire.network)}"
        if wire.network == OOB:
            yield f"link set {wire.outer_name} type bridge_slave isolated on"
        yield f"link set {wire.outer_name} up"


def guest_commands(host: LabHost, wires: tuple[Wire, ...], topology: Topology) -> Iterator[str]:
    """Yield the ``ip -batch`` lines, run in the host's namespace: its addresses, and its way to the other sites."""
    yield "link set lo up"
    for wire in wires:
        yield f"addr add {wire.address} dev {wire.guest_name}"
        yield f"link set {wire.guest_name} up"
    yield from _default_route(host, topology)


def _default_route(host: LabHost, topology: Topology) -> Iterator[str]:
    """A host goes over its site's gateway, or over both carriers where they are in its LAN; routers learn theirs.

    Whatever a host itself finds out about its ways is better than this one.
    """
    if host.carrier or host.edge:
        return
    gateway = topology.gateways.get(host.site)
    near = [carrier.addresses[host.site].ip for carrier in topology.carriers if host.site in carrier.addresses]
    if gateway is not None:
        yield f"route add default via {gateway} dev {LAN} metric {_METRIC}"
    elif near:
        yield f"route add default metric {_METRIC} " + " ".join(f"nexthop via {address} dev {LAN}" for address in near)


def kernel_settings(host: LabHost) -> Mapping[str, str]:
    """Return the network settings of a host's namespace, as paths under ``/proc/sys/net`` and their values."""
    forwards = host.carrier or host.edge
    settings = {
        "ipv4/fib_multipath_hash_policy": "1",
        "ipv4/fib_multipath_use_neigh": "1",
        "ipv4/ip_forward": "1" if forwards else "0",
        "ipv6/conf/all/disable_ipv6": "1",
        "ipv6/conf/default/disable_ipv6": "1",
        "ipv4/conf/all/arp_ignore": "1",
        "ipv4/conf/all/arp_announce": "2",
    }
    if forwards:
        settings |= {
            "ipv4/conf/all/rp_filter": "0",
            "ipv4/conf/default/rp_filter": "0",
            "ipv4/conf/oob/forwarding": "0",
        }
    return settings


def hosts_meant(topology: Topology, names: Sequence[str]) -> tuple[LabHost, ...]:
    """Return the hosts that the names mean; a site's name means all its hosts (a host's own name goes first).

    Raises:
        UsageError: a name is neither, or there is none.
    """
    chosen: dict[str, LabHost] = {}
    for name in names:
        meant = (topology.hosts[name],) if name in topology.hosts else topology.at(name)
        if not meant:
            known = ", ".join((*topology.sites, *topology.hosts))
            raise UsageError(
                f"the lab has no site or host {name!r}", not_done="nothing was attempted", next_step=f"one of: {known}"
            )
        chosen |= {host.name: host for host in meant}
    if not chosen:
        raise UsageError("no host was named", not_done="nothing was attempted")
    return tuple(chosen.values())


def leg_of(topology: Topology, carrier: str, site: str) -> Wire:
    """Return the wire that joins a carrier to a site: into its LAN, or into the transit network of its edges.

    Raises:
        UsageError: there is no such carrier, or no such site.
    """
    carriers = {host.name: host for host in topology.carriers}
    if carrier not in carriers or site not in topology.sites:
        raise UsageError(
            f"the lab has no link from {carrier!r} to {site!r}",
            not_done="nothing was attempted",
            next_step=f"carriers: {', '.join(carriers)}; sites: {', '.join(topology.sites)}",
        )
    return next(wire for wire in wires_of(carriers[carrier], topology) if wire.guest_name == site)


def links_in(topology: Topology, duct: str, faults: Iterable[FaultInForce]) -> tuple[Link, ...]:
    """Return the links that lie in a duct now; those laid astray lie where the fault says, whatever was planned.

    Raises:
        UsageError: there is no such duct.
    """
    if duct not in topology.ducts:
        raise UsageError(
            f"the lab has no duct {duct!r}", not_done="nothing was attempted",
            next_step=f"ducts: {', '.join(topology.ducts) or 'none'}",
        )  # fmt: skip
    lying = {str(link): home for home, links in topology.ducts.items() for link in links}
    for fault in faults:
        if fault.kind == LAID_ASTRAY:
            link, _, where = fault.target.rpartition(" ")
            lying[link] = where
    return tuple(link for link in topology.links if lying.get(str(link)) == duct)


def ends_held_down(topology: Topology, faults: Iterable[FaultInForce]) -> Mapping[str, FaultInForce]:
    """Return the outer ends of wires that faults in force keep down, and which fault does."""
    all_faults = tuple(faults)
    held: dict[str, FaultInForce] = {}
    for fault in all_faults:
        match fault.kind:
            case kind if kind in (POWER_CUT, OUTLET_OFF) and fault.target in topology.hosts:
                legs = wires_of(topology.hosts[fault.target], topology)
            case kind if kind == LINK_CUT:
                legs = (leg_of(topology, *fault.target.split(" ", 1)),)
            case kind if kind == DUCT_CUT:
                legs = tuple(
                    leg_of(topology, link.carrier, link.site) for link in links_in(topology, fault.target, all_faults)
                )
            case kind if kind == CONTROLLER_CUT:
                held[CONTROL_WIRE] = fault
                legs = ()
            case kind if kind == ENDPOINT_SILENT and fault.target in topology.endpoints:
                legs = (wire_of(topology.endpoints[fault.target]),)
            case _:
                legs = ()
        held |= {leg.outer_name: fault for leg in legs}
    return held | _endpoints_without_power(topology, all_faults)


def _endpoints_without_power(topology: Topology, faults: Sequence[FaultInForce]) -> dict[str, FaultInForce]:
    """An endpoint stands on a site's power: it is gone when every host there has lost it."""
    cut = {fault.target: fault for fault in faults if fault.kind == POWER_CUT}
    held: dict[str, FaultInForce] = {}
    for endpoint in topology.endpoints.values():
        there = [host.name for host in topology.at(endpoint.stands_on)]
        if there and all(name in cut for name in there):
            held[wire_of(endpoint).outer_name] = cut[there[0]]
    return held


def wire_of(endpoint: PowerEndpoint) -> Wire:
    """Return a power endpoint's only leg: out-of-band."""
    name = endpoint.name
    return Wire(
        guest_name=OOB, outer_name=f"{name}.oob", network=OOB, address=endpoint.management, mac=mac(name, OOB)
    )  # fmt: skip


def endpoint_commands(endpoint: PowerEndpoint) -> Iterator[str]:
    """Yield the ``ip -batch`` lines, run in a power endpoint's namespace."""
    yield "link set lo up"
    yield f"addr add {endpoint.management} dev {OOB}"
    yield f"link set {OOB} up"


def outlets_of(topology: Topology, endpoint: PowerEndpoint, faults: Iterable[FaultInForce]) -> Mapping[str, str]:
    """Return which host hangs on each outlet of an endpoint: each on its own, but for those that a fault crossed."""
    hung = {host.name: host.name for host in topology.at(endpoint.cuts)}
    for fault in faults:
        one, _, other = fault.target.partition(" ")
        if fault.kind == OUTLETS_CROSSED and one in hung and other in hung:
            hung[one], hung[other] = hung[other], hung[one]
    return hung


def outsider(topology: Topology, silenced: Sequence[LabHost], *, running: Container[str]) -> LabHost | None:
    """Return a running host from whose place the silenced ones can be asked: the customers if they are there."""
    names = {host.name for host in silenced}
    able = [host for host in topology.hosts.values() if host.name in running and host.name not in names]
    return min(able, key=lambda host: (host.site != "customers", host.carrier), default=None)
