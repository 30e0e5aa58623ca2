"""Which hosts of the two datacenters are twins, and which words stand for what differs between them by declaration."""

from __future__ import annotations

from collections.abc import Iterator

from ...estate.model import Estate, Host, Site, SiteKind
from ...estate.routing.model import EdgeRouting
from ...estate.routing.rules import routing_of
from ..model import Pair

TWO = 2


def datacenters(estate: Estate) -> tuple[Site, ...]:
    """Return the datacenters in the order of the estate."""
    return tuple(site for site in estate.sites.values() if site.kind is SiteKind.DATACENTER)


def roles(estate: Estate, site: Site) -> dict[str, Host]:
    """Return the hosts of a site by what they do there: their groups, and their place among those who do the same."""
    found: dict[str, Host] = {}
    for host in estate.hosts_at(site.name):
        groups = "+".join(sorted(host.groups)) or "host"
        place = sum(role.rpartition("/")[0] == groups for role in found) + 1
        found[f"{groups}/{place}"] = host
    return found


def pairs(estate: Estate) -> tuple[Pair, ...]:
    """Return the twins, in inventory order. Fewer or more than two datacenters have none."""
    sites = datacenters(estate)
    if len(sites) != TWO:
        return ()
    first, second = (roles(estate, site) for site in sites)
    return tuple(Pair(role=role, first=host, second=second[role]) for role, host in first.items() if role in second)


def without_twin(estate: Estate) -> tuple[Host, ...]:
    """Return the datacenters' hosts that nobody at the other one matches."""
    matched = {name for pair in pairs(estate) for name in pair.names}
    return tuple(
        host for site in datacenters(estate) for host in estate.hosts_at(site.name) if host.name not in matched
    )


def neutral_words(estate: Estate, host: Host) -> list[tuple[str, str]]:
    """Return literals and what stands for them: ``here`` for the host's own datacenter, ``there`` for the other."""
    sites = datacenters(estate)
    if host.site not in [site.name for site in sites]:
        return []
    return sorted({word: token for site in sites for word, token in _words_of(estate, site, host)}.items())


def _words_of(estate: Estate, site: Site, seen_from: Host) -> Iterator[tuple[str, str]]:
    side = "here" if site.name == seen_from.site else "there"
    yield site.name, f"{{{side}}}"
    if site.network is not None:
        yield str(site.network), f"{{{side} network}}"
    for role, host in roles(estate, site).items():
        yield host.name, f"{{{side} {role}}}"
        yield str(host.management), f"{{{side} {role} management}}"
        if host.address is not None:
            yield str(host.address), f"{{{side} {role} address}}"
    yield from ((word, token) for word, token in _words_of_ways(estate, site, side) if word)


def _words_of_ways(estate: Estate, site: Site, side: str) -> Iterator[tuple[str, str]]:
    """Yield what differs between twins on the ways between sites: numbers, transit addresses, ends of tunnels."""
    if estate.routing is None or site.name not in estate.routing.as_numbers:
        return
    yield str(estate.routing.as_numbers[site.name]), f"{{{side} number}}"
    yield str(estate.routing.gateways.get(site.name, "")), f"{{{side} gateway}}"
    plans = routing_of(estate)
    for role, host in roles(estate, site).items():
        plan = plans.get(host.name)
        if isinstance(plan, EdgeRouting):
            for uplink in plan.uplinks:
                yield str(uplink.address.network), f"{{{side} transit {uplink.interface}}}"
                yield str(uplink.carrier.address), f"{{{side} transit {uplink.interface} carrier}}"
                yield str(uplink.address.ip), f"{{{side} transit {uplink.interface} {role}}}"
            for tunnel in plan.tunnels:
                yield str(tunnel.address.ip), f"{{{side} {role} {tunnel.interface}}}"


def neutral_networks(estate: Estate, host: Host) -> list[tuple[str, str]]:
    """Return the leading octets of each datacenter's network (where whole octets lead) and what stands for them."""
    sites = datacenters(estate)
    if host.site not in [site.name for site in sites]:
        return []
    found = []
    for site in sites:
        if site.network is not None and site.network.prefixlen % 8 == 0:
            octets = str(site.network.network_address).split(".")[: site.network.prefixlen // 8]
            found.append((".".join(octets) + ".", f"{{{'here' if site.name == host.site else 'there'}}}."))
    return found
