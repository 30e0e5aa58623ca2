"""Ways between the sites: every neighbour is there and watched, every tunnel is alive, and no duct is a shared fate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...estate.model import Host, HostName, SiteKind
from ...estate.routing.model import CarrierRouting, EdgeRouting, RouterPlan
from ...estate.routing.rules import routing_of
from ..model import Facts, Finding, World
from .frame import bad, estate_check, good, host_check, unclear

NOTICED_WITHIN_S = 0.3
NOTICED_WITHIN_S_IN_TUNNELS = 0.6
OLDEST_HANDSHAKE_S = 180.0
_FIX = "secondsite run provision"


@host_check(
    "NET-ROUTES",
    reads="routing",
    groups="edge",
    expected="every edge exchanges routes with both carriers, its twin and the other datacenter's edges",
    fix=_FIX,
    commitments="C10",
    controls="DR-09",
    tags="network routing",
)
def routes(host: Host, facts: Facts, world: World) -> Iterator[Finding]:
    """Every session of an edge is established."""
    wanted = sessions_of(_plan(world, host))
    told = facts["routing"]["sessions"]
    for session in wanted:
        state = told.get(session, "not there")
        if state != "Established":
            yield bad(f"{host.name}: {session} is {state}", host.name, fix=f"on {host.name}: birdc show protocols all")
    if all(told.get(session) == "Established" for session in wanted):
        waited = facts["routing"]["up_after_s"]
        lost = f", after one was lost for an instant (up again {waited:g} s later)" if waited else ""
        yield good(f"{host.name}: {len(wanted)} sessions{lost}", host.name)


@host_check(
    "NET-BFD",
    reads="routing",
    groups="edge",
    expected=f"every neighbour of an edge is missed within {NOTICED_WITHIN_S:g} s,"
    f" one at the end of a tunnel within {NOTICED_WITHIN_S_IN_TUNNELS:g} s",
    fix=_FIX,
    commitments="C10",
    controls="DR-09",
    tags="network routing",
)
def watched(host: Host, facts: Facts, world: World) -> Iterator[Finding]:
    """Every neighbour of an edge is watched closely enough."""
    plan, told, troubles = _plan(world, host), facts["routing"]["watched"], 0
    for address, limit in limits_of(plan).items():
        seen = told.get(address)
        if seen is None or seen["state"] != "Up":
            troubles += 1
            state = "not watched" if seen is None else f"watched and {seen['state']}"
            yield bad(f"{host.name}: neighbour {address} is {state}", host.name)
        elif float(seen["notices_after_s"]) > limit:
            troubles += 1
            yield bad(f"{host.name}: neighbour {address} is missed after {seen['notices_after_s']} s only", host.name)
    if not troubles:
        yield good(f"{host.name}: {len(limits_of(plan))} neighbours", host.name)


@host_check(
    "NET-TUNNELS",
    reads="tunnels routing",
    groups="edge",
    expected=f"every tunnel's peer proved its key within {OLDEST_HANDSHAKE_S:g} s, and traffic flows through each",
    fix=_FIX,
    commitments="C10 C17",
    controls="DR-09 DR-25",
    tags="network routing tunnels",
)
def tunnels(host: Host, facts: Facts, world: World) -> Iterator[Finding]:
    """Every tunnel between the datacenters is alive."""
    plan = _plan(world, host)
    for tunnel in plan.tunnels:
        name = f"{host.name}: tunnel {tunnel.interface} to {tunnel.peer.host} over {tunnel.over}"
        told, flow = facts["tunnels"].get(tunnel.interface), facts["routing"]["watched"].get(str(tunnel.peer.address))
        if told is None:
            yield bad(f"{name} is not there", host.name)
        elif told["handshake_age_s"] is None or float(told["handshake_age_s"]) > OLDEST_HANDSHAKE_S:
            age = "never" if told["handshake_age_s"] is None else f"{told['handshake_age_s']} s ago"
            yield bad(f"{name}: its peer proved its key {age}", host.name)
        elif flow is None or flow["state"] != "Up":
            yield bad(f"{name}: nothing flows through it", host.name)
        else:
            yield good(f"{name}: {told['handshake_age_s']} s", host.name)


@estate_check(
    "NET-SRLG-DECLARED",
    reads="routing",
    expected="every link names its duct, and no single duct holds all links of a datacenter",
    fix="lay one of the links elsewhere, and say so in estate.yml",
    commitments="C10",
    controls="DR-08 DR-09",
    tags="network routing placement",
    groups="edge",
)
def shared_risk(world: World, _: Mapping[HostName, Facts]) -> Iterator[Finding]:
    """No datacenter hangs on one duct, as far as the estate says; benchmarks/convergence.py cuts them to see."""
    for site in world.estate.sites.values():
        links = [link for link in world.estate.links if link.site == site.name]
        if site.kind is not SiteKind.DATACENTER or not links:
            continue
        unsaid = [link.name for link in links if link.duct is None]
        ducts = {link.duct for link in links}
        if unsaid:
            yield unclear(f"{site.name}: {', '.join(unsaid)} name no duct")
        elif len(ducts) == 1:
            yield bad(f"{site.name}: all links lie in {links[0].duct}")
        else:
            yield good(f"{site.name}: {len(links)} links in {len(ducts)} ducts")


def sessions_of(plan: EdgeRouting | CarrierRouting) -> tuple[str, ...]:
    """Return what the routing daemon calls the sessions that the plan asks for."""
    if isinstance(plan, CarrierRouting):
        names = [neighbour.host for neighbour in (*plan.edges, *plan.carriers)]
        return tuple(name.replace("-", "_") for name in names)
    names = [uplink.carrier.host for uplink in plan.uplinks] + [twin.host for twin in plan.twins]
    return tuple(name.replace("-", "_") for name in (*names, *(tunnel.interface for tunnel in plan.tunnels)))


def limits_of(plan: EdgeRouting) -> Mapping[str, float]:
    """Return how soon each neighbour's silence must be noticed, by its address."""
    near = [uplink.carrier.address for uplink in plan.uplinks] + [twin.address for twin in plan.twins]
    far = [tunnel.peer.address for tunnel in plan.tunnels]
    return dict.fromkeys(map(str, near), NOTICED_WITHIN_S) | dict.fromkeys(map(str, far), NOTICED_WITHIN_S_IN_TUNNELS)


def _plan(world: World, host: Host) -> EdgeRouting:
    plan: RouterPlan | None = routing_of(world.estate).get(host.name)
    if not isinstance(plan, EdgeRouting):
        raise KeyError(f"{host.name} is an edge of which estate.yml says nothing")  # the frame makes it unknown
    return plan


CHECKS = (routes, watched, tunnels, shared_risk)
