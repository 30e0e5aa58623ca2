"""What an estate may not say, though every word of it is well formed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import TypeVar

from .escrow.rules import wrong_escrow
from .model import (
    CONTROL,
    Estate,
    FencingKind,
    Firewall,
    Flow,
    HostName,
    Link,
    PowerSwitch,
    SiteKind,
    SiteName,
    Workload,
    Zone,
)
from .paging.rules import wrong_paging
from .production.rules import wrong_production
from .routing.rules import tunnel_links

INJECTIONS = frozenset(
    {
        "cut-power",
        "cut-link",
        "cut-link-inward",
        "stop-etcd",
        "cut-controller",
        "lying-fence",
        "age-primary",
        "hold-replication",
        "destroy-data",
    }
)
ADAPTERS = frozenset({"patroni", "store"})
NO_AGENT_OPTIONS = frozenset(
    {"action", "ip", "ipaddr", "ipport", "login", "passwd", "passwd_script", "password", "password_script", "username"}
    | {"debug", "debug_file", "identity_file", "method", "quiet", "ssl_insecure", "verbose", "verbose_level"}
)
"""What the engine tells an agent itself, secrets, and what would tell them or trust anybody."""
SHORTEST_SILENCE = dt.timedelta(milliseconds=500)
LONGEST_SILENCE = dt.timedelta(minutes=5)
FEWEST_QUORUM_SITES = 3

Name = TypeVar("Name", bound=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """One thing that can't be meant, at a JSON pointer into ``estate.yml`` (or ``hosts.yml``)."""

    pointer: str
    what: str
    hint: str = ""
    in_inventory: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """Every name the files declare, also where the declaration itself is broken and reported already.

    ``hosts`` and ``groups`` are None when the inventory could not be read, which is reported already.
    """

    sites: frozenset[str]
    hosts: frozenset[str] | None
    workloads: frozenset[str]
    groups: frozenset[str] | None


def contradictions(estate: Estate, declared: Declared) -> Iterator[Contradiction]:
    """Yield every contradiction; none means the estate can be used."""
    for rule in RULES:
        yield from rule(estate, declared)


def _unknown(kind: str, name: str, names: frozenset[str] | None, pointer: str) -> Iterator[Contradiction]:
    if names is not None and name not in names:
        yield Contradiction(
            pointer=pointer, what=f"names the {kind} {name!r}, which is not declared", hint=_choices(kind, names)
        )


def _choices(kind: str, names: frozenset[str]) -> str:
    return f"{kind}s: {', '.join(sorted(names))}" if names else f"no {kind} is declared"


def _hosts(estate: Estate, declared: Declared) -> Iterator[Contradiction]:
    managements: dict[object, HostName] = {}
    for host in estate.hosts.values():
        pointer = f"/{host.name}"
        for found in _unknown("site", host.site, declared.sites, pointer):
            yield Contradiction(pointer=pointer, what=f"{host.name} {found.what}", hint=found.hint, in_inventory=True)
        for address in filter(None, {host.management, host.address}):
            other = managements.setdefault(address, host.name)
            if other != host.name:
                what = f"{host.name} has the address {address}, and so has {other}"
                yield Contradiction(pointer=pointer, what=what, hint="addresses are unique", in_inventory=True)
        network = estate.sites[host.site].network if host.site in estate.sites else None
        if host.address is not None and network is not None and host.address not in network:
            what = f"{host.name} has the address {host.address}, outside its site's network {network}"
            yield Contradiction(pointer=pointer, what=what, hint="is its site right?", in_inventory=True)


def _links(estate: Estate, declared: Declared) -> Iterator[Contradiction]:
    names: set[str] = set()
    for index, link in enumerate(estate.links):
        pointer = f"/links/{index}"
        yield from _unknown("host", link.carrier, declared.hosts, f"{pointer}/carrier")
        yield from _unknown("site", link.site, declared.sites, f"{pointer}/site")
        if link.name in names:
            yield Contradiction(pointer=f"{pointer}/name", what=f"a second link is called {link.name!r}")
        names.add(link.name)


def _members(
    members: Mapping[SiteName, HostName], estate: Estate, declared: Declared, pointer: str
) -> Iterator[Contradiction]:
    for site, host in members.items():
        here = f"{pointer}/{site}"
        yield from _unknown("site", site, declared.sites, here)
        yield from _unknown("host", host, declared.hosts, here)
        if site in estate.sites and estate.sites[site].kind is not SiteKind.DATACENTER:
            yield Contradiction(
                pointer=here, what=f"{site} is no datacenter", hint="workloads live at datacenters only"
            )
        if host in estate.hosts and site in declared.sites and estate.hosts[host].site != site:
            where = estate.hosts[host].site
            yield Contradiction(
                pointer=here, what=f"names {host} at {site}, but it stands at {where}", hint="see hosts.yml"
            )


