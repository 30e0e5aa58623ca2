"""Fencing: what would keep a lost site out is in force before it is needed."""

from __future__ import annotations

from collections.abc import Iterator

from ...estate.model import Host
from ...estate.nftables.isolation import TABLE, drops_both_ways
from ..model import Facts, Finding, World
from .frame import bad, good, host_check

_LAID = "/etc/secondsite/isolation.nft"
"""Loading it again lays the rules anew and lifts no isolation (role carrier)."""


@host_check(
    "FEN-FILTER",
    reads="firewall",
    groups="carrier",
    expected="the isolation table drops what is in its set both ways, ahead of every other rule",
    fix=f"on the carrier: nft -f {_LAID}",
    commitments="C08 C12",
    controls="DR-21",
    tags="fencing readiness",
)
def isolation_filter(host: Host, facts: Facts, _: World) -> Iterator[Finding]:
    """A fence that is told to drop a site would."""
    parts = [part for part in facts["firewall"]["live"] if TABLE in _table_of(part)]
    if drops_both_ways(parts):
        yield good(f"{host.name} would drop what it is told to", host.name)
    else:
        saw = f"{host.name}: the table {TABLE} would let through what it is told to drop"
        yield bad(saw, host.name, fix=f"on {host.name}: nft -f {_LAID}")


def _table_of(part: Facts) -> str:
    ((kind, body),) = part.items()
    return str(body.get("name") if kind == "table" else body.get("table"))


CHECKS = (isolation_filter,)
