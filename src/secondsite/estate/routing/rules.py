"""From the declared links to what each router is told. Pure, so that it can be read, compared and tested."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from string import ascii_lowercase

from ..model import Estate, Host, HostName, Link, Routing, SiteKind, SiteName
from .model import CarrierRouting, EdgeRouting, HostRouting, Neighbour, RouterPlan, Tunnel, Uplink

EDGE = "edge"
FIRST_PORT = 51821
PORTS_PER_CARRIER = 8


def routing_of(estate: Estate) -> Mapping[HostName, RouterPlan]:
    """Return what each router is told, and each host that carriers reach directly; without a declaration, nothing."""
    if estate.routing is None:
        return {}
    return _Plan(estate=estate, routing=estate.routing).hosts()


def edges_at(estate: Estate, site: SiteName) -> tuple[Host, ...]:
    """Return the hosts through which a site is entered and left, in inventory order."""
    return tuple(host for host in estate.hosts_at(site) if EDGE in host.groups)


def address_in(transit: IPv4Network, place: int) -> IPv4Interface:
    """Return an address in a transit network: place 0 is the carrier's, 1 the first edge's."""
    return IPv4Interface(f"{transit.network_address + 1 + place}/{transit.prefixlen}")


def tunnel_links(estate: Estate) -> Iterator[tuple[Link, Host, Link, Host]]:
    """Yield every tunnel: between each pair of edges of two datacenters, over each carrier that serves both."""
    transits = [link for link in estate.links if link.transit is not None]
    for one, other in itertools.combinations(transits, 2):
        if one.carrier == other.carrier and one.site != other.site:
            for pair in itertools.product(edges_at(estate, one.site), edges_at(estate, other.site)):
                yield one, pair[0], other, pair[1]


@dataclass(frozen=True, kw_only=True)
class _Plan:
    estate: Estate
    routing: Routing

    def hosts(self) -> dict[HostName, RouterPlan]:
        plans: dict[HostName, RouterPlan] = {}
        for host in self.estate.hosts.values():
            if self.estate.sites[host.site].kind is SiteKind.CARRIER:
                plans[host.name] = self._carrier(host)
            elif EDGE in host.groups and host.address is not None:
                plans[host.name] = self._edge(host, host.address)
            elif host.address is not None:
                gateways = [link.gateway for link in self.estate.links if link.site == host.site]
                direct = tuple(address for address in gateways if address is not None)
                if direct:
                    plans[host.name] = HostRouting(router_id=host.address, gateways=direct)
        return plans

    def _edge(self, host: Host, address: IPv4Address) -> EdgeRouting:
        edges = edges_at(self.estate, host.site)
        number = self.routing.as_numbers[host.site]
        own = self._network(host.site)
        tunnels = tuple(self._tunnels(host))
        far = (*self._open(), *dict.fromkeys(net for tunnel in tunnels for net in tunnel.peer.networks))
        return EdgeRouting(
            as_number=number,
            router_id=address,
            network=own,
            gateway=self.routing.gateways[host.site],
            rank=edges.index(host),
            twins=tuple(
                Neighbour(host=twin.name, address=twin.address, as_number=number, networks=far)
                for twin in edges
                if twin != host and twin.address is not None
            ),
            uplinks=tuple(self._uplinks(host, edges.index(host))),
            tunnels=tunnels,
        )

    def _uplinks(self, host: Host, rank: int) -> Iterator[Uplink]:
        for link in self.estate.links:
            if link.site == host.site and link.transit is not None:
                others = [other for other in self.estate.links if other.carrier == link.carrier and other != link]
                yield Uplink(
                    interface=link.carrier,
                    address=address_in(link.transit, 1 + rank),
                    carrier=Neighbour(
                        host=link.carrier,
                        address=address_in(link.transit, 0).ip,
                        as_number=self._number_of(link.carrier),
                        networks=self._open(),
                    ),
                    far=tuple(other.transit for other in others if other.transit is not None),
                )

    def _tunnels(self, host: Host) -> Iterator[Tunnel]:
        for index, (one, here, other, there) in enumerate(tunnel_links(self.estate)):
            ends = self.routing.tunnels.network_address + 2 + 2 * index  # the network's own address is nobody's
            if host == here:
                yield self._tunnel(host, IPv4Interface(f"{ends}/31"), other, there, ends + 1)
            elif host == there:
                yield self._tunnel(host, IPv4Interface(f"{ends + 1}/31"), one, here, ends)

    def _tunnel(self, host: Host, address: IPv4Interface, link: Link, peer: Host, remote: IPv4Address) -> Tunnel:
        assert link.transit is not None  # noqa: S101  tunnel_links saw to it
        place = 1 + edges_at(self.estate, peer.site).index(peer)
        carrier = list(dict.fromkeys(one.carrier for one in self.estate.links)).index(link.carrier)
        first = FIRST_PORT + PORTS_PER_CARRIER * carrier
        return Tunnel(
            interface=f"wg-{ascii_lowercase[carrier]}{self._place(peer, seen_from=host) + 1}",
            over=link.carrier,
            port=first + self._place(peer, seen_from=host),
            endpoint=address_in(link.transit, place).ip,
            endpoint_port=first + self._place(host, seen_from=peer),
            address=address,
            peer=Neighbour(
                host=peer.name,
                address=remote,
                as_number=self.routing.as_numbers[peer.site],
                networks=(self._network(peer.site),),
            ),
        )

    def _place(self, edge: Host, *, seen_from: Host) -> int:
        """Return which edge of other datacenters it is."""
        others = [one for one in self.estate.hosts.values() if EDGE in one.groups and one.site != seen_from.site]
        return others.index(edge)

    def _carrier(self, host: Host) -> CarrierRouting:
        links = [link for link in self.estate.links if link.carrier == host.name]
        direct = [link.site for link in links if link.gateway is not None]
        return CarrierRouting(
            as_number=self._number_of(host.name),
            router_id=host.management,
            edges=tuple(neighbour for link in links for neighbour in self._edges_on(link)),
            carriers=tuple(self._other_carriers(host)),
            networks=tuple(self._network(site) for site in direct),
            watched=tuple(
                other.address
                for other in self.estate.hosts.values()
                if other.site in direct and other.address is not None
            ),
        )

    def _edges_on(self, link: Link) -> Iterator[Neighbour]:
        if link.transit is None:
            return
        for place, edge in enumerate(edges_at(self.estate, link.site), start=1):
            yield Neighbour(
                host=edge.name,
                address=address_in(link.transit, place).ip,
                as_number=self.routing.as_numbers[link.site],
                networks=(self._network(link.site),),
            )

    def _other_carriers(self, host: Host) -> Iterator[Neighbour]:
        if self.routing.exchange is None:
            return
        networks = tuple(site.network for site in self.estate.sites.values() if site.network is not None)
        carriers = [one for one in self.estate.hosts.values() if self.estate.sites[one.site].kind is SiteKind.CARRIER]
        for place, other in enumerate(carriers):
            if other != host:
                yield Neighbour(
                    host=other.name,
                    address=address_in(self.routing.exchange, place).ip,
                    as_number=self._number_of(other.name),
                    networks=networks,
                )

    def _number_of(self, carrier: HostName) -> int:
        return self.routing.as_numbers[self.estate.hosts[carrier].site]

    def _open(self) -> tuple[IPv4Network, ...]:
        """Return the networks that edges learn from carriers: other datacenters are reached by tunnels only."""
        behind = {link.site for link in self.estate.links if link.transit is not None}
        return tuple(
            site.network for site in self.estate.sites.values() if site.network is not None and site.name not in behind
        )

    def _network(self, site: SiteName) -> IPv4Network:
        network = self.estate.sites[site].network
        assert network is not None  # noqa: S101  estate.rules saw to it
        return network
