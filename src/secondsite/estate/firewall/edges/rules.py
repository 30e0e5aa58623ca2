"""Which packets to hand to each edge, whether or not the routes would choose it today.

Of a pair of edges one serves while all is well. The other's rules are seen only by handing packets to it: from hosts of
its site outwards, and from the carriers inwards, where the carrier writes the packets that its customers would send.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address

from ...model import Estate, Firewall, Host, HostName, Protocol
from ...routing.model import CarrierRouting, EdgeRouting, Uplink
from ...routing.rules import routing_of
from ..model import Packet, Trial
from ..passages.rules import Book, flow_into

Ports = Iterable[tuple[Protocol, int]]


def through_each_edge(estate: Estate, firewall: Firewall, book: Book, ports: Ports) -> Iterator[Trial]:
    """Yield what to hand to each edge, in both directions, and what to try at its outer addresses."""
    listed = tuple(ports)
    for edges in firewall.edges.values():
        inside = [host for host in estate.hosts_at(edges.site) if host.address and host.name not in edges.hosts]
        outside = [host for host in estate.hosts.values() if host.address and host.site != edges.site]
        for edge in (estate.hosts[name] for name in edges.hosts):
            yield from _outwards(edge, inside, outside, book, listed)
            for uplink in _uplinks(estate, edge.name):
                free = [host for host in outside if host.site not in firewall.edges]
                yield from _inwards(edge, uplink, free, inside, book, listed)
                yield from _at(edge, uplink.address.ip, [*inside, *outside], book, listed)


def between_routers(estate: Estate, book: Book, ports: Ports) -> Iterator[Trial]:
    """Yield what routers try at each other, and at the hosts whose networks they enter, over each of their wires."""
    listed = tuple(ports)
    for source, own, target, address in _wires(estate):
        for protocol, port in listed:
            packet = Packet(source=own, target=address, protocol=protocol, port=port)
            yield Trial(source=source, target=target, packet=packet, flow=flow_into(book, target, packet))


Wire = tuple[HostName, IPv4Address, HostName, IPv4Address]


def _wires(estate: Estate) -> Iterator[Wire]:
    """Yield both directions of every wire a router has: who, by which address, reaches whom at which."""
    for host, plan in routing_of(estate).items():
        if isinstance(plan, EdgeRouting):
            for uplink in plan.uplinks:
                yield from _both((host, uplink.address.ip, uplink.carrier.host, uplink.carrier.address))
            yield from _joined(host, plan)
    for one, other in itertools.combinations(_met(estate), 2):
        yield from _both((*one, *other))
    for link in estate.links:
        for neighbour in estate.hosts_at(link.site):
            if link.gateway is not None and neighbour.address is not None:
                yield from _both((neighbour.name, neighbour.address, link.carrier, link.gateway))


def _met(estate: Estate) -> tuple[tuple[HostName, IPv4Address], ...]:
    """Return the carriers where they meet each other."""
    plans = [plan for plan in routing_of(estate).values() if isinstance(plan, CarrierRouting)]
    return tuple(sorted({(other.host, other.address) for plan in plans for other in plan.carriers}))


def _joined(host: HostName, plan: EdgeRouting) -> Iterator[Wire]:
    """Yield the tunnels of an edge: outside, between the ends that carriers see, and inside."""
    outer = {uplink.carrier.host: uplink.address.ip for uplink in plan.uplinks}
    for tunnel in plan.tunnels:
        yield host, outer[tunnel.over], tunnel.peer.host, tunnel.endpoint
        yield host, tunnel.address.ip, tunnel.peer.host, tunnel.peer.address


def _both(wire: Wire) -> Iterator[Wire]:
    source, own, target, address = wire
    yield wire
    yield target, address, source, own


def _outwards(edge: Host, inside: Iterable[Host], outside: Iterable[Host], book: Book, ports: Ports) -> Iterator[Trial]:
    for source, target in itertools.product(inside, outside):
        for packet in _packets(source, target.address, ports):
            flow = flow_into(book, target.name, packet)
            yield Trial(
                source=source.name, target=target.name, packet=packet, flow=flow, via=edge.name, next_hop=edge.address
            )


def _inwards(
    edge: Host,
    uplink: Uplink,
    outside: Iterable[Host],
    inside: Iterable[Host],
    book: Book,
    ports: Ports,
) -> Iterator[Trial]:
    carrier, next_hop = uplink.carrier.host, uplink.address.ip
    for source, target in itertools.product(outside, inside):
        for packet in _packets(source, target.address, ports):
            flow = flow_into(book, target.name, packet)
            yield Trial(source=carrier, target=target.name, packet=packet, flow=flow, via=edge.name, next_hop=next_hop)


def _at(edge: Host, address: IPv4Address, sources: Iterable[Host], book: Book, ports: Ports) -> Iterator[Trial]:
    for source in sources:
        for packet in _packets(source, address, ports):
            flow = flow_into(book, edge.name, packet)
            yield Trial(source=source.name, target=edge.name, packet=packet, flow=flow)


def _packets(source: Host, target: IPv4Address | None, ports: Ports) -> Iterator[Packet]:
    if source.address is not None and target is not None:
        for protocol, port in ports:
            yield Packet(source=source.address, target=target, protocol=protocol, port=port)


def _uplinks(estate: Estate, edge: HostName) -> tuple[Uplink, ...]:
    plan = routing_of(estate).get(edge)
    return plan.uplinks if isinstance(plan, EdgeRouting) else ()
