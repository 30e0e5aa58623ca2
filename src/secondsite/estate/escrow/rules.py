"""What a declaration of escrow may not say: holders who are nobody, or whom one lost site would take away together."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from ..model import Estate, SiteName

SHORTEST_BETWEEN_OPENINGS = dt.timedelta(days=1)
FEWEST_HOLDERS = 2

Wrong = tuple[str, str, str]
"""A pointer, what is wrong there, and a hint."""


def wrong_escrow(estate: Estate) -> Iterator[Wrong]:
    """Yield everything that can't be meant, with its pointer."""
    if estate.escrow is None:
        return
    known = {person.name: person for person in estate.persons}
    holders = estate.escrow.holders
    for index, name in enumerate(holders):
        pointer = f"/escrow/holders/{index}"
        if name not in known:
            yield pointer, f"names the person {name!r}, which is not declared", f"persons: {', '.join(sorted(known))}"
        elif name in holders[:index]:
            yield pointer, f"names {name} again", "two persons open escrow, not one twice"
    sites = {known[name].site for name in holders if name in known}
    if len(sites) == 1 and None not in sites:
        where = ", ".join(str(site) for site in sites)
        yield "/escrow/holders", f"all sit at {where}", "what takes that site would take escrow along"
    if estate.escrow.opened_every < SHORTEST_BETWEEN_OPENINGS:
        yield "/escrow/opened_every", "is shorter than a day", "1d or more"


def sites_that_would_close_escrow(estate: Estate) -> tuple[SiteName, ...]:
    """Return the sites whose loss would leave fewer than two holders."""
    if estate.escrow is None:
        return ()
    seats = {person.name: person.site for person in estate.persons}
    at = [seats.get(name) for name in estate.escrow.holders]
    return tuple(site for site in estate.sites if sum(seat != site for seat in at) < FEWEST_HOLDERS)
