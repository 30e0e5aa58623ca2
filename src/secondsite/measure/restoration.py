"""When customers were served again, by which site, and how long nobody was."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from .milestones import Milestones
from .model import Arm, Gaps, Instant, Kind, Outcome, Promised, Request, ServiceLevel

ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """``at``: when service was restored, or None; ``observed_until``: how far the question could be looked at."""

    at: Instant | None
    observed_until: Instant | None


def served_by(request: Request, nodes: Mapping[str, str]) -> str | None:
    """Return the one site all tags of an answer belong to; None when untagged, unknown or mixed."""
    sites = {nodes.get(tag) for tag in (request.web, request.db) if tag is not None}
    return sites.pop() if len(sites) == 1 else None


class _Seconds:
    """How many requests of one kind were due, and how many were good, in any stretch of time."""

    def __init__(self, requests: Sequence[Request], good: frozenset[Request]) -> None:
        ordered = sorted(requests, key=lambda request: request.t0)
        self._due = [request.t0 for request in ordered]
        self._good = [0, *accumulate(int(request in good) for request in ordered)]

    def meets(self, begin: float, end: float, ratio: float) -> bool:
        """Say whether at least one request was due in [begin, end) and enough of them were good."""
        first, last = bisect_left(self._due, begin), bisect_left(self._due, end)
        total = last - first
        return total > 0 and self._good[last] - self._good[first] >= ratio * total - ROUNDING


def good_requests(requests: Iterable[Request], site: str, promised: Promised) -> frozenset[Request]:
    """Return those answered ok, wholly by ``site``, within the latency of the service level."""
    return frozenset(
        request
        for request in requests
        if request.outcome is Outcome.OK
        and request.t1 - request.t0 <= promised.service_level.latency
        and served_by(request, promised.nodes) == site
    )


def find_restoration(
    requests: Sequence[Request], promised: Promised, *, site: str, since: Instant, until: Instant | None, seconds: int
) -> Restoration:
    """Return when ``site`` began to serve customers for good.

    That is the answer (``t1``) of the first good request after ``since`` for which each of the ``seconds`` one-second
    stretches that follow its due instant (``t0``) saw, of *every kind* customers used before, at least one request due
    and at least the service level's ratio of them good. Requests count by when they were *due*, so that what hangs or
    times out counts against the second in which a customer wanted it. The period must lie wholly before ``until`` and
    inside the traffic.
    """
    if not requests:
        return Restoration(at=None, observed_until=None)
    end = Instant(min(max(request.t0 for request in requests), math.inf if until is None else until))
    kinds = {request.kind for request in requests if request.t0 < since} or {request.kind for request in requests}
    good = good_requests(requests, site, promised)
    by_kind = [_Seconds([r for r in requests if r.kind is kind], good) for kind in kinds]
    ratio = promised.service_level.ratio
    for candidate in sorted((request for request in good if request.t1 > since), key=lambda request: request.t1):
        if candidate.t0 + seconds > end:
            continue
        starts = [candidate.t0 + second for second in range(seconds)]
        if all(kind.meets(start, start + 1, ratio) for start in starts for kind in by_kind):
            return Restoration(at=candidate.t1, observed_until=end)
    return Restoration(at=None, observed_until=end)


def time_to_establish_absence(rto: float, level: ServiceLevel) -> float:
    """Return how long after the fault one must have looked to say that service was *not* restored in time."""
    return rto + level.sustained + level.latency


def _longest(successes: Sequence[Instant], begin: Instant, end: Instant, edge: Instant) -> float:
    """Return the longest stretch without a success that reaches beyond ``begin``; ``edge`` stands in for a first."""
    before = [t for t in successes if t <= begin]
    inside = [t for t in successes if begin < t <= end]
    points = [before[-1] if before else edge, *inside, end]
    return max(b - a for a, b in pairwise(points))


def find_gaps(requests: Sequence[Request] | None, *, begin: Instant | None, end: Instant | None) -> Gaps:
    """Return the longest stretches between the ends of consecutive successes of the main arm, whoever served them.

    Looked at from the last success not after ``begin`` until ``end``; a stretch that no success ends, ends at ``end``.
    """
    main = [request for request in requests or () if request.arm is Arm.MAIN]
    if begin is None or not main:
        return Gaps(client=None, read=None, write=None)
    stop = max(request.t1 for request in main) if end is None else end
    if stop <= begin:
        return Gaps(client=None, read=None, write=None)

    def gap(kinds: set[Kind]) -> float | None:
        asked = [request for request in main if request.kind in kinds]
        if not asked:
            return None
        successes = sorted(request.t1 for request in asked if request.outcome is Outcome.OK)
        return _longest(successes, begin, Instant(stop), min(*(r.t0 for r in asked), begin))

    return Gaps(client=gap({Kind.READ, Kind.WRITE}), read=gap({Kind.READ}), write=gap({Kind.WRITE}))


def served_ratio(requests: Sequence[Request], promised: Promised, *, begin: Instant, end: Instant) -> float | None:
    """Return the ratio of the main arm's requests due in [begin, end) that the target served well; None if none was."""
    due = [request for request in requests if request.arm is Arm.MAIN and begin <= request.t0 < end]
    return len(good_requests(due, promised.serves_at, promised)) / len(due) if due else None


def answers_of(
    requests: Sequence[Request], nodes: frozenset[str], *, after: Instant, milestones: Milestones
) -> list[Request]:
    """Return the successes due after an instant and before the return began that carry the tag of one of ``nodes``."""
    until = milestones.failback_started
    return [
        request
        for request in requests
        if request.outcome is Outcome.OK
        and request.t0 > after
        and (until is None or request.t0 < until)
        and (request.web in nodes or request.db in nodes)
    ]
