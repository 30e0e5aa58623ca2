"""What sightings mean: pure decisions."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from .model import Answer, Clocks, Hearing, Sighting, SiteLoss, Streak

Streaks = Mapping[tuple[str, str], Streak]


def after(streak: Streak | None, seen: Sighting) -> Streak:
    """Fold one more sighting into what a vantage host knows of an address.

    A try that was begun before the latest answer and stayed silent begins no silence: silence is counted from the first
    try that was begun after it.
    """
    heard_at = streak.heard_at if streak else None
    latest = max(seen.t, streak.latest) if streak else seen.t
    if seen.answer is not Answer.SILENT:
        return Streak(site=seen.site, heard_at=max(seen.t, heard_at or seen.t), silent_since=None, latest=latest)
    silent_since = streak.silent_since if streak else None
    begins = silent_since is None and (heard_at is None or seen.asked > heard_at)
    return Streak(site=seen.site, heard_at=heard_at, silent_since=seen.asked if begins else silent_since, latest=latest)


def site_loss(  # noqa: PLR0913  each is a fact of its own
    streaks: Streaks,
    *,
    site: str,
    addresses: Collection[str],
    vantage: Collection[str],
    silence_s: float,
    now: float,
    fresh_s: float,
) -> SiteLoss:
    """Say whether a site is lost: silent for so long, from every vantage host, at every address.

    A vantage host that has not reported within ``fresh_s``, that has not tried every address, or that hears no other
    site either, knows nothing; then nothing is known, and the site is not lost.
    """
    if not vantage or not addresses:
        return SiteLoss(lost=None, reasons=("nobody watches",))
    alive: list[str] = []
    unknown: list[str] = []
    for host in vantage:
        own = {address: streak for (seer, address), streak in streaks.items() if seer == host}
        ignorance = list(_reasons_to_know_nothing(own, host, site, addresses, now=now, fresh_s=fresh_s))
        unknown += ignorance
        if not ignorance:
            alive += _reasons_to_live(own, host, addresses, silence_s=silence_s)
    if alive:
        return SiteLoss(lost=False, reasons=tuple(alive + unknown))
    return SiteLoss(lost=None, reasons=tuple(unknown)) if unknown else SiteLoss(lost=True, reasons=())


def _reasons_to_know_nothing(
    own: Mapping[str, Streak], host: str, site: str, addresses: Collection[str], *, now: float, fresh_s: float
) -> Iterator[str]:
    untried = [address for address in addresses if address not in own]
    if untried:
        yield f"{host} has not tried {', '.join(untried)}"
        return
    if any(now - own[address].latest > fresh_s for address in addresses):
        yield f"{host} has not reported for more than {fresh_s:g} s"
    others = [streak.heard_at for streak in own.values() if streak.site != site and streak.heard_at is not None]
    if not any(now - heard_at <= fresh_s for heard_at in others):
        yield f"{host} hears no other site either: it may be cut off itself"


def _reasons_to_live(
    own: Mapping[str, Streak], host: str, addresses: Collection[str], *, silence_s: float
) -> Iterator[str]:
    for address in addresses:
        streak = own[address]
        if streak.silent_since is None:
            yield f"{host} hears {address}"
        elif streak.latest - streak.silent_since < silence_s:
            yield f"{host} has heard nothing from {address} for {streak.latest - streak.silent_since:.2f} s only"


def hearings_that_count(heard: Mapping[str, Hearing], *, references: Collection[str]) -> Mapping[str, Hearing]:
    """Return the hearings of the addresses that were in question.

    A place from which no reference address answers may be cut off itself: its silence counts as no flow at all. What it
    did hear always counts.
    """
    trusted = any(heard[address].answers for address in references if address in heard)
    return {
        address: hearing
        if trusted or hearing.answers
        else Hearing(flows=0, answers=0, heard=("no reference answered",))
        for address, hearing in heard.items()
        if address not in references
    }


def reasons_to_doubt_one_clock(clocks: Clocks) -> Iterator[str]:
    """Yield every reason why instants from these hosts can't be compared; none means they can."""
    for host, clock in clocks.hosts.items():
        if clock.boot_id != clocks.controller:
            yield f"{host} runs another kernel ({clock.boot_id}) than the controller ({clocks.controller})"
        if not clock.trips:
            yield f"{host}'s clock was not read"
        yield from (
            f"{host}'s clock read {trip.remote:.6f} between {trip.before:.6f} and {trip.after:.6f} here"
            for trip in clock.trips
            if not trip.fits
        )


def uncertainty_s(clocks: Clocks) -> float | None:
    """Return by how much two of these clocks could differ unseen: the worst host's best reading. None if unread."""
    if not clocks.hosts or not all(clock.trips for clock in clocks.hosts.values()):
        return None
    return max(min(trip.uncertainty_s for trip in clock.trips) for clock in clocks.hosts.values())
