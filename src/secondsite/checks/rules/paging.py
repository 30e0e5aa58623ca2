"""A person is told of trouble: somebody looks, everybody is heard, and a page really arrives by each way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...estate.model import Host, HostName
from ..model import Facts, Finding, World
from .frame import bad, estate_check, good, host_check

TEST_PAGES = "test-pages"
LONGEST_S = 60.0


@host_check(
    "PG-WATCH",
    reads="pager",
    groups="watcher",
    expected="every host that looks for trouble did so within the last minute, and no page waits there for longer",
    fix="secondsite run provision",
    commitments="C03 C06",
    controls="DR-10 DR-23",
    tags="paging backup",
)
def somebody_looks(host: Host, facts: Facts, _: World) -> Iterator[Finding]:
    """Somebody looks for trouble, and tells of it at once."""
    told = facts["pager"]
    troubles = []
    for what, unit in (("looked", "secondsite-watcher"), ("told", "secondsite-pager")):
        ago = told[f"{what}_ago"]
        if ago is None:
            troubles.append((f"nobody ever {what}", unit))
        elif not -LONGEST_S <= ago <= LONGEST_S:
            troubles.append((f"nobody has {what} for {ago:.0f} s", unit))
    if (told["waiting_for"] or 0.0) > LONGEST_S:
        why = "; ".join(f"{way}: {said}" for way, said in sorted(told["failing"].items()))
        troubles.append(
            (f"{told['waiting']} pages wait, for up to {told['waiting_for']:.0f} s ({why})", "secondsite-pager")
        )
    for trouble, unit in troubles:
        yield bad(f"{host.name}: {trouble}", host.name, fix=f"on {host.name}: systemctl restart {unit}")
    if not troubles:
        yield good(f"{host.name}: {told['looked_ago']:.0f} s ago", host.name)


@estate_check(
    "PG-HEARD",
    reads="pager",
    groups="watcher",
    expected="every relay has heard every other host that looks for trouble within the last minute",
    fix="secondsite run provision",
    commitments="C03 C06",
    controls="DR-10 DR-23",
    tags="paging",
)
def everybody_is_heard(world: World, facts: Mapping[HostName, Facts]) -> Iterator[Finding]:
    """Whoever falls silent is noticed at both sites, and outside them."""
    paging = world.estate.paging
    if paging is None:
        yield bad("the estate does not say who is told of trouble")
        return
    watchers = [host.name for host in world.estate.hosts.values() if "watcher" in host.groups]
    for relay in (name for name in paging.relays if name in facts):
        ages = facts[relay]["pager"]["ages"]
        unheard = [name for name in watchers if name != relay and not ages.get(name, LONGEST_S + 1) <= LONGEST_S]
        for name in unheard:
            yield bad(f"{relay} does not hear {name}", relay, name)
        if not unheard:
            yield good(f"{relay}: {len(watchers) - 1} hosts", relay)


@host_check(
    "PG-WAYS",
    reads=f"@{TEST_PAGES}",
    groups="watcher",
    expected="a test page of every host that looks for trouble arrives within 15 s by mail, in the mailbox of everybody"
    " who is on call, and by the webhook",
    fix="secondsite run provision",
    commitments="C03 C06",
    controls="DR-10 DR-23",
    tags="paging",
)
def pages_arrive(host: Host, facts: Facts, _: World) -> Iterator[Finding]:
    """A page arrives by each way."""
    told = facts[f"@{TEST_PAGES}"]
    if told["asked"] is not True:
        yield bad(f"{host.name}: nobody there takes a page", host.name)
        return
    missing = [place for place, at in told["arrived"].items() if at is None]
    for place in missing:
        yield bad(f"{host.name}: its test page did not arrive by {_way(place)}", host.name)
    if not missing and told["arrived"]:
        yield good(
            f"{host.name}: by {', '.join(sorted({_way(place).split(' ')[0] for place in told['arrived']}))}", host.name
        )


def _way(place: str) -> str:
    return "webhook" if place == "webhook" else f"mail at {place}"


CHECKS = (somebody_looks, everybody_is_heard, pages_arrive)
