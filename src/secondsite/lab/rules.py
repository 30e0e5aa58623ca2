"""From the topology to wires, routes and settings: pure, so that they can be read and tested without a machine."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator, Mapping, Sequence

from ..errors import UsageError
from .model import LabHost, LabSettings, Topology, Wire

OOB = "oob"
OOB_BRIDGE = "br-oob"
CONTROL_WIRE = "control"


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


def machine_id(instance: str, host: str) -> str:
    """Return a stable machine id for a host of a lab."""
    return hashlib.sha256(f"secondsite/{instance}/{host}".encode()).hexdigest()[:32]


def wires_of(host: LabHost, topology: Topology) -> tuple[Wire, ...]:
    """Return the host's legs: out-of-band first, then its LAN, or for a carrier every LAN in the topology's order."""
    legs = [Wire(
        guest_name=OOB, outer_name=f"{host.name}.oob", network=OOB, address=host.management, mac=mac(host.name, OOB)
    )]  # fmt: skip
    for index, site in enumerate(topology.sites, start=1):
        if site in host.addresses:
            legs.append(
                Wire(
                    guest_name=site if host.carrier else "lan",
                    outer_name=f"{host.name}.n{index}" if host.carrier else f"{host.name}.lan",
                    network=site,
                    address=host.addresses[site],
                    mac=mac(host.name, site),
                )
            )
    return tuple(legs)


def bridge_commands(topology: Topology, settings: LabSettings) -> Iterator[str]:
    """Yield the ``ip -batch`` lines, run in the wires namespace, for all bridges and the controller's wire."""
    for network in (OOB, *topology.sites):
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
    if not host.carrier:
        hops = " ".join(f"nexthop via {carrier.addresses[host.site].ip} dev lan" for carrier in topology.carriers)
        if hops:
            yield f"route add default {hops}"


def kernel_settings(host: LabHost) -> Mapping[str, str]:
    """Return the network settings of a host's namespace, as paths under ``/proc/sys/net`` and their values."""
    settings = {
        "ipv4/fib_multipath_hash_policy": "1",
        "ipv4/fib_multipath_use_neigh": "1",
        "ipv4/ip_forward": "1" if host.carrier else "0",
        "ipv6/conf/all/disable_ipv6": "1",
        "ipv6/conf/default/disable_ipv6": "1",
        "ipv4/conf/all/arp_ignore": "1",
        "ipv4/conf/all/arp_announce": "2",
    }
    if host.carrier:
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
    """Return the wire that joins a carrier to a site.

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
    return next(wire for wire in wires_of(carriers[carrier], topology) if wire.network == site)


def outsider(topology: Topology, silenced: Sequence[LabHost], *, running: Container[str]) -> LabHost | None:
    """Return a running host from whose place the silenced ones can be asked: the customers if they are there."""
    names = {host.name for host in silenced}
    able = [host for host in topology.hosts.values() if host.name in running and host.name not in names]
    return min(able, key=lambda host: (host.site != "customers", host.carrier), default=None)
