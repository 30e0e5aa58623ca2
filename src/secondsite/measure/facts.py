"""Everything the rules of the verdict look at, worked out once from the records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import Problem
from .markers import marker_restoration, marker_writes, problems_with_markers, reason_to_doubt
from .milestones import Milestones, between, failover_events, find_milestones, impossible_orders
from .model import (
    Arm,
    Event,
    Gaps,
    Instant,
    ObjectiveResult,
    Promised,
    PromisedWorkload,
    Records,
    Status,
    Times,
    Writes,
)
from .restoration import Restoration, answers_of, find_gaps, find_restoration, time_to_establish_absence
from .writers import count_writers, name_unwatched, read_on_the_single_writer, unwatched_stretches
from .writes import ArmWrites, arm_writes, count_writes, too_late_to_judge

SHORTEST_SILENCE = 0.5
FENCING_WORDS = ("confirmed", "failed", "unknown")
NOT_NEEDED = "not-needed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the records say, before any judgement of the whole."""

    records: Records
    promised: Promised
    milestones: Milestones
    restorations: Mapping[Arm, Restoration]
    returned: Restoration | None
    objectives: tuple[ObjectiveResult, ...]
    writes: Writes
    times: Times
    gaps: Gaps
    return_gaps: Gaps
    fault_proven: bool | None
    fencing: str
    max_writers: int | None
    unwatched: tuple[str, ...]
    cleanup: str | None
    problems: tuple[Problem, ...]


def worst(statuses: Sequence[Status]) -> Status:
    """Return not-satisfied if any is, else not-measured if any is, or if there is none at all."""
    if Status.NOT_SATISFIED in statuses:
        return Status.NOT_SATISFIED
    return Status.NOT_MEASURED if Status.NOT_MEASURED in statuses or not statuses else Status.SATISFIED


def resumption_counts_from(promised: Promised, milestones: Milestones) -> Instant | None:
    """Return since when customers must be served again: the fault, or its end where nobody can serve before."""
    if promised.refused or promised.writers_may_stop:
        return milestones.fault_ended
    return milestones.fault_begun


def restorations(records: Records, promised: Promised, milestones: Milestones) -> Mapping[Arm, Restoration]:
    """Return, per arm, when the target restored service; an arm without a fault instant has no entry."""
    since = resumption_counts_from(promised, milestones)
    if since is None or records.requests is None:
        return {}
    return {
        arm: find_restoration(
            [request for request in records.requests if request.arm is arm],
            promised,
            site=promised.serves_at,
            since=since,
            until=milestones.failback_started,
            seconds=promised.service_level.sustained,
        )
        for arm in Arm
    }


def find_return(records: Records, promised: Promised, milestones: Milestones) -> Restoration | None:
    """Return when the home site served customers for good again after the failback; None if that never began."""
    if milestones.failback_started is None or records.requests is None:
        return None
    return find_restoration(
        [request for request in records.requests if request.arm is Arm.MAIN],
        promised,
        site=promised.origin,
        since=milestones.failback_started,
        until=None,
        seconds=promised.service_level.sustained_after_return,
    )


def judge_rto(
    workload: PromisedWorkload, restoration: Restoration | None, fault: Instant | None, late: float
) -> Status:
    """Judge the RTO; ``late`` is how long after the fault absence of service is established."""
    if restoration is None or fault is None or restoration.observed_until is None:
        return Status.NOT_MEASURED
    if restoration.at is not None:
        return Status.SATISFIED if restoration.at - fault <= workload.rto else Status.NOT_SATISFIED
    return Status.NOT_SATISFIED if restoration.observed_until - fault >= late else Status.NOT_MEASURED


def judge_rpo(workload: PromisedWorkload, arm: ArmWrites | None, rpa: float | None, doubt: str) -> Status:
    """Judge the RPO by counting: an RPO of zero allows no acknowledged write to be missing.

    The control arm is held back on purpose; an RPO of zero is never asked of it.
    """
    if workload.rpo is None or (workload.arm is Arm.CONTROL and workload.rpo == 0):
        return Status.SATISFIED if arm is not None and rpa is not None else Status.NOT_MEASURED
    if arm is None or arm.lost is None or rpa is None:
        return Status.NOT_MEASURED
    if rpa > workload.rpo or (workload.rpo == 0 and arm.lost):
        return Status.NOT_SATISFIED
    return Status.NOT_MEASURED if doubt else Status.SATISFIED


