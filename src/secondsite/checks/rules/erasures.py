"""Deleted stays deleted: the ledger is whole and everywhere the same, and nobody it erased is anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import permutations
from typing import Any

from ...estate.model import HostName
from ..absence import named, still_there
from ..model import Facts, Finding, World
from .frame import bad, estate_check, good, unclear

AUDIT = "erasure-audit"
LATE_S = 60.0


@estate_check(
    "DATA-ERASURE",
    reads="ledger",
    groups="erasures",
    outside=AUDIT,
    expected="every keeper has the same entries of the erasure ledger, in a chain that is whole and not shorter than"
    " anybody saw it; nobody it erased is in the database, among keys or in files, and every hold in it is in force",
    fix="on the database host that leads: accountctl replay; accountctl audit names what is left",
    commitments="C15 C16 C26 C28",
    controls="DR-35",
    tags="backup data",
)
def deleted_stays_deleted(world: World, facts: Mapping[HostName, Facts]) -> Iterator[Finding]:
    """Whoever was erased is nowhere, and the ledger that says so is whole."""
    keepers = {name: one["ledger"] for name, one in facts.items()}
    for name, told in keepers.items():
        if told["trouble"]:
            yield bad(f"{name}: the ledger is broken: {told['trouble']}", name, fix=_investigate(name))
        if told["live"]:
            yield bad(f"{name} has the key of {named(told['live'])} although its ledger erases them", name)
    for one, other in permutations(keepers, 2):
        yield from _as_seen(one, other, keepers)
    yield from _alike(keepers)
    yield from _audits(world)


def _as_seen(one: HostName, other: HostName, keepers: Mapping[HostName, Mapping[str, Any]]) -> Iterator[Finding]:
    """Compare a keeper's chain with what another keeper saw of it, and see that this one still looks."""
    told, now = keepers[one], keepers[other]
    heard = told["heard"].get(str(other))
    if heard is None:
        yield unclear(f"{one} does not tell how it hears {other}", one)
    elif heard["ago"] is None or not -LATE_S <= heard["ago"] <= LATE_S:
        when = "ever" if heard["ago"] is None else f"for {heard['ago']:.0f} s"
        yield bad(f"{one} has not read the ledger at {other} {when}: {heard['trouble']}", one, other)
    seen = told["seen"].get(str(other))
    if seen is None or seen["keeper"] != now["keeper"]:
        return  # a machine that is new there: it begins a chain of its own, and is compared by its entries
    if len(now["digests"]) < seen["number"]:
        cut = (
            f"the ledger at {other} was cut off: {one} saw {seen['number']} records, and {len(now['digests'])} are left"
        )
        yield bad(cut, other, fix=_investigate(other))
    elif seen["number"] and now["digests"][seen["number"] - 1] != seen["head"]:
        yield bad(f"record {seen['number']} of the ledger at {other} is not the one that {one} saw", other)


def _alike(keepers: Mapping[HostName, Mapping[str, Any]]) -> Iterator[Finding]:
    """See that each entry is at every keeper, but for what came in a moment ago."""
    ages: dict[str, float] = {}
    for told in keepers.values():
        for entry, _, received, _ in told["entries"]:
            ages[entry] = max(ages.get(entry, 0.0), told["now"] - received)
    lacking = False
    for name, told in keepers.items():
        here = {one[0] for one in told["entries"]}
        missing = {entry: age for entry, age in ages.items() if age > LATE_S and entry not in here}
        if missing:
            lacking = True
            what = f"{len(missing)} entries of the ledger are missing at {name}, up to {max(missing.values()):.0f} s"
            yield bad(f"{what} after another keeper had them", name)
    if not lacking and keepers:
        yield good(f"{len(ages)} entries at {', '.join(sorted(keepers))}", *keepers)


def _audits(world: World) -> Iterator[Finding]:
    section = world.outside.get(AUDIT)
    if section is None or section.trouble:
        yield unclear(f"nobody was asked who is still there: {section.trouble if section else 'not looked at'}")
        return
    led = False
    for name, told in section.value.items():
        host = HostName(name)
        if told["trouble"]:
            yield unclear(f"{name}: {told['trouble']}", host)
        elif "erased" in told:  # a store
            if told["erased"]:
                yield bad(f"{named(told['erased'])} erased, and {name} keeps files of theirs", host)
        elif told["leads"]:
            led = True
            yield from _of_database(host, told)
    if not led:
        yield unclear("no database that is written tells who is in it")


def _of_database(host: HostName, told: Mapping[str, Any]) -> Iterator[Finding]:
    if not told["ledger"]:
        yield bad(f"{host} is not told who keeps the ledger", host, fix="secondsite run provision")
        return
    reasons = list(still_there(told))
    reasons += [f"keeper {name} does not answer: {why}" for name, why in sorted(told["unheard"].items())]
    for reason in reasons:
        yield bad(f"{host}: {reason}", host)
    if not reasons:
        erased = told["in_force"]["erased"]
        yield good(f"none of {erased} erased accounts is in the database; {held_in(told)}", host)


def held_in(told: Mapping[str, Any]) -> str:
    """Say how many accounts a legal hold keeps, and what it kept from being done."""
    return f"{told['in_force']['legal-hold']} under a legal hold, which forbade {told['refused']} erasures so far"


def holds(world: World) -> Iterator[Finding]:
    """Yield how many accounts a legal hold keeps, as the database that is written tells, or that nobody tells."""
    section = world.outside.get(AUDIT)
    told = section.value if section is not None and not section.trouble else {}
    leading = [(name, one) for name, one in told.items() if not one["trouble"] and one.get("leads") and one["ledger"]]
    for name, one in leading:
        yield good(f"{held_in(one)}: what they keep in the live database is in each new backup too", HostName(name))
    if not leading:
        yield unclear("no database that is written tells how many accounts are under a legal hold")


def _investigate(name: HostName) -> str:
    return (
        f"keep {name}:/var/lib/secondsite-erasures as it is and find out who changed it; docs/how-to/erase-a-person.md"
    )


CHECKS = (deleted_stays_deleted,)