def _workloads(estate: Estate, declared: Declared) -> Iterator[Contradiction]:
    for workload in estate.workloads.values():
        pointer = f"/workloads/{workload.name}"
        yield from _members(workload.members, estate, declared, f"{pointer}/members")
        if workload.adapter not in ADAPTERS:
            yield from _unknown("adapter", workload.adapter, ADAPTERS, f"{pointer}/adapter")
        if workload.home not in workload.members:
            what = f"names {workload.home!r}, where it has no member"
            yield Contradiction(
                pointer=f"{pointer}/home", what=what, hint=_choices("member", frozenset(workload.members))
            )
        for index, needed in enumerate(workload.depends_on):
            yield from _unknown("workload", needed, declared.workloads, f"{pointer}/depends_on/{index}")
        if workload.is_control_arm and workload.objectives.rpo == dt.timedelta(0):
            yield Contradiction(
                pointer=f"{pointer}/objectives/rpo",
                what="is zero for the control arm, whose loss must be allowed to show",
                hint="give it the loss you would tolerate, such as 1h",
            )


def _dependencies(estate: Estate, _: Declared) -> Iterator[Contradiction]:
    for workload in estate.workloads.values():
        circle = _circle_from(workload, estate)
        if circle:
            yield Contradiction(
                pointer=f"/workloads/{workload.name}/depends_on",
                what=f"goes in a circle: {' -> '.join(circle)}",
                hint="what starts first?",
            )


def _circle_from(start: Workload, estate: Estate) -> tuple[str, ...]:
    """Return the shortest way along dependencies from a workload back to itself; none if there is none."""
    ways: list[tuple[str, ...]] = [(start.name,)]
    seen: set[str] = set()
    while ways:
        way = ways.pop(0)
        here = next((w for w in estate.workloads.values() if w.name == way[-1]), None)
        for needed in here.depends_on if here else ():
            if needed == start.name:
                return (*way, needed)
            if needed not in seen:
                seen.add(needed)
                ways.append((*way, needed))
    return ()


def _services(estate: Estate, declared: Declared) -> Iterator[Contradiction]:
    for service in estate.services:
        pointer = f"/services/{service.name}"
        yield from _members(service.members, estate, declared, f"{pointer}/members")
        yield from _unknown("host", service.name_server, declared.hosts, f"{pointer}/name_server")
        for index, name in enumerate(service.workloads):
            yield from _unknown("workload", name, declared.workloads, f"{pointer}/workloads/{index}")
        if not service.dns_name.endswith(f".{service.zone}"):
            yield Contradiction(pointer=f"{pointer}/dns_name", what=f"is not inside the zone {service.zone}")
        if service.ttl < dt.timedelta(seconds=1) or service.ttl % dt.timedelta(seconds=1):
            yield Contradiction(pointer=f"{pointer}/ttl", what="is not a whole number of seconds, 1s or more")
        shortest = min(
            (estate.workloads[n].objectives.rto for n in service.workloads if n in estate.workloads), default=None
        )
        if shortest is not None and service.ttl > shortest:
            what = f"is longer than the shortest rto of its workloads ({shortest.total_seconds():g} s)"
            yield Contradiction(
                pointer=f"{pointer}/ttl", what=what, hint="customers would still be sent to the lost site"
            )


def _names(estate: Estate, _: Declared) -> Iterator[Contradiction]:
    """Workloads with a name of their own: it must be one that the name servers may publish, and be told apart."""
    services = {service.name for service in estate.services}
    for one in estate.published[len(estate.services) :]:
        pointer = f"/workloads/{one.name}/settings/dns_name"
        if not one.dns_name.endswith(f".{one.zone}"):
            yield Contradiction(pointer=pointer, what=f"is not inside the zone {one.zone}")
        if one.dns_name in {service.dns_name for service in estate.services}:
            yield Contradiction(pointer=pointer, what="is a service's name already")
        if one.name in services:
            yield Contradiction(pointer=f"/workloads/{one.name}", what="has a name of its own, and a service's name")


