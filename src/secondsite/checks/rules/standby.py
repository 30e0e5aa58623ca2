"""The copy of this controller's state, from which another one goes on when it is lost: there, whole, and not behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...estate.model import HostName
from ..model import Facts, Finding, World
from .frame import bad, estate_check, good, unclear

NEWEST_RUN = "newest-run"


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


CHECKS = (another_controller_could_go_on,)
