"""Procedures that persons carry out when the engine is gone: there, whole, and of today's plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...estate.model import HostName, SiteName
from ..model import Facts, Finding, World
from .frame import bad, estate_check, good, unclear

PROCEDURES = "procedures"


@estate_check(
    "RDY-PROCEDURE",
    reads="procedures",
    outside="procedures",
    expected="at every datacenter, the vault and headquarters lies every procedure for failover and failback, readable,"
    " and as the plan prints it now",
    fix="secondsite run provision",
    commitments="C08 C18",
    controls="DR-01 DR-24",
    tags="procedures",
)
def procedures_are_kept(world: World, facts: Mapping[HostName, Facts]) -> Iterator[Finding]:
    """Who has nothing but SSH finds the procedures at each site, and they are of today."""
    told = world.outside.get(PROCEDURES)
    if told is None or told.trouble:
        yield unclear(f"what the plan prints now can't be told: {told.trouble if told else 'nobody printed it'}")
        return
    for site, host in world.estate.procedure_hosts().items():
        if host in facts:
            yield from _at(site, host, kept=facts[host]["procedures"], expected=told.value)


def _at(site: SiteName, host: HostName, *, kept: Facts, expected: Facts) -> Iterator[Finding]:
    wrong = [why for name in expected if (why := _reason(name, kept=kept, expected=expected))]
    strange = sorted(name for name in kept if name.endswith((".md", ".html")) and name not in expected)
    wrong += [f"{name}, which the plan does not print" for name in strange]
    if wrong:
        yield bad(f"{host} at {site} keeps {', '.join(wrong)}", host)
    else:
        yield good(f"{host} at {site} keeps {len(expected)} pages", host)


def _reason(name: str, *, kept: Facts, expected: Facts) -> str:
    """Say what is wrong with one page, or nothing."""
    if name not in kept:
        return f"no {name}"
    found = kept[name]
    if found["digest"] != expected[name]:
        return f"another {name} than the plan prints now ({found['printed'] or 'it does not say when it was printed'})"
    return "" if found["readable"] else f"a {name} that operators may not read"


CHECKS = (procedures_are_kept,)
