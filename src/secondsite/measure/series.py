"""The records over time, for pictures: counts and latencies per bucket, and unbroken runs of one state."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from .model import Instant, Outcome, Request, Writability, WritabilitySample
from .restoration import served_by

MOST_BUCKETS = 240
CLOSELY = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """What became of the requests due in [begin, begin + width); latencies are of successes, in seconds."""

    begin: float
    width: float
    served: Mapping[str, int]
    failed: int
    unknown: int
    median: float | None
    p99: float | None

    @property
    def total(self) -> int:
        """All requests due in this bucket."""
        return sum(self.served.values()) + self.failed + self.unknown


def percentile(ordered: Sequence[float], ratio: float) -> float | None:
    """Return the nearest-rank percentile of ascending values; None of none."""
    return ordered[max(math.ceil(ratio * len(ordered)), 1) - 1] if ordered else None


def bucket_width(begin: float, end: float) -> float:
    """Return one second, or the whole seconds that keep the picture under 240 buckets."""
    return float(max(1, math.ceil((end - begin) / MOST_BUCKETS)))


def _bucket(requests: Sequence[Request], nodes: Mapping[str, str], begin: float, width: float) -> Bucket:
    served: dict[str, int] = defaultdict(int)
    succeeded = [request for request in requests if request.outcome is Outcome.OK]
    for request in succeeded:
        served[served_by(request, nodes) or "unnamed"] += 1
    latencies = sorted(request.t1 - request.t0 for request in succeeded)
    return Bucket(
        begin=begin,
        width=width,
        served=dict(served),
        failed=sum(request.outcome is Outcome.FAILED for request in requests),
        unknown=sum(request.outcome is Outcome.UNKNOWN for request in requests),
        median=percentile(latencies, 0.5),
        p99=percentile(latencies, 0.99),
    )


def over_time(
    requests: Iterable[Request], nodes: Mapping[str, str], *, zero: Instant, width: float
) -> tuple[Bucket, ...]:
    """Return the buckets in which a request was due, in order; ``zero`` is where one bucket begins."""
    by_bucket: dict[int, list[Request]] = defaultdict(list)
    for request in requests:
        by_bucket[math.floor((request.t0 - zero) / width)].append(request)
    return tuple(_bucket(by_bucket[index], nodes, index * width, width) for index in sorted(by_bucket))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """One node in one state, from its first sample in it to the last, as far as polls followed on each other."""

    state: Writability
    begin: Instant
    end: Instant


def stretches(samples: Sequence[WritabilitySample]) -> tuple[Stretch, ...]:
    """Return one node's states over time; ``samples`` are of one node and workload, in order of time.

    A state is drawn on to the next sample only while polls follow closely, so that nobody is shown writing unpolled.
    """
    runs = [(state, list(run)) for state, run in groupby(samples, key=lambda sample: sample.state)]
    found = []
    for index, (state, run) in enumerate(runs):
        following = runs[index + 1][1][0].t if index + 1 < len(runs) else run[-1].t
        end = following if following - run[-1].t <= CLOSELY else run[-1].t
        found.append(Stretch(state=state, begin=run[0].t, end=end))
    return tuple(found)