def _quorum(estate: Estate, declared: Declared) -> Iterator[Contradiction]:
    if estate.quorum is None:
        return
    members = estate.quorum.members
    for index, name in enumerate(members):
        yield from _unknown("host", name, declared.hosts, f"/quorum/members/{index}")
    if len(set(members)) != len(members) or len(members) % 2 == 0:
        yield Contradiction(pointer="/quorum/members", what="are not an odd number of different hosts")
    sites = [estate.hosts[name].site for name in members if name in estate.hosts]
    if len(sites) < len(members):
        return
    if len(set(sites)) < FEWEST_QUORUM_SITES or max(sites.count(site) for site in sites) * 2 > len(sites):
        yield Contradiction(
            pointer="/quorum/members",
            what=f"stand at {', '.join(sorted(set(sites)))}: the loss of one site could take the quorum away",
            hint="place them at three sites",
        )


def _detection(estate: Estate, declared: Declared) -> Iterator[Contradiction]:
    silence = estate.detection.silence
    if not SHORTEST_SILENCE <= silence <= LONGEST_SILENCE:
        what = f"is {silence.total_seconds():g} s; a blink is no loss, and 5 minutes are a long outage"
        yield Contradiction(pointer="/detection/silence", what=what, hint="500ms to 5m")
    for index, name in enumerate(estate.detection.vantage):
        pointer = f"/detection/vantage/{index}"
        yield from _unknown("host", name, declared.hosts, pointer)
        site = estate.sites.get(estate.hosts[name].site) if name in estate.hosts else None
        if site is not None and site.kind is SiteKind.DATACENTER:
            what = f"names {name}, inside the datacenter {site.name}"
            yield Contradiction(pointer=pointer, what=what, hint="a lost site cannot witness its own loss")
    if len(set(estate.detection.vantage)) != len(estate.detection.vantage):
        yield Contradiction(pointer="/detection/vantage", what="names a host twice")


def _drills(estate: Estate, _: Declared) -> Iterator[Contradiction]:
    for index, name in enumerate(estate.injections):
        if name not in INJECTIONS:
            yield Contradiction(
                pointer=f"/drills/injections/{index}",
                what=f"names {name!r}, which is no injection",
                hint=_choices("injection", INJECTIONS),
            )
    level, terms = estate.service_level, estate.drills
    if level is not None and terms is not None and level.sustained >= terms.longest:
        yield Contradiction(pointer="/drills/longest", what="is not longer than /service_level/sustained")


def _persons(estate: Estate, declared: Declared) -> Iterator[Contradiction]:
    for person in estate.persons:
        if person.site is not None:
            yield from _unknown("site", person.site, declared.sites, f"/persons/{person.name}/site")


def _paging(estate: Estate, declared: Declared) -> Iterator[Contradiction]:
    if estate.paging is not None:
        relays = {f"relays/{index}": name for index, name in enumerate(estate.paging.relays)}
        for place, host in {"mail": estate.paging.mail, "webhook": estate.paging.webhook, **relays}.items():
            yield from _unknown("host", host, declared.hosts, f"/paging/{place}")
    for pointer, what, hint in wrong_paging(estate) if declared.groups is not None else ():
        yield Contradiction(pointer=pointer, what=what, hint=hint)


def _further(estate: Estate, _: Declared) -> Iterator[Contradiction]:
    for pointer, what, hint in (*wrong_production(estate.production), *wrong_escrow(estate)):
        yield Contradiction(pointer=pointer, what=what, hint=hint)


def _orders(estate: Estate, declared: Declared) -> Iterator[Contradiction]:
    for index, order in enumerate(estate.standing_orders):
        yield from _unknown("site", order.origin, declared.sites, f"/standing_orders/{index}/origin")
        yield from _unknown("site", order.target, declared.sites, f"/standing_orders/{index}/target")
        if order.origin == order.target:
            yield Contradiction(pointer=f"/standing_orders/{index}/target", what="is the origin")


def _fencing(estate: Estate, declared: Declared) -> Iterator[Contradiction]:
    for site, fencing in estate.fencing.items():
        pointer = f"/fencing/{site}"
        yield from _unknown("site", site, declared.sites, pointer)
        if site in estate.sites and estate.sites[site].kind is not SiteKind.DATACENTER:
            yield Contradiction(pointer=pointer, what=f"{site} is no datacenter", hint="only datacenters are fenced")
        wanted = FencingKind.POWER in fencing.kinds
        if wanted and fencing.power is None:
            yield Contradiction(pointer=f"{pointer}/kinds", what="names power, and no power switch is declared")
        if not wanted and fencing.power is not None:
            yield Contradiction(pointer=f"{pointer}/power", what="is declared, and kinds does not name power")
        if fencing.power is not None:
            yield from _power(estate, declared, site, fencing.power)


