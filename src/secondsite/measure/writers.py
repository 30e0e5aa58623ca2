"""How many nodes could write the same workload at once, and whether anybody looked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from .milestones import Milestones
from .model import (
    Arm,
    Instant,
    Kind,
    Outcome,
    Promised,
    Records,
    Request,
    Silence,
    Writability,
    WritabilitySample,
)

LONGEST_UNWATCHED = 1.0
LONGEST_UNTRIED = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """A node that could write, surely, from the end of the first to the begin of the last poll that found it so.

    When ``begin`` is the later one, nobody knows for how long: it could write at some instant between ``end`` and then.
    """

    workload: str
    node: str
    begin: Instant
    end: Instant


def _continues(last: WritabilitySample, sample: WritabilitySample, *, missed: bool) -> bool:
    """Say whether a writable sample goes on a run; a missed poll in between breaks it only when it took too long."""
    return not missed or sample.t - last.t <= LONGEST_UNWATCHED


def _runs(samples: Sequence[WritabilitySample]) -> Iterator[list[WritabilitySample]]:
    run: list[WritabilitySample] = []
    missed = False
    for sample in samples:
        if sample.state is Writability.UNREACHABLE:
            missed = True
            continue
        writable = sample.state is Writability.WRITABLE
        if run and not (writable and _continues(run[-1], sample, missed=missed)):
            yield run
            run = []
        if writable:
            run.append(sample)
        missed = False
    if run:
        yield run


def writing_intervals(samples: Iterable[WritabilitySample]) -> tuple[Writing, ...]:
    """Return when each node could write each workload: one interval for every unbroken run of ``writable`` samples.

    A poll that got no answer says nothing: it breaks a run only when the answers around it are over a second apart.
    """
    by_node: dict[tuple[str, str], list[WritabilitySample]] = defaultdict(list)
    for sample in samples:
        by_node[sample.workload, sample.node].append(sample)
    return tuple(
        Writing(workload=workload, node=node, begin=run[0].t, end=run[-1].began)
        for (workload, node), mine in by_node.items()
        for run in _runs(sorted(mine, key=lambda item: item.t))
    )


def most_at_once(intervals: Sequence[Writing]) -> int:
    """Return the largest number of different nodes whose intervals for one workload surely share an instant."""
    workloads = {interval.workload for interval in intervals}
    return max((_most_at_once([i for i in intervals if i.workload == one]) for one in workloads), default=0)


def _most_at_once(intervals: Sequence[Writing]) -> int:
    lasting = [i for i in intervals if i.begin <= i.end]
    edges = sorted([(i.begin, 0, i.node) for i in lasting] + [(i.end, 1, i.node) for i in lasting])
    writing: Counter[str] = Counter()
    most = 0
    for _, ends, node in edges:
        writing[node] += -1 if ends else 1
        most = max(most, sum(count > 0 for count in writing.values()))
    for moment in intervals:
        if moment.begin > moment.end:
            around = {i.node for i in lasting if i.begin <= moment.end and moment.begin <= i.end}
            most = max(most, len(around | {moment.node}))
    return most


def acknowledgements_interleave(requests: Iterable[Request], back: Instant | None) -> bool:
    """Say whether a database acknowledged a write surely before, and another surely after, one of another database.

    Looked at for each arm, apart for the failover and the return (a return hands the writing back once, rightly).
    """
    acks: dict[tuple[Arm, bool], list[Request]] = defaultdict(list)
    for request in requests:
        if request.kind is Kind.WRITE and request.outcome is Outcome.OK and request.db is not None:
            acks[request.arm, back is not None and request.t0 >= back].append(request)
    return any(_interleave(phase) for phase in acks.values())


def _interleave(acks: Sequence[Request]) -> bool:
    for node in {ack.db for ack in acks}:
        mine = [ack for ack in acks if ack.db == node]
        first, last = min(ack.t1 for ack in mine), max(ack.t0 for ack in mine)
        if any(ack.db != node and first <= ack.t0 and ack.t1 <= last for ack in acks):
            return True
    return False


def _unwatched(
    samples: Sequence[WritabilitySample], *, begin: Instant, end: Instant, longest: float
) -> list[tuple[Instant, Instant]]:
    """Return the stretches of which no sample tells anything: neither at that instant nor, of a standby, before it."""
    told = [(s.t if s.standby_since is None else min(s.t, s.standby_since), s.t) for s in samples]
    until, found = begin, []
    for since, t in sorted((max(since, begin), min(t, end)) for since, t in told if t > begin and since < end):
        if since - until > longest:
            found.append((until, since))
        until = max(until, t)
    return [*found, (until, end)] if end - until > longest else found


def _cut_until(
    samples: Sequence[WritabilitySample], *, silence: Silence, milestones: Milestones, end: Instant
) -> Instant:
    """Return until when a node that was proven cut surely stayed so.

    Until its power is restored, or the return begins, nobody gives it power. From then on it counts as cut only while
    polls keep being tried and go unanswered, until its first answer.
    """
    answered = [s.t for s in samples if s.t > silence.watched_until and s.state is not Writability.UNREACHABLE]
    back = min(answered, default=end)
    begun = milestones.power_restored or milestones.failback_started
    if begun is None or back <= begun:
        return back
    untried = _unwatched(samples, begin=begun, end=back, longest=LONGEST_UNTRIED)
    return Instant(untried[0][0]) if untried else back


def unwatched_stretches(
    records: Records, promised: Promised, milestones: Milestones, *, proven: bool
) -> tuple[Writing, ...] | None:
    """Return when, between the fault and the end of traffic, a node was neither polled nor proven cut for over 1 s.

    A poll that got no answer says nothing, unless the node was proven cut; nor does one that took over 1 s itself. A
    standby's answer tells of the time before it too: PostgreSQL never goes back to being a standby without a restart
    (its manual, chapter High Availability), and a storekeeper says since when it has had no lease to write by.
    None if nobody watched at all, or not between known instants.
    """
    begin, end = milestones.fault_begun, milestones.traffic_stopped
    if begin is None or end is None or records.writability is None:
        return None
    found = []
    for workload in promised.workloads:
        for node in workload.writers:
            mine = [s for s in records.writability if s.workload == workload.name and s.node == node]
            known = [s for s in mine if s.state is not Writability.UNREACHABLE and s.t - s.began <= LONGEST_UNWATCHED]
            gaps = _unwatched(known, begin=begin, end=end, longest=LONGEST_UNWATCHED)
            if gaps and proven and records.silence and node in records.silence.hosts:
                back = _cut_until(mine, silence=records.silence, milestones=milestones, end=end)
                gaps = [(max(a, back), b) for a, b in gaps if b - max(a, back) > LONGEST_UNWATCHED]
            found += [Writing(workload=workload.name, node=node, begin=a, end=b) for a, b in gaps]
    return tuple(found)


def name_unwatched(unwatched: Sequence[Writing] | None, fault: Instant | None) -> tuple[str, ...]:
    """Say of each node that went unwatched when it first did."""
    if unwatched is None or fault is None:
        return ("every node",)
    first: dict[tuple[str, str], Writing] = {}
    for one in unwatched:
        first.setdefault((one.node, one.workload), one)
    return tuple(
        f"{one.node} for {one.workload} from {one.begin - fault:+.1f} to {one.end - fault:+.1f} s after the fault"
        for one in first.values()
    )


def count_writers(records: Records, milestones: Milestones, unwatched: Sequence[Writing] | None) -> int | None:
    """Return the most nodes that could write one workload at once; None if nobody can say that there were not two.

    A node that went unwatched counts as a writer meanwhile: if there is at most one even so, there was never another.
    Two writers seen are two writers, however patchy the watch was.
    """
    intervals = writing_intervals(records.writability or ())
    seen = most_at_once(intervals)
    if acknowledgements_interleave(records.requests or (), milestones.failback_started):
        seen = max(seen, 2)
    if seen > 1 or unwatched is None:
        return seen if seen > 1 else None
    possible = most_at_once((*intervals, *unwatched))
    return possible if possible <= 1 else None


def read_on_the_single_writer(records: Records, promised: Promised, arm: Arm) -> str:
    """Return why the arm's final read does not count as read on the single writer; empty if it does."""
    read = next((read for read in records.final or () if read.arm is arm), None)
    if read is None:
        return "there is no final read"
    for workload in promised.arm_writers(arm):
        last: dict[str, WritabilitySample] = {}
        for sample in records.writability or ():
            if sample.workload == workload.name and sample.t <= read.read_at:
                last[sample.node] = sample
        writable = sorted(node for node, sample in last.items() if sample.state is Writability.WRITABLE)
        if writable != [read.node]:
            return f"it was read on {read.node}; writable at the last poll: {', '.join(writable) or 'no node'}"
    return ""
