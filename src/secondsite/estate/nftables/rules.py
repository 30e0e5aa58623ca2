"""Write the rule set of a host: what the declaration lets pass, and nothing else.

It is one transaction over one table: there is no moment without rules, and tables of others, an isolation in force
above all, stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network

from ..firewall.model import Passage
from ..firewall.passages.rules import beyond, declared, passages, within
from ..model import Edges, Estate, Host, HostName, Protocol, SiteKind

TABLE = "inet secondsite"
_STATE = "ct state vmap { established : accept, related : accept, invalid : drop }"
_PING = "icmp type echo-request accept"
_NEIGHBOURS = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept"
_VRRP = 112
_DROPPED = 'counter comment "dropped"'


def rulesets(estate: Estate) -> dict[HostName, str]:
    """Return the rule set of every host of the estate."""
    passed = passages(estate)
    return {host.name: _ruleset(estate, host, passed) for host in estate.hosts.values()}


def _ruleset(estate: Estate, host: Host, passed: tuple[Passage, ...]) -> str:
    chains = [("input", _input(estate, host, passed)), ("forward", _forward(estate, host, passed))]
    if declared(estate).management.interface is not None:
        chains.insert(1, ("management", _management(host, passed)))
    lines = [
        "#!/usr/sbin/nft -f",
        f"# {host.name} of {estate.name}: made from section `firewall` of estate.yml, again by every provisioning.",
        f"table {TABLE}",
        f"delete table {TABLE}",
        f"table {TABLE} {{",
    ]
    for name, rules in chains:
        lines += [f"    chain {name} {{", *(f"        {rule}" for rule in rules), "    }"]
    return "\n".join([*lines, "}"])


def _input(estate: Estate, host: Host, passed: Iterable[Passage]) -> Iterator[str]:
    interface = declared(estate).management.interface
    yield "type filter hook input priority filter; policy drop;"
    yield _STATE
    yield 'iifname "lo" accept'
    if interface is not None:
        yield f'iifname "{interface}" goto management'
    yield from _spoofed(estate, host)
    yield _PING
    yield _NEIGHBOURS
    for passage in passed:
        if host.name in passage.hosts and not (passage.by_management and interface is not None):
            yield _accept(passage, sources=passage.sources)
    yield _DROPPED


def _management(host: Host, passed: Iterable[Passage]) -> Iterator[str]:
    for passage in passed:
        if host.name in passage.hosts and passage.by_management:
            yield _accept(passage, sources=passage.sources)
    yield 'counter drop comment "dropped"'


def _spoofed(estate: Estate, host: Host) -> Iterator[str]:
    """Yield how an edge knows that a packet is not from where it says: its site's addresses come from inside only."""
    edges, network = _edges_with(estate, host), estate.sites[host.site].network
    if edges is not None and network is not None:
        yield f'iifname != "{edges.inside}" ip saddr {network} counter drop comment "not from where it says"'


def _edges_with(estate: Estate, host: Host) -> Edges | None:
    return next((edges for edges in declared(estate).edges.values() if host.name in edges.hosts), None)


def _forward(estate: Estate, host: Host, passed: Iterable[Passage]) -> Iterator[str]:
    edges, network, interface = (
        _edges_with(estate, host),
        estate.sites[host.site].network,
        declared(estate).management.interface,
    )
    carries = estate.sites[host.site].kind is SiteKind.CARRIER
    yield f"type filter hook forward priority filter; policy {'accept' if carries else 'drop'};"
    if (carries or edges) and interface is not None:
        yield f'iifname "{interface}" drop'
        yield f'oifname "{interface}" drop'
    if edges is not None and network is not None:
        yield _STATE
        yield from _spoofed(estate, host)
        yield from _across(edges, network, passed)


def _across(edges: Edges, site: IPv4Network, passed: Iterable[Passage]) -> Iterator[str]:
    yield _PING
    for passage in passed:
        if passage.by_management:
            continue
        inward = (tuple(beyond(passage.sources, site)), tuple(within(passage.targets, site)))
        outward = (tuple(within(passage.sources, site)), tuple(beyond(passage.targets, site)))
        if all(inward):
            way = f'iifname != "{edges.inside}" oifname "{edges.inside}"'
            yield _accept(passage, way=way, sources=inward[0], targets=inward[1])
        if all(outward):
            way = f'iifname "{edges.inside}" oifname != "{edges.inside}"'
            yield _accept(passage, way=way, sources=outward[0], targets=outward[1])
    yield _DROPPED


def _accept(
    passage: Passage, *, sources: tuple[IPv4Network, ...], targets: tuple[IPv4Network, ...] = (), way: str = ""
) -> str:
    words = [way] if way else []
    words += [f"ip saddr {_set(sources)}"]
    words += [f"ip daddr {_set(targets)}"] if targets else []
    words += [_spoken(passage), f'accept comment "{passage.flow}"']
    return " ".join(words)


def _spoken(passage: Passage) -> str:
    if passage.protocol is Protocol.VRRP:
        return f"meta l4proto {_VRRP}"
    return f"{passage.protocol.value} dport {_set(passage.ports)}"


def _set(members: Iterable[IPv4Network] | Iterable[int]) -> str:
    words = [str(one).removesuffix("/32") for one in members]
    return words[0] if len(words) == 1 else f"{{ {', '.join(words)} }}"
