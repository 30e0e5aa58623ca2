"""Escrow: what two holders open together lies whole wherever it is kept, opened lately, and nothing opens by itself."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from ...estate.escrow.rules import sites_that_would_close_escrow
from ...estate.model import HostName
from ..model import Facts, Finding, World
from .frame import bad, estate_check, good

ESCROW = "escrow"
_AHEAD = dt.timedelta(minutes=5)
_MANIFEST, _OPENED = "manifest.json", "opened.json"
_OPEN = "secondsite escrow test --holder FILE --holder FILE"
_SEAL = "secondsite escrow seal --holder FILE --holder FILE; then: secondsite run provision"


@estate_check(
    "SEC-ESCROW",
    reads="escrow standby",
    outside=ESCROW,
    groups="standby",
    expected="wherever a copy of the controller's state lies, so do the packages of escrow, one for each two declared"
    " holders, as they were sealed; the copy has every sealed key and none that opens anything by itself; and two"
    " holders opened escrow not longer ago than is declared",
    fix="secondsite run provision",
    commitments="C04 C13",
    controls="DR-12 DR-15",
    tags="backup secrets",
)
def a_bare_host_could_begin(world: World, facts: Mapping[HostName, Facts]) -> Iterator[Finding]:
    """A bare host could begin from what the vault keeps, with two holders and with nobody less."""
    if world.estate.escrow is None:
        fix = "section `escrow` in estate.yml: two persons or more"
        yield bad("the estate declares nobody who holds a key to escrow: a lost controller loses all", fix=fix)
        return
    for site in sites_that_would_close_escrow(world.estate):
        yield bad(f"if {site} were lost, fewer than two holders of escrow would be left", fix="declare another holder")
    told = world.outside.get(ESCROW)
    if told is None or told.trouble:
        why = told.trouble if told else "nobody looked"
        yield bad(f"escrow is not in order at the controller: {why}", fix=_SEAL)
        return
    here = told.value
    for reason in here["reasons"]:
        yield bad(f"the packages of escrow are not those of today: {reason}", fix=_SEAL)
    for path in here["clear"]:
        yield bad(f"escrow's own identity lies open at the controller, in {path}", fix="remove it: two holders open it")
    for host in facts:
        yield from _at(world, host, facts[host], here)


def _at(world: World, host: HostName, facts: Facts, here: Mapping[str, Any]) -> Iterator[Finding]:
    kept = facts["escrow"].get(here["folder"])
    wrong = ["keeps no packages of escrow: no bare host could begin from it"]
    if kept is not None:
        wrong = [*_packages(kept, here), *_opening(kept, here, world)]
    wrong += list(_copy(facts["standby"].get(here["copy"]), here))
    for what in wrong:
        yield bad(f"{host} {what}", host, fix=_OPEN if "opened" in what else "")
    if not wrong:
        yield good(f"{host}: {len(here['packages'])} packages, opened by {', '.join(kept['opened']['holders'])}", host)


def _packages(kept: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the packages at one host, by the names of those who could not open them there."""
    if kept["trouble"]:
        yield f"keeps packages of escrow that are worth nothing: {kept['trouble']}"
        return
    if kept["private"] is not True:
        yield "lets others than root read the packages of escrow"
    if kept["manifest"] is None:
        yield "keeps packages of escrow and no manifest of them"
    elif kept["files"].get(_MANIFEST) != here["manifest"]:
        yield from _differences(kept["manifest"], here)
    for first, second in itertools.combinations(sorted(here["holders"]), 2):
        one = here["packages"].get(f"{first}+{second}")
        found = kept["files"].get(one["file"]) if one is not None else None
        if found is None:
            yield f"lacks the package of escrow for {first} and {second}"
        elif one is None or found != one["sha256"]:
            yield f"keeps a package of escrow for {first} and {second} that is not what was sealed"


def _differences(manifest: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[str]:
    """Yield in what a manifest differs from the one that was sealed."""
    found = False
    if manifest["escrow"] != here["escrow"]:
        found = True
        yield "keeps packages of another escrow than the one that secrets are sealed for"
    for name in sorted(here["holders"].keys() | manifest["holders"].keys()):
        if manifest["holders"].get(name) != here["holders"].get(name):
            found = True
            yield f"keeps packages for another key of {name} than the one that {name} gave"
    if not found:
        yield "keeps another manifest of escrow than the one that was sealed"


def _opening(kept: Mapping[str, Any], here: Mapping[str, Any], world: World) -> Iterator[str]:
    """Yield why these packages count as never opened, or not lately."""
    opened, longest = kept["opened"], world.estate.escrow.opened_every if world.estate.escrow else dt.timedelta(0)
    if opened is None or not here["openings"]:
        yield "keeps packages of escrow that were never opened"
    elif opened not in here["openings"]:
        yield "keeps packages of escrow of which it tells another opening than the controller noted"
    else:
        age = world.now - dt.datetime.fromisoformat(str(opened["at"]))
        if age > longest:
            yield f"keeps packages of escrow that were opened {age.days} days ago, and {longest.days} are the most"
        elif age < -_AHEAD:
            yield "keeps packages of escrow that were opened in the future"


def _copy(copy: Mapping[str, Any] | None, here: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a bare host would lack of the copy, and what of it opens by itself."""
    if copy is None or copy["trouble"]:
        why = f": {copy['trouble']}" if copy is not None else ""
        yield f"keeps no copy of what is sealed{why}"
        return
    for name in here["sealed"]:
        if name not in copy["sealed"]:
            yield f"keeps a copy of the controller's state that lacks the sealed key {name}"
    for name in copy["clear"]:
        yield f"keeps a copy of the controller's state with a key in the clear: {name}"


CHECKS = (a_bare_host_could_begin,)