def objective(
    workload: PromisedWorkload,
    promised: Promised,
    records: Records,
    *,
    fault: Instant | None,
    found: Restoration | None,
) -> ObjectiveResult:
    """Measure one workload against its promise."""
    planted = workload.arm is Arm.MARKER
    arm = marker_writes(records, workload.name) if planted else arm_writes(records, workload.arm)
    rpa = arm.lost_span(fault) if arm and fault is not None else None
    rto = judge_rto(workload, found, fault, time_to_establish_absence(workload.rto, promised.service_level))
    doubt = (
        reason_to_doubt(records, workload) if planted else read_on_the_single_writer(records, promised, workload.arm)
    )
    if arm is not None and not arm.acknowledged:
        doubt = "no write was acknowledged"
    rpo = judge_rpo(workload, arm, rpa, doubt)
    return ObjectiveResult(
        workload=workload.name,
        arm=workload.arm,
        rto=workload.rto,
        rta=between(fault, found.at) if found else None,
        rpo=workload.rpo,
        rpa=rpa,
        rto_status=rto,
        rpo_status=rpo,
        finding=worst([rto, rpo]),
        doubt=doubt if rpo is Status.NOT_MEASURED else "",
    )


def _restoration_of(
    workload: PromisedWorkload,
    records: Records,
    promised: Promised,
    milestones: Milestones,
    found: Mapping[Arm, Restoration],
) -> Restoration | None:
    if workload.arm is not Arm.MARKER:
        return found.get(workload.arm)
    return marker_restoration(
        records, promised, workload.name, since=milestones.fault_begun, until=milestones.failback_started
    )


def is_fault_proven(records: Records, promised: Promised, milestones: Milestones) -> bool | None:
    """Say whether the cut hosts were silent: nothing heard, nothing answered, no customer served by them afterwards."""
    silence, fault = records.silence, milestones.fault_begun
    if silence is None or fault is None or records.requests is None:
        return None
    watched = silence.watched_until - silence.watched_from >= SHORTEST_SILENCE and silence.watched_from >= fault
    if not watched or not promised.fault_hosts or not set(promised.fault_hosts) <= set(silence.hosts):
        return None
    cut = frozenset(promised.fault_hosts)
    ended = milestones.fault_ended if not promised.begins_anew else milestones.delivered
    meanwhile = [request for request in records.requests if ended is None or request.t0 < ended]
    served = answers_of(meanwhile, cut, after=silence.watched_from, milestones=milestones)
    if promised.begins_anew:  # machines of the same names are others since they were delivered; the origin has none
        dark = frozenset(host for host in cut if promised.nodes.get(host) == promised.origin)
        served += answers_of(records.requests, dark, after=silence.watched_from, milestones=milestones)
    return silence.packets_heard == 0 and not silence.answers and not served


def find_fencing(records: Records, promised: Promised, milestones: Milestones) -> str:
    """Return confirmed, failed or unknown; of a drill in which nothing fails over, that fencing was no part of it.

    Confirmed needs every ``fenced`` event to say so, none after the target became writable, and no customer served by
    the origin once it was fenced: a fence that lies is refuted by the customers' own records.
    """
    outbound = failover_events(records.events or ())
    if promised.endured:
        return NOT_NEEDED
    fences = [event for event in outbound if event.event == "fenced"]
    words = {event.detail.get("fencing") for event in fences}
    if not fences or records.requests is None or not words <= set(FENCING_WORDS):
        return "unknown"
    fenced = Instant(max(event.t for event in fences))
    outbound_requests = [r for r in records.requests if milestones.fault_ended is None or r.t0 < milestones.fault_ended]
    origin = frozenset(node for node, site in promised.nodes.items() if site == promised.origin)
    too_late = any(event.event == "writable" and event.t < fenced for event in outbound)
    if "failed" in words or too_late or answers_of(outbound_requests, origin, after=fenced, milestones=milestones):
        return "failed"
    return "confirmed" if words == {"confirmed"} else "unknown"


