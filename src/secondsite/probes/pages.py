"""Have every host that looks for trouble send a test page, and see where it arrives: by each way, for each person."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ..checks.model import Section
from ..errors import SecondsiteError
from ..estate.model import Estate, HostName, Paging
from ..run.ports import Hands
from .ship import ship

WITHIN_S = 15.0
_TIMEOUT = dt.timedelta(seconds=WITHIN_S + 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """When each test page came to one place, by its name; ``trouble`` says why that can't be told."""

    at: Mapping[str, float]
    trouble: str = ""


class TestPages:
    """Test pages of one round. They go to the mailboxes of those on call, marked as tests, and are taken away there."""

    __test__ = False  # pytest takes classes of that name for its own

    def __init__(self, hands: Hands, estate: Estate) -> None:
        """Send nothing yet."""
        self._hands, self._estate = hands, estate

    def try_all(self, *, at: dt.datetime) -> Section:
        """Return for each host that looks for trouble whether it was asked, and when its page came to each place.

        A place that can't be looked at makes that unknown; a host that can't be reached was asked for nothing.
        """
        paging = self._estate.paging
        if paging is None:
            return Section(trouble="the estate does not say who is told of trouble")
        watchers = [host.name for host in self._estate.hosts.values() if "watcher" in host.groups]
        pages = {name: f"test-{int(at.timestamp() * 1000)}-{name}" for name in watchers}
        with ThreadPoolExecutor(max_workers=max(2, len(watchers))) as pool:
            asked = dict(zip(watchers, pool.map(lambda name: self._ask(name, pages[name]), watchers), strict=True))
            sent = [page for name, page in pages.items() if asked[name].value]
            places = list(pool.map(lambda one: self._await(one[0], one[1], sent), _places(self._estate, paging)))
        arrived = {place: came for found in places for place, came in found.items()}
        return Section(value={name: _told(asked[name], pages[name], arrived) for name in watchers})

    def _ask(self, host: HostName, page: str) -> Section:
        try:
            return Section(value=self._run(host, {"ask": page})["asked"])
        except (SecondsiteError, ValueError, KeyError, TypeError) as error:
            return Section(trouble=f"it could not be asked: {error}"[:200])

    def _await(self, host: HostName, places: list[str], pages: list[str]) -> dict[str, Arrivals]:
        persons = [place for place in places if place != "webhook"]
        order = {"await": pages, "persons": persons, "webhook": "webhook" in places, "within_s": WITHIN_S}
        try:
            told = self._run(host, order)
            return {place: Arrivals(at={page: float(at) for page, at in told[place].items()}) for place in places}
        except (SecondsiteError, ValueError, KeyError, TypeError, AttributeError) as error:
            return {place: Arrivals(at={}, trouble=f"{host} can't be looked at: {error}"[:200]) for place in places}

    def _run(self, host: HostName, order: Mapping[str, object]) -> Any:
        argv = ship(self._hands, host, "pages")
        return json.loads(self._hands.run(host, argv, stdin=json.dumps(order), timeout=_TIMEOUT).stdout)


def _places(estate: Estate, paging: Paging) -> list[tuple[HostName, list[str]]]:
    """Return each host where pages arrive with its places there."""
    mailboxes = {person.name: person.mail for person in estate.persons}
    return [(paging.webhook, ["webhook"]), (paging.mail, [mailboxes[name] for name in paging.on_call])]


def _told(asked: Section, page: str, arrived: Mapping[str, Arrivals]) -> Section:
    if asked.trouble:
        return asked
    unseen = sorted({one.trouble for one in arrived.values() if one.trouble})
    return Section(
        value={"asked": asked.value, "arrived": {place: one.at.get(page) for place, one in arrived.items()}},
        trouble="; ".join(unseen),
    )
