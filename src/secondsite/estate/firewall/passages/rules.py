"""Decide which packets may pass."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, collapse_addresses

from ....errors import UsageError
from ...model import CONTROL, Estate, Firewall, Flow, Host, HostName, Protocol, Site, Zone, ZoneName
from ..model import SSH, SSH_FLOW, Packet, Passage


def declared(estate: Estate) -> Firewall:
    """Return the firewall of an estate.

    Raises:
        UsageError: it declares none.
    """
    if estate.firewall is None:
        raise UsageError(
            f"the estate {estate.name} declares no firewall",
            not_done="nothing was attempted",
            next_step="add the section `firewall` to its estate.yml: docs/reference/estate.md",
        )
    return estate.firewall


def edge_hosts(estate: Estate) -> frozenset[HostName]:
    """Return the hosts through which sites are entered and left."""
    return frozenset(host for edges in declared(estate).edges.values() for host in edges.hosts)


def passages(estate: Estate) -> tuple[Passage, ...]:
    """Return everything that may pass, in the order of the declaration, after the controller's SSH."""
    firewall = declared(estate)
    control = IPv4Network(firewall.management.control)
    ssh = Passage(
        flow=SSH_FLOW,
        protocol=Protocol.TCP,
        ports=(SSH,),
        sources=(control,),
        targets=_merged(host.management for host in estate.hosts.values()),
        hosts=tuple(estate.hosts),
        by_management=True,
    )
    flows = (passage for flow in firewall.flows for passage in _of_flow(flow, firewall, estate))
    return (ssh, *(passage for passage in flows if passage.sources and (passage.hosts or passage.targets)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Members:
    hosts: tuple[Host, ...]
    networks: tuple[IPv4Network, ...]

    def addresses(self) -> tuple[IPv4Network, ...]:
        return _merged(*(host.address for host in self.hosts if host.address is not None), *self.networks)


def _of_flow(flow: Flow, firewall: Firewall, estate: Estate) -> Iterator[Passage]:
    spoken = [item for name in flow.services for item in firewall.services[name].ports.items()]
    sites: tuple[Site | None, ...] = tuple(estate.sites.values()) if flow.same_site else (None,)
    for site in sites:
        targets = _members(flow.targets, firewall, estate, site)
        sources = _members([zone for zone in flow.sources if zone != CONTROL], firewall, estate, site)
        for protocol, ports in spoken:
            passage = Passage(
                flow=flow.name,
                protocol=protocol,
                ports=tuple(sorted(set(ports))),
                sources=sources.addresses(),
                targets=targets.addresses(),
                hosts=tuple(host.name for host in targets.hosts),
            )
            yield passage
            if CONTROL in flow.sources:
                managed = _merged(host.management for host in targets.hosts)
                control = (IPv4Network(firewall.management.control),)
                yield replace(passage, sources=control, targets=managed, by_management=True)


def _members(names: Iterable[ZoneName], firewall: Firewall, estate: Estate, site: Site | None) -> _Members:
    zones = [firewall.zones[name] for name in names]
    hosts = [host for host in estate.hosts.values() if any(_belongs(host, zone) for zone in zones)]
    networks = [network for zone in zones for network in zone.networks]
    if site is not None:
        hosts = [host for host in hosts if host.site == site.name]
        networks = list(within(networks, site.network)) if site.network is not None else []
    return _Members(hosts=tuple(hosts), networks=tuple(networks))


def _belongs(host: Host, zone: Zone) -> bool:
    return host.name in zone.hosts or any(group in zone.groups for group in host.groups)


def _merged(*found: IPv4Address | IPv4Network | Iterable[IPv4Address]) -> tuple[IPv4Network, ...]:
    flat = itertools.chain.from_iterable(
        (one,) if isinstance(one, IPv4Address | IPv4Network) else tuple(one) for one in found
    )
    return tuple(collapse_addresses(IPv4Network(one) for one in flat))


def within(networks: Iterable[IPv4Network], site: IPv4Network) -> Iterator[IPv4Network]:
    """Yield the parts of networks that lie inside a site's."""
    for network in networks:
        if network.subnet_of(site):
            yield network
        elif site.subnet_of(network):
            yield site


def beyond(networks: Iterable[IPv4Network], site: IPv4Network) -> Iterator[IPv4Network]:
    """Yield the networks that do not lie wholly inside a site's."""
    return (network for network in networks if not network.subnet_of(site))


Book = Mapping[tuple[HostName, bool, Protocol, int], tuple[tuple[str, tuple[IPv4Network, ...]], ...]]


def book_of(passed: Iterable[Passage]) -> Book:
    """Return what lets what into which host, so that a packet's flow is found without looking at all of them."""
    book: dict[tuple[HostName, bool, Protocol, int], tuple[tuple[str, tuple[IPv4Network, ...]], ...]] = {}
    for passage in passed:
        for host, port in itertools.product(passage.hosts, passage.ports or (0,)):
            key = (host, passage.by_management, passage.protocol, port)
            book[key] = (*book.get(key, ()), (passage.flow, passage.sources))
    return book


def flow_into(book: Book, host: HostName, packet: Packet) -> str | None:
    """Return the flow that lets a packet into a host, or None: it must be dropped."""
    found = book.get((host, packet.by_management, packet.protocol, packet.port), ())
    return next((flow for flow, sources in found if any(packet.source in network for network in sources)), None)
