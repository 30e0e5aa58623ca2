"""Which packets to hand to each edge, whether or not the routes would choose it today.

Of a pair of edges one serves while all is well. The other's rules are seen only by handing packets to it: from hosts of
its site outwards, and from the carriers inwards, where the carrier writes the packets that its customers would send.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address

from ...model import Estate, Firewall, Host, HostName, Protocol
from ...routing.model import EdgeRouting, Uplink
from ...routing.rules import routing_of
from ..model import Packet, Passage, Trial
from ..passages.rules import flow_into

Ports = Iterable[tuple[Protocol, int]]


def through_each_edge(estate: Estate, firewall: Firewall, passed: tuple[Passage, ...], ports: Ports) -> Iterator[Trial]:
    """Yield what to hand to each edge, in both directions, and what to try at its outer addresses."""
    listed = tuple(ports)
    for edges in firewall.edges.values():
        inside = [host for host in estate.hosts_at(edges.site) if host.address and host.name not in edges.hosts]
        outside = [host for host in estate.hosts.values() if host.address and host.site != edges.site]
        for edge in (estate.hosts[name] for name in edges.hosts):
            yield from _outwards(edge, inside, outside, passed, listed)
            for uplink in _uplinks(estate, edge.name):
                free = [host for host in outside if host.site not in firewall.edges]
                yield from _inwards(edge, uplink, free, inside, passed, listed)
                yield from _at(edge, uplink.address.ip, [*inside, *outside], passed, listed)


def _outwards(
    edge: Host, inside: Iterable[Host], outside: Iterable[Host], passed: tuple[Passage, ...], ports: Ports
) -> Iterator[Trial]:
    for source, target in itertools.product(inside, outside):
        for packet in _packets(source, target.address, ports):
            flow = flow_into(passed, target.name, packet)
            yield Trial(
                source=source.name, target=target.name, packet=packet, flow=flow, via=edge.name, next_hop=edge.address
            )


def _inwards(
    edge: Host,
    uplink: Uplink,
    outside: Iterable[Host],
    inside: Iterable[Host],
    passed: tuple[Passage, ...],
    ports: Ports,
) -> Iterator[Trial]:
    carrier, next_hop = uplink.carrier.host, uplink.address.ip
    for source, target in itertools.product(outside, inside):
        for packet in _packets(source, target.address, ports):
            flow = flow_into(passed, target.name, packet)
            yield Trial(source=carrier, target=target.name, packet=packet, flow=flow, via=edge.name, next_hop=next_hop)


def _at(
    edge: Host, address: IPv4Address, sources: Iterable[Host], passed: tuple[Passage, ...], ports: Ports
) -> Iterator[Trial]:
    for source in sources:
        for packet in _packets(source, address, ports):
            flow = flow_into(passed, edge.name, packet)
            yield Trial(source=source.name, target=edge.name, packet=packet, flow=flow)


def _packets(source: Host, target: IPv4Address | None, ports: Ports) -> Iterator[Packet]:
    if source.address is not None and target is not None:
        for protocol, port in ports:
            yield Packet(source=source.address, target=target, protocol=protocol, port=port)


def _uplinks(estate: Estate, edge: HostName) -> tuple[Uplink, ...]:
    plan = routing_of(estate).get(edge)
    return plan.uplinks if isinstance(plan, EdgeRouting) else ()
