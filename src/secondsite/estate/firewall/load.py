"""Turn the checked words of ``firewall:`` into nouns."""

from __future__ import annotations

from ..model import (
    Edges,
    Firewall,
    FirewallService,
    Flow,
    HostName,
    Management,
    Protocol,
    SiteName,
    Zone,
    ZoneName,
)
from ..schema.load import FirewallDocument, FirewallServiceDocument


def firewall_of(document: FirewallDocument) -> Firewall:
    """Return what the document declares; names in it may still be unknown."""
    return Firewall(
        management=Management(control=document.management.control, interface=document.management.interface),
        zones={
            ZoneName(name): Zone(
                name=ZoneName(name),
                groups=tuple(zone.groups),
                hosts=tuple(HostName(host) for host in zone.hosts),
                networks=tuple(zone.networks),
            )
            for name, zone in document.zones.items()
        },
        services={
            name: FirewallService(name=name, ports=_ports(service)) for name, service in document.services.items()
        },
        flows=tuple(
            Flow(
                name=flow.name,
                index=index,
                sources=tuple(ZoneName(zone) for zone in flow.sources),
                targets=tuple(ZoneName(zone) for zone in flow.targets),
                services=tuple(flow.services),
                same_site=flow.same_site,
            )
            for index, flow in enumerate(document.flows)
        ),
        edges={
            SiteName(site): Edges(
                site=SiteName(site), hosts=tuple(HostName(host) for host in edges.hosts), inside=edges.inside
            )
            for site, edges in document.edges.items()
        },
    )


def _ports(document: FirewallServiceDocument) -> dict[Protocol, tuple[int, ...]]:
    given = {Protocol.TCP: tuple(document.tcp), Protocol.UDP: tuple(document.udp)}
    ports = {protocol: listed for protocol, listed in given.items() if listed}
    return ports | {Protocol(name): () for name in document.protocols}
