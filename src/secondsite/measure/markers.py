"""Planted markers: what stands for writes in workloads that customers do not write to themselves."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from ..errors import Problem
from .model import (
    Arm,
    FinalRead,
    Instant,
    Kind,
    MarkerCounts,
    Outcome,
    Promised,
    PromisedWorkload,
    Records,
    Request,
    Writability,
    WritabilitySample,
)
from .restoration import Restoration
from .writes import ArmWrites

LONGEST_ANSWER = 10.0
"""Seconds in which a marker counts as answered: what is planted is whole files, pushes and messages."""


def requests_of(records: Records, workload: str) -> list[Request]:
    """Return a workload's markers as writes."""
    return [
        Request(
            t0=marker.t0,
            t1=marker.t1,
            kind=Kind.WRITE,
            arm=Arm.MARKER,
            id=marker.id,
            outcome=marker.outcome,
            web=None,
            db=marker.node,
        )
        for marker in records.markers or ()
        if marker.workload == workload
    ]


def marker_writes(records: Records, workload: str) -> ArmWrites | None:
    """Return a workload's markers against its final read; None without marker records."""
    if records.markers is None:
        return None
    kept = next((read for read in records.kept or () if read.workload == workload), None)
    requests = requests_of(records, workload)
    if kept is None:
        return ArmWrites(requests, None)
    return ArmWrites(requests, FinalRead(arm=Arm.MARKER, node=kept.node, read_at=kept.read_at, ids=kept.ids))


def marker_restoration(
    records: Records, promised: Promised, workload: str, *, since: Instant | None, until: Instant | None
) -> Restoration | None:
    """Return when the target kept the workload's markers again for good.

    That is the answer to the first marker kept there after the fault, if of all that were due in the service level's
    sustained period from it enough were kept there too. The period must lie wholly before ``until``.
    """
    if since is None or records.markers is None:
        return None
    asked = requests_of(records, workload)
    if not asked:
        return Restoration(at=None, observed_until=None)
    level = promised.service_level
    end = Instant(min(max(request.t0 for request in asked), math.inf if until is None else until))
    good = [request for request in asked if _kept_by(request, promised)]
    for candidate in sorted((request for request in good if request.t1 > since), key=lambda request: request.t1):
        over = candidate.t0 + level.sustained
        due = [request for request in asked if candidate.t0 <= request.t0 < over]
        if over <= end and sum(request in good for request in due) >= level.ratio * len(due):
            return Restoration(at=candidate.t1, observed_until=end)
    return Restoration(at=None, observed_until=end)


def _kept_by(request: Request, promised: Promised) -> bool:
    in_time = request.t1 - request.t0 <= LONGEST_ANSWER
    return in_time and request.outcome is Outcome.OK and promised.nodes.get(request.db or "") == promised.serves_at


def reason_to_doubt(records: Records, workload: PromisedWorkload) -> str:
    """Return why the final read does not count as read on the single writer; empty if it does."""
    read = next((read for read in records.kept or () if read.workload == workload.name), None)
    if read is None:
        return "there is no final read"
    last: dict[str, WritabilitySample] = {}
    for sample in records.writability or ():
        if sample.workload == workload.name and sample.t <= read.read_at:
            last[sample.node] = sample
    writable = sorted(node for node, sample in last.items() if sample.state is Writability.WRITABLE)
    if writable != [read.node]:
        return f"it was read on {read.node}; writable at the last poll: {', '.join(writable) or 'no node'}"
    return ""


def count_markers(records: Records, workload: PromisedWorkload) -> MarkerCounts:
    """Return the counts; what needs a final read that is missing is None."""
    writes = marker_writes(records, workload.name)
    return MarkerCounts(
        workload=workload.name,
        acknowledged=None if writes is None else len(writes.acknowledged),
        lost=None if writes is None or writes.lost is None else len(writes.lost),
        unknown=None if writes is None else len(writes.unknown),
        unexplained=None if writes is None or writes.final is None else len(writes.present - writes.asked),
    )


def problems_with_markers(records: Records, stated: object) -> tuple[Problem, ...]:
    """Compare how many markers were planted with how many are recorded, and look for answers after the final read.

    Without that number a line that was left out, such as that of a lost marker, could not be missed.
    """
    recorded: Mapping[str, int] = Counter(marker.workload for marker in records.markers or ())
    problems = []
    if recorded != (stated if stated is not None else {}):
        what = f"{dict(recorded)} markers are recorded, {stated!r:.120} were planted"
        problems.append(Problem(file="markers.jsonl", line=None, pointer="", what=what))
    for read in records.kept or ():
        writes = marker_writes(records, read.workload)
        late = sum(t1 > read.read_at for t1 in writes.first_acknowledged.values()) if writes else 0
        if late:
            what = f"{late} markers of {read.workload} were acknowledged after its final read at {read.read_at:.6f}"
            problems.append(Problem(file="kept.jsonl", line=None, pointer="", what=what))
    return tuple(problems)