def find_cleanup(events: Sequence[Event] | None) -> str | None:
    """Return empty or left, by the last look; None if nobody looked."""
    looks = [event for event in events or () if event.event == "cleanup-proven"]
    left = max(looks, key=lambda event: event.t).detail.get("left") if looks else None
    return ("left" if left else "empty") if isinstance(left, list) else None


def waited_on_people(records: Records, promised: Promised, milestones: Milestones) -> float | None:
    """Return the seconds in which persons were asked and had not answered; a standing order costs none.

    What is endured asks nobody: that costs none either, as long as no consent is recorded.
    """
    if promised.endured and records.approvals is not None and not records.approvals.consents:
        return 0.0
    if records.approvals is None or milestones.approved is None:
        return None
    until = milestones.failback_started
    asked = [c for c in records.approvals.consents if until is None or c.asked < until]
    if asked:
        waits = (consent.answered - consent.asked for consent in asked if consent.by == "persons")
        return sum(waits, start=0.0)
    by = {event.detail.get("by") for event in failover_events(records.events or ()) if event.event == "approved"}
    return 0.0 if by == {"standing-order"} else None


def find_times(records: Records, promised: Promised, milestones: Milestones, found: Mapping[Arm, Restoration]) -> Times:
    """Return the split of the time from fault to restored; restored is what customers of the main arm saw."""
    restored = found[Arm.MAIN].at if Arm.MAIN in found else None
    m = milestones
    return Times(
        fault_to_detected=between(m.fault_begun, m.detected),
        detected_to_declared=between(m.detected, m.declared),
        declared_to_approved=between(m.declared, m.approved),
        approved_to_writable=between(m.approved, m.writable),
        approved_to_restored=between(m.approved, restored),
        fault_to_restored=between(m.fault_begun, restored),
        waited_on_people=waited_on_people(records, promised, m),
    )


def _requests_stated(records: Records) -> tuple[Problem, ...]:
    """Compare the number of requests the traffic says it made with the number recorded.

    Without that number a line that was left out, such as that of a lost write, could not be missed.
    """
    stopped = next((event for event in records.events or () if event.event == "traffic-stopped"), None)
    stated = stopped.detail.get("requests") if stopped else None
    recorded = len(records.requests or ())
    if stopped is None or stated == recorded:
        return ()
    what = f"{recorded} requests are recorded, the traffic made {stated!r:.40}"
    return (Problem(file="requests.jsonl", line=None, pointer="", what=what),)


def _markers_stated(records: Records) -> object:
    stopped = next((event for event in records.events or () if event.event == "traffic-stopped"), None)
    return stopped.detail.get("markers") if stopped else dict(Counter(one.workload for one in records.markers or ()))


def gather(records: Records, promised: Promised) -> Facts:
    """Work out every fact from the records."""
    milestones = find_milestones(records.events)
    main, control = arm_writes(records, Arm.MAIN), arm_writes(records, Arm.CONTROL)
    found = restorations(records, promised, milestones)
    proven = is_fault_proven(records, promised, milestones)
    unwatched = unwatched_stretches(records, promised, milestones, proven=proven is True)
    problems = (
        *records.problems,
        *impossible_orders(milestones, records.events or ()),
        *too_late_to_judge(main),
        *too_late_to_judge(control),
        *_requests_stated(records),
        *problems_with_markers(records, _markers_stated(records)),
    )
    return Facts(
        records=records,
        promised=promised,
        milestones=milestones,
        restorations=found,
        returned=find_return(records, promised, milestones),
        objectives=tuple(
            objective(
                workload,
                promised,
                records,
                fault=milestones.fault_begun,
                found=_restoration_of(workload, records, promised, milestones, found),
            )
            for workload in promised.workloads
        ),
        writes=count_writes(main, control),
        times=find_times(records, promised, milestones, found),
        gaps=find_gaps(
            records.requests,
            begin=milestones.fault_begun,
            end=milestones.failback_started or milestones.traffic_stopped,
        ),
        return_gaps=find_gaps(records.requests, begin=milestones.failback_started, end=milestones.traffic_stopped),
        fault_proven=proven,
        fencing=find_fencing(records, promised, milestones),
        max_writers=count_writers(records, milestones, unwatched),
        unwatched=name_unwatched(unwatched, milestones.fault_begun),
        cleanup=find_cleanup(records.events),
        problems=problems,
    )