def _power(estate: Estate, declared: Declared, site: SiteName, power: PowerSwitch) -> Iterator[Contradiction]:
    """An endpoint on the power of the site it cuts is gone with it, or says off because it is (ADR 0005)."""
    pointer = f"/fencing/{site}/power"
    yield from _unknown("site", power.stands_on, declared.sites, f"{pointer}/stands_on")
    if power.stands_on == site:
        what = f"is {site}, the site whose outlets it switches: it could confirm nothing when that site is lost"
        yield Contradiction(pointer=f"{pointer}/stands_on", what=what, hint="feed it from another site's power")
    named: dict[str, HostName] = {}
    for host, outlet in power.outlets.items():
        here = f"{pointer}/outlets/{host}"
        yield from _unknown("host", host, declared.hosts, here)
        if host in estate.hosts and estate.hosts[host].site != site:
            yield Contradiction(pointer=here, what=f"{host} stands at {estate.hosts[host].site}", hint="see hosts.yml")
        if named.setdefault(outlet, host) != host:
            yield Contradiction(pointer=here, what=f"{outlet} is {named[outlet]}'s outlet already")
    without = [host for host in estate.writers_at(site) if host not in power.outlets]
    if without:
        what = f"has no outlet for {', '.join(without)}, which could write"
        yield Contradiction(pointer=f"{pointer}/outlets", what=what, hint="while one is on, nothing is confirmed")
    for name in sorted(power.options.keys() & NO_AGENT_OPTIONS):
        hint = "docs/how-to/fence-by-power.md says where user and password are kept"
        yield Contradiction(pointer=f"{pointer}/options/{name}", what="is none of the options given here", hint=hint)
    if power.outlet_option in NO_AGENT_OPTIONS:
        yield Contradiction(pointer=f"{pointer}/outlet_option", what=f"{power.outlet_option} names no outlet")


def _firewall(estate: Estate, declared: Declared) -> Iterator[Contradiction]:
    firewall = estate.firewall
    if firewall is None:
        return
    for zone in firewall.zones.values():
        yield from _zone(zone, declared)
    for service in firewall.services.values():
        if not service.ports:
            yield Contradiction(
                pointer=f"/firewall/services/{service.name}", what="names no port", hint="tcp, udp or protocols"
            )
    names: set[str] = set()
    for flow in firewall.flows:
        if flow.name in names:
            yield Contradiction(
                pointer=f"/firewall/flows/{flow.index}/name", what=f"a second flow is called {flow.name!r}"
            )
        names.add(flow.name)
        yield from _flow(flow, firewall)
    yield from _edges(estate, firewall, declared)


def _zone(zone: Zone, declared: Declared) -> Iterator[Contradiction]:
    pointer = f"/firewall/zones/{zone.name}"
    if zone.name == CONTROL:
        hint = "it stands for management/control"
        yield Contradiction(pointer=pointer, what=f"{CONTROL!r} is there already", hint=hint)
    if not (zone.groups or zone.hosts or zone.networks):
        yield Contradiction(pointer=pointer, what="has no members", hint="groups, hosts or networks")
    for index, name in enumerate(zone.groups):
        yield from _unknown("group", name, declared.groups, f"{pointer}/groups/{index}")
    for index, host in enumerate(zone.hosts):
        yield from _unknown("host", host, declared.hosts, f"{pointer}/hosts/{index}")


def _flow(flow: Flow, firewall: Firewall) -> Iterator[Contradiction]:
    pointer, zones = f"/firewall/flows/{flow.index}", frozenset(firewall.zones)
    for index, zone in enumerate(flow.sources):
        yield from _unknown("zone", zone, zones | {CONTROL}, f"{pointer}/from/{index}")
    for index, zone in enumerate(flow.targets):
        here = f"{pointer}/to/{index}"
        if zone == CONTROL:
            hint = "the controller opens connections, and accepts none"
            yield Contradiction(pointer=here, what="leads to the controller", hint=hint)
        else:
            yield from _unknown("zone", zone, zones, here)
    for index, service in enumerate(flow.services):
        yield from _unknown("service", service, frozenset(firewall.services), f"{pointer}/services/{index}")
    if flow.same_site and CONTROL in flow.sources:
        yield Contradiction(pointer=f"{pointer}/same_site", what="is true for the controller, which is at no site")


def _edges(estate: Estate, firewall: Firewall, declared: Declared) -> Iterator[Contradiction]:
    for edges in firewall.edges.values():
        pointer = f"/firewall/edges/{edges.site}"
        yield from _unknown("site", edges.site, declared.sites, pointer)
        site = estate.sites.get(edges.site)
        if site is not None and site.network is None:
            yield Contradiction(pointer=pointer, what=f"{edges.site} has no network that edges could protect")
        for index, name in enumerate(edges.hosts):
            here = f"{pointer}/hosts/{index}"
            yield from _unknown("host", name, declared.hosts, here)
            if name in estate.hosts and site is not None and estate.hosts[name].site != edges.site:
                where = estate.hosts[name].site
                yield Contradiction(pointer=here, what=f"names {name}, which stands at {where}", hint="see hosts.yml")


