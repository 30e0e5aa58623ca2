"""What another controller begins with when this one is lost: a copy of its state, and the kit it is rebuilt from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...estate.model import HostName, SiteKind
from ..model import Facts, Finding, World
from .frame import bad, estate_check, good, unclear

NEWEST_RUN = "newest-run"
KIT = "kit"


@estate_check(
    "RDY-STANDBY",
    reads="standby",
    outside=NEWEST_RUN,
    groups="standby",
    expected="every standby host keeps a copy of this controller's state that is whole, that root alone can read, and"
    " that holds the newest run",
    fix="secondsite run provision",
    commitments="C08 C19",
    controls="DR-21 DR-24",
    tags="controller",
)
def another_controller_could_go_on(world: World, facts: Mapping[HostName, Facts]) -> Iterator[Finding]:
    """Who takes over finds everything that this controller did."""
    told = world.outside.get(NEWEST_RUN)
    if told is None or told.trouble:
        yield unclear(f"the newest run of this controller can't be told: {told.trouble if told else 'nobody looked'}")
        return
    newest, name = str(told.value["newest"]), str(told.value["copy"])
    for host in facts:
        kept = facts[host]["standby"]
        if not newest:
            yield good(f"{host}: nothing was run from here yet", host)
        elif name not in kept:
            yield bad(f"{host} keeps no copy of this controller's state", host)
        elif why := _reason(kept[name], newest=newest):
            yield bad(f"the copy at {host} {why}", host)
        else:
            yield good(f"{host} keeps {newest}", host)


def _reason(copy: Facts, *, newest: str) -> str:
    """Say what is wrong with one copy, or nothing."""
    if copy["trouble"]:
        return f"is worth nothing: {copy['trouble']}"
    if copy["journal"] is not True:
        return "holds no journal"
    if copy["private"] is not True:
        return "can be read by others than root, and it holds sealed keys"
    return "" if copy["newest"] == newest else f"holds {copy['newest'] or 'no run'}, and the newest is {newest}"


@estate_check(
    "RDY-KIT",
    reads="kit",
    outside=KIT,
    groups="standby",
    expected="the vault keeps the kit that a controller is rebuilt from: whole, the one that was sent there, and of the"
    " version that runs here",
    fix="secondsite run provision",
    commitments="C08 C12",
    controls="DR-21 DR-24",
    tags="controller",
)
def another_controller_could_be_rebuilt(world: World, facts: Mapping[HostName, Facts]) -> Iterator[Finding]:
    """Whoever has lost every machine rebuilds the controller from what the vault has."""
    told = world.outside.get(KIT)
    if told is None or told.trouble:
        yield unclear(f"which kit was sent can't be told: {told.trouble if told else 'nobody looked'}")
        return
    sites = world.estate.sites
    for host in (one for one in facts if sites[world.estate.hosts[one].site].kind is SiteKind.VAULT):
        kept = facts[host]["kit"]
        if why := _kit_trouble(kept, sent=told.value["sent"], version=told.value["version"]):
            yield bad(f"{host} {why}", host)
        else:
            yield good(f"{host} keeps {kept['sha256'][:12]} of version {told.value['version'][:12]}", host)


def _kit_trouble(kept: Facts, *, sent: Facts, version: str) -> str:
    """Say what is wrong with a kit, or nothing."""
    if not kept:
        return "keeps no kit"
    digest, noted = kept["sha256"], kept["noted"]
    troubles = {
        "keeps a kit that is not what was noted beside it: it was changed there": digest != noted.get("sha256"),
        f"keeps another kit ({digest[:12]}) than it was given": bool(sent) and digest != sent["sha256"],
        "has a kit that others than root can read": kept["private"] is not True,
        f"keeps a kit of version {str(noted.get('version'))[:12]}, and {version[:12]} runs here": (
            noted.get("version") != version
        ),
    }
    return next((why for why, holds in troubles.items() if holds), "")


CHECKS = (another_controller_could_go_on, another_controller_could_be_rebuilt)
