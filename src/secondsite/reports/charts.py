"""Service as customers saw it, and writability of every node, over time."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from markupsafe import Markup

from ..measure.facts import Facts
from ..measure.milestones import between
from ..measure.model import Arm, Instant, Kind, Request, WritabilitySample
from ..measure.series import Bucket, bucket_width, over_time, stretches
from .svg import WIDTH, Mark, Picture, Scale, nice_step, stagger, text_width, time_axis

LEFT, RIGHT = 150, 1020
PANEL, GAP = 84, 26
LABEL_ROW = 17
STRIP, STRIP_ROW = 16, 26
MOST_STRIPS = 40
FLOOR = 0.001
ARMS = (
    ("Reads", Arm.MAIN, Kind.READ),
    ("Writes", Arm.MAIN, Kind.WRITE),
    ("Control writes", Arm.CONTROL, Kind.WRITE),
)


def phase_marks(facts: Facts) -> list[Mark]:
    """Return the instants that matter for the whole drill, relative to the fault."""
    m, main = facts.milestones, facts.restorations.get(Arm.MAIN)
    zero = m.fault_begun
    returned = facts.returned.at if facts.returned else None
    found = (
        ("control held back", m.held_back, "mark"),
        ("fault", m.fault_begun, "mark bad"),
        ("customers restored", main.at if main else None, "mark good"),
        ("return begins", m.failback_started, "mark"),
        ("home again", returned, "mark good"),
    )
    return [Mark(at=t - zero, name=name, kind=kind) for name, t, kind in found if t is not None and zero is not None]


def _scale(facts: Facts, requests: Sequence[Request]) -> Scale | None:
    zero = facts.milestones.fault_begun
    if zero is None or not requests:
        return None
    low, high = min(r.t0 for r in requests) - zero, max(r.t1 for r in requests) - zero
    return Scale(low=low, high=max(high, low + 1), left=LEFT, right=RIGHT)


def _draw_marks(picture: Picture, marks: Sequence[Mark], scale: Scale, bottom: float) -> None:
    placed = stagger([(scale(mark.at), mark.name) for mark in marks], right=WIDTH - 4)
    for mark, (left, row) in zip(marks, placed, strict=True):
        x, y = scale(mark.at), LABEL_ROW * (row + 1) - 4
        picture.line((x, y + 4, x, bottom), mark.kind)
        centre = left + text_width(mark.name) / 2
        picture.words(centre, y, mark.name, f"label {mark.kind}", anchor="middle", room=300)


def _rows(marks: Sequence[Mark], scale: Scale) -> int:
    return max((row for _, row in stagger([(scale(m.at), m.name) for m in marks], right=WIDTH - 4)), default=0) + 1


def site_class(site: str, facts: Facts) -> str:
    """Return the colour class of who served."""
    return {facts.promised.origin: "origin", facts.promised.target: "target"}.get(site, "other")


def _column(picture: Picture, bucket: Bucket, facts: Facts, scale: Scale, frame: tuple[float, float]) -> None:
    """Draw one bucket as a stack: who served it from below, what was unknown, what failed on top."""
    bottom, per_request = frame
    left, right = scale(bucket.begin), scale(bucket.begin + bucket.width)
    sites = (facts.promised.origin, facts.promised.target)
    order = sorted(bucket.served, key=lambda site: (site not in sites, site))
    stack = [(site_class(site, facts), bucket.served[site], f"served by {site}") for site in order]
    stack += [("unknown", bucket.unknown, "outcome unknown"), ("failed", bucket.failed, "failed")]
    for kind, count, said in stack:
        if count:
            height = count * per_request
            bottom -= height
            hint = f"{bucket.begin:+g} s: {count} {said}"
            picture.box((left, bottom, max(right - left - 0.6, 0.8), height), kind, hint=hint)


def _panel(picture: Picture, name: str, buckets: Sequence[Bucket], facts: Facts, place: tuple[Scale, float]) -> None:
    scale, top = place
    most = max((bucket.total for bucket in buckets), default=0)
    width = buckets[0].width if buckets else 1.0
    picture.words(LEFT - 14, top + 14, name, "row", anchor="end", room=LEFT)
    total = sum(bucket.total for bucket in buckets)
    picture.words(LEFT - 14, top + 31, f"{total} requests", "took", anchor="end", room=LEFT)
    if width >= 1:
        picture.words(LEFT - 14, top + 47, f"up to {most / width:g} per s", "took", anchor="end", room=LEFT)
    picture.line((LEFT, top + PANEL, RIGHT, top + PANEL), "axis")
    for bucket in buckets:
        _column(picture, bucket, facts, scale, (top + PANEL, PANEL / max(most, 1)))


def _zoom(scale: Scale, facts: Facts) -> tuple[Scale, float]:
    """Return the stretch around the failover, and the width of about eighty columns in it."""
    main, m = facts.restorations.get(Arm.MAIN), facts.milestones
    seen = (main.at if main else None) or m.restored_verified or m.opened
    restored = between(m.fault_begun, seen) or scale.high
    margin = max(restored * 0.35, 0.5)
    near = Scale(low=max(scale.low, -margin), high=min(scale.high, restored + margin), left=LEFT, right=RIGHT)
    return near, nice_step((near.high - near.low) / 80)


def draw_availability(facts: Facts, *, zoomed: bool = False) -> Markup | None:
    """Return requests over time by outcome and by the site that served them; None without records or fault.

    ``zoomed`` shows the failover alone, in narrow columns.
    """
    requests = facts.records.requests or ()
    scale, zero = _scale(facts, requests), facts.milestones.fault_begun
    if scale is None or zero is None:
        return None
    width = bucket_width(scale.low, scale.high)
    if zoomed:
        scale, width = _zoom(scale, facts)
    marks = [mark for mark in phase_marks(facts) if scale.low <= mark.at <= scale.high]
    base = _rows(marks, scale) * LABEL_ROW + 8
    bottom = base + len(ARMS) * (PANEL + GAP) - GAP
    picture = Picture(
        title="Requests over time by outcome and by the site that served them",
        description=f"Three rows: reads, writes and control writes, in columns of {width:g} s since the fault.",
    )
    time_axis(picture, scale, top=base, bottom=bottom)
    for index, (name, arm, kind) in enumerate(ARMS):
        mine = [request for request in requests if request.arm is arm and request.kind is kind]
        buckets = over_time(mine, facts.promised.nodes, zero=zero, width=width)
        buckets = tuple(b for b in buckets if scale.low < b.begin + b.width and b.begin < scale.high)
        _panel(picture, name, buckets, facts, (scale, base + index * (PANEL + GAP)))
    _draw_marks(picture, marks, scale, bottom)
    return picture.done(bottom + 26)


def _latency_line(
    picture: Picture, values: Sequence[tuple[float, float | None]], kind: str, scales: tuple[Scale, Scale]
) -> None:
    """Draw a line that breaks where nothing succeeded."""
    across, up = scales
    part: list[tuple[float, float]] = []
    for at, value in [*values, (0.0, None)]:
        if value is not None:
            part.append((across(at), up(math.log10(max(value, FLOOR)))))
        elif part:
            picture.path(part if len(part) > 1 else [part[0], (part[0][0] + 1, part[0][1])], kind)
            part = []


def _whole(buckets: Sequence[Bucket]) -> list[Bucket | None]:
    """Return the buckets with None between those that do not follow on each other."""
    whole: list[Bucket | None] = []
    for before, bucket in zip([None, *buckets], buckets, strict=False):
        if before is not None and bucket.begin - before.begin > bucket.width * 1.5:
            whole.append(None)
        whole.append(bucket)
    return whole


def draw_latency(facts: Facts) -> Markup | None:
    """Return the latency of what succeeded (median and 99th percentile) and marks where something failed."""
    requests = [request for request in facts.records.requests or () if request.arm is Arm.MAIN]
    scale, zero = _scale(facts, requests), facts.milestones.fault_begun
    if scale is None or zero is None:
        return None
    width, marks = bucket_width(scale.low, scale.high), phase_marks(facts)
    buckets = over_time(requests, facts.promised.nodes, zero=zero, width=width)
    slowest = max((b.p99 for b in buckets if b.p99), default=1.0)
    level = facts.promised.service_level.latency
    base = _rows(marks, scale) * LABEL_ROW + 8
    bottom = base + 170
    up = Scale(low=-3, high=math.log10(max(slowest, level, 0.01) * 1.3), left=bottom, right=base + 14)
    picture = Picture(
        title="Latency of successful requests over time",
        description=f"Median and 99th percentile per {width:g} s; the service level is {level:g} s.",
    )
    time_axis(picture, scale, top=base, bottom=bottom)
    _latency_axis(picture, up, level)
    half = width / 2
    whole = _whole(buckets)
    for kind, pick in (("p99", "p99"), ("median", "median")):
        points = [(b.begin + half, getattr(b, pick)) if b else (0.0, None) for b in whole]
        _latency_line(picture, points, f"series {kind}", (scale, up))
    for bucket in buckets:
        if bucket.failed or bucket.unknown:
            left, right = scale(bucket.begin), scale(bucket.begin + bucket.width)
            hint = f"{bucket.begin:+g} s: {bucket.failed} failed, {bucket.unknown} unknown"
            picture.box((left, base, right - left, 8), "failed", hint=hint)
    picture.words(LEFT - 14, base + 9, "failures", "took", anchor="end", room=LEFT)
    _draw_marks(picture, marks, scale, bottom)
    return picture.done(bottom + 26)


def _latency_axis(picture: Picture, up: Scale, level: float) -> None:
    for value in (0.001, 0.01, 0.1, 1.0, 10.0):
        if math.log10(value) <= up.high:
            y = up(math.log10(value))
            picture.line((LEFT, y, RIGHT, y), "grid")
            label = f"{value * 1000:g} ms" if value < 1 else f"{value:g} s"
            picture.words(LEFT - 14, y + 4, label, "tick", anchor="end", room=LEFT)
    y = up(math.log10(level))
    picture.line((LEFT, y, RIGHT, y), "limit")
    picture.words(RIGHT - 4, y - 5, f"service level {level:g} s", "took", anchor="end", room=200)


def draw_writability(facts: Facts) -> Markup | None:
    """Return one strip per workload and node: writable, read-only, down or unreachable at every instant."""
    zero, samples = facts.milestones.fault_begun, facts.records.writability
    if zero is None or not samples:
        return None
    by_node: dict[tuple[str, str], list[WritabilitySample]] = defaultdict(list)
    for sample in samples:
        by_node[sample.workload, sample.node].append(sample)
    low, high = min(s.t for s in samples) - zero, max(s.t for s in samples) - zero
    scale = Scale(low=low, high=max(high, low + 1), left=LEFT + 70, right=RIGHT)
    marks = [mark for mark in phase_marks(facts) if mark.at >= low and mark.name != "control held back"]
    base = _rows(marks, scale) * LABEL_ROW + 8
    strips = sorted(by_node)[:MOST_STRIPS]
    bottom = base + len(strips) * STRIP_ROW
    picture = Picture(
        title="Which node could write, over time",
        description=f"{len(strips)} strips, one per workload and node, as polled over the management network.",
    )
    time_axis(picture, scale, top=base, bottom=bottom)
    for index, key in enumerate(strips):
        _strip(picture, key, by_node[key], (scale, base + 4 + index * STRIP_ROW, zero))
    _draw_marks(picture, marks, scale, bottom)
    return picture.done(bottom + 26)


def _strip(
    picture: Picture,
    key: tuple[str, str],
    samples: Sequence[WritabilitySample],
    place: tuple[Scale, float, Instant],
) -> None:
    scale, top, zero = place
    workload, node = key
    picture.words(LEFT + 56, top + 12, f"{workload} on {node}", "row", anchor="end", room=LEFT + 50)
    for run in stretches(samples):
        left, right = scale(run.begin - zero), scale(run.end - zero)
        hint = f"{node}, {workload}: {run.state.value} from {run.begin - zero:+.2f} to {run.end - zero:+.2f} s"
        picture.box((left, top, right - left, STRIP), f"state-{run.state.value}", hint=hint)
