"""What a declaration of paging may not say: a page that could reach nobody, or that one dead site would silence."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from ..model import Estate, Paging

WATCHER = "watcher"
SHORTEST_LOOK, LONGEST_LOOK = dt.timedelta(seconds=5), dt.timedelta(minutes=1)
SHORTEST_REPEAT = dt.timedelta(minutes=1)
FEWEST_SITES = 2

Wrong = tuple[str, str, str]
"""A pointer, what is wrong there, and a hint."""


def wrong_paging(estate: Estate) -> Iterator[Wrong]:
    """Yield everything that can't be meant, with its pointer; names that nothing declares are not looked at further."""
    watchers = [host for host in estate.hosts.values() if WATCHER in host.groups]
    if estate.paging is None:
        if watchers:
            yield "", f"has hosts of the group {WATCHER!r}, and no section paging", "who is told of trouble?"
        return
    if not watchers:
        yield "/paging", f"is declared, and no host is of the group {WATCHER!r}", "name those that look for trouble"
    yield from _persons(estate, estate.paging)
    yield from _hosts(estate, estate.paging)
    yield from _times(estate.paging)


def _persons(estate: Estate, paging: Paging) -> Iterator[Wrong]:
    known = {person.name: person for person in estate.persons}
    for index, name in enumerate(paging.on_call):
        pointer = f"/paging/on_call/{index}"
        if name not in known:
            yield pointer, f"names the person {name!r}, which is not declared", f"persons: {', '.join(sorted(known))}"
        elif not known[name].mail:
            yield pointer, f"names {name}, who has no mail", "add it under persons"


def _hosts(estate: Estate, paging: Paging) -> Iterator[Wrong]:
    relays = [(f"relays/{index}", name, WATCHER) for index, name in enumerate(paging.relays)]
    ways = [("mail", paging.mail, "mailbox"), ("webhook", paging.webhook, "receiver")]
    for place, name, group in (*ways, ("webhook", paging.webhook, WATCHER), *relays):
        if name in estate.hosts and group not in estate.hosts[name].groups:
            yield f"/paging/{place}", f"names {name}, which is not of the group {group!r}", "see hosts.yml"
    if paging.mail == paging.webhook:
        yield "/paging/webhook", "is where the mail goes, too", "one lost host would silence both ways"
    sites = {estate.hosts[name].site for name in paging.relays if name in estate.hosts}
    if sites and len(sites) < FEWEST_SITES:
        yield "/paging/relays", f"all stand at {', '.join(sites)}", "a dead site would silence them all"


def _times(paging: Paging) -> Iterator[Wrong]:
    if not SHORTEST_LOOK <= paging.look <= LONGEST_LOOK:
        yield "/paging/look", f"is {paging.look.total_seconds():g} s", "5s to 1m"
    if paging.silence < 2 * paging.look:
        yield "/paging/silence", "is shorter than two looks", "a heartbeat comes with each look"
    if paging.repeat < SHORTEST_REPEAT:
        yield "/paging/repeat", f"is {paging.repeat.total_seconds():g} s", "1m or more"