def _ends(estate: Estate, declared: Declared) -> Iterator[Contradiction]:
    """Each link ends at a site's edges or in its network, and networks between are nobody else's."""
    taken = {site.name: site.network for site in estate.sites.values() if site.network is not None}
    if estate.routing is not None:
        taken |= {SiteName("tunnels"): estate.routing.tunnels}
        taken |= {SiteName("exchange"): estate.routing.exchange} if estate.routing.exchange is not None else {}
    networks: list[tuple[str, IPv4Network]] = list(taken.items())
    for index, link in enumerate(estate.links):
        pointer = f"/links/{index}"
        site = estate.sites.get(link.site)
        if link.transit is not None and link.gateway is not None:
            yield Contradiction(pointer=pointer, what="ends twice", hint="transit at edges, or gateway without edges")
        if (
            link.gateway is not None
            and site is not None
            and site.network is not None
            and link.gateway not in site.network
        ):
            yield Contradiction(pointer=f"{pointer}/gateway", what=f"is outside {site.name}'s network {site.network}")
        if link.transit is None:
            continue
        yield from _transit(estate, declared, link, f"{pointer}/transit")
        for name, network in networks:
            if link.transit.overlaps(network):
                yield Contradiction(pointer=f"{pointer}/transit", what=f"{link.transit} overlaps {name}, {network}")
        networks.append((link.name, link.transit))


def _transit(estate: Estate, declared: Declared, link: Link, pointer: str) -> Iterator[Contradiction]:
    edges = [host for host in estate.hosts_at(link.site) if "edge" in host.groups]
    if declared.hosts is not None and not edges:
        yield Contradiction(pointer=pointer, what=f"leads to {link.site}, which has no host of the group 'edge'")
    if link.transit is not None and link.transit.num_addresses < len(edges) + 3:
        what = f"{link.transit} is too small for a carrier and {len(edges)} edges"
        yield Contradiction(pointer=pointer, what=what, hint="a /29 has room for five edges")
    if estate.routing is None:
        yield Contradiction(pointer=pointer, what="is declared, and section /routing is not", hint="add routing")


def _routing(estate: Estate, declared: Declared) -> Iterator[Contradiction]:
    if estate.routing is None:
        return
    numbers = estate.routing.as_numbers
    for name in numbers:
        yield from _unknown("site", name, declared.sites, f"/routing/as_numbers/{name}")
    behind = {link.site for link in estate.links if link.transit is not None}
    carriers = {site.name for site in estate.sites.values() if site.kind is SiteKind.CARRIER}
    for name in sorted((behind | carriers) - numbers.keys()):
        yield Contradiction(pointer="/routing/as_numbers", what=f"has no number for {name}")
    needed = 2 + 2 * sum(1 for _ in tunnel_links(estate))
    if needed > estate.routing.tunnels.num_addresses:
        what = f"{estate.routing.tunnels} is too small for {needed - 2} ends of tunnels"
        yield Contradiction(pointer="/routing/tunnels", what=what)


def _gateways(estate: Estate, declared: Declared) -> Iterator[Contradiction]:
    if estate.routing is None:
        return
    gateways = estate.routing.gateways
    behind = {link.site for link in estate.links if link.transit is not None}
    for name in sorted(behind - gateways.keys()):
        yield Contradiction(pointer="/routing/gateways", what=f"has no address for {name}, whose links lead to edges")
    addresses = {host.address: host.name for host in estate.hosts.values() if host.address is not None}
    for name, gateway in gateways.items():
        pointer = f"/routing/gateways/{name}"
        yield from _unknown("site", name, declared.sites, pointer)
        network = estate.sites[name].network if name in estate.sites else None
        if network is not None and gateway not in network:
            yield Contradiction(pointer=pointer, what=f"{gateway} is outside {name}'s network {network}")
        if gateway in addresses:
            yield Contradiction(pointer=pointer, what=f"{gateway} is {addresses[gateway]}'s own", hint="edges share it")


RULES: tuple[Callable[[Estate, Declared], Iterator[Contradiction]], ...] = (
    _hosts,
    _links,
    _workloads,
    _dependencies,
    _services,
    _names,
    _quorum,
    _detection,
    _drills,
    _persons,
    _paging,
    _further,
    _orders,
    _fencing,
    _firewall,
    _ends,
    _routing,
    _gateways,
)
