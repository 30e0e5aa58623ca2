"""Rules for drills that end otherwise: endured, refused, or with an old primary that comes back."""

from __future__ import annotations

import math

from .facts import Facts, resumption_counts_from
from .milestones import between
from .model import A_DAY_LATER, ONCE_PROMOTED, WHILE_PROMOTING, Arm, RuleResult, Status, Writability
from .wording import NOT_MEASURED, not_restored, not_watched, promised_seconds, seconds, status_of


def nothing_was_promoted(facts: Facts) -> RuleResult:
    """What is endured is endured where it is: nobody else may have become a writer at any time."""
    polls = facts.records.writability
    elsewhere = {
        f"{poll.node} of {poll.workload}"
        for poll in polls or ()
        if poll.state is Writability.WRITABLE and facts.promised.nodes.get(poll.node) != facts.promised.serves_at
    }
    blind = tuple(
        one for one in facts.unwatched if facts.promised.nodes.get(one.split(" ")[0]) != facts.promised.serves_at
    )
    return RuleResult(
        id="nothing-promoted",
        claim=f"Nothing was promoted: whoever could write was at {facts.promised.serves_at} all the time",
        status=status_of(False if elsewhere else True if polls and not blind else None),
        saw=f"writable elsewhere: {', '.join(sorted(elsewhere))}"[:200]
        if elsewhere
        else not_watched(blind)
        if blind
        else f"{len(polls)} polls, none of them"
        if polls
        else NOT_MEASURED,
        expected="no poll that found a writer elsewhere",
    )


def kept_writing(facts: Facts) -> RuleResult:
    """What is lost elsewhere is no reason to stop: who could write before the fault must go on being able to."""
    begin, end = facts.milestones.fault_begun, facts.milestones.traffic_stopped
    polls = [poll for poll in facts.records.writability or () if begin is not None and poll.began >= begin]
    polls = [poll for poll in polls if end is not None and poll.t <= end]
    mine = [poll for poll in polls if facts.promised.nodes.get(poll.node) == facts.promised.target]
    stopped = {
        f"{poll.node} of {poll.workload} was {poll.state.value}"
        for poll in mine
        if poll.state in {Writability.READ_ONLY, Writability.DOWN}
    }
    seen = {(poll.node, poll.workload) for poll in mine if poll.state is Writability.WRITABLE}
    return RuleResult(
        id="kept-writing",
        claim=f"Whoever could write at {facts.promised.target} never lost the right to, from the fault to the end",
        status=status_of(False if stopped else True if seen and not facts.unwatched else None),
        saw="; ".join(sorted(stopped))[:200]
        if stopped
        else not_watched(facts.unwatched)
        if facts.unwatched
        else f"{len(mine)} polls of {len(seen)} writers"
        if seen
        else NOT_MEASURED,
        expected="no poll that found one of them read-only or down",
    )


def resumed_in_time(facts: Facts) -> RuleResult:
    """Nobody helps: what the loss of a copy keeps from customers must come back by itself, and soon."""
    restoration, limit = facts.restorations.get(Arm.MAIN), facts.promised.resumes_within
    fault = resumption_counts_from(facts.promised, facts.milestones)
    took = between(fault, restoration.at) if restoration else None
    looked = between(fault, restoration.observed_until) if restoration else None
    wanted = (limit or 0.0) + facts.promised.service_level.sustained + facts.promised.service_level.latency
    in_time = (
        None if limit is None else took <= limit if took is not None else False if (looked or 0) >= wanted else None
    )
    return RuleResult(
        id="resumed",
        claim=f"Customers were served at {facts.promised.target} again in time, without anybody's help, and stayed so",
        status=status_of(in_time),
        saw=not_restored(facts, Arm.MAIN) if took is None else seconds(took),
        expected=f"at most {promised_seconds(limit)}"
        + (" from the end of the fault" if facts.promised.writers_may_stop else ""),
    )


def fence_was_refuted(facts: Facts) -> RuleResult:
    """A fence that lies must be found out, and nobody may be promoted on its word."""
    promoted = facts.milestones.writable is not None
    known = facts.milestones.approved is not None and any(
        event.event == "fence-lies" for event in facts.records.events or ()
    )
    return RuleResult(
        id="fence-refuted",
        claim="The fence that lied was found out, and the failover was refused",
        status=status_of(False if promoted or facts.fencing == "confirmed" else True if known else None),
        saw=f"fencing {facts.fencing}" + (", and a workload was promoted" if promoted else ", nothing was promoted"),
        expected="a lie on record, fencing not confirmed, nothing promoted",
    )


def served_again(facts: Facts) -> RuleResult:
    """What was refused leaves the origin as it was: it serves again when its power is back."""
    restoration, ended = facts.restorations.get(Arm.MAIN), facts.milestones.fault_ended
    took = between(ended, restoration.at) if restoration else None
    return RuleResult(
        id="served-again",
        claim=f"Customers were served at {facts.promised.origin} again once its power was back, and stayed so",
        status=Status.SATISFIED if took is not None else Status.NOT_MEASURED,
        saw=not_restored(facts, Arm.MAIN) if took is None else seconds(took),
        expected=f"{facts.promised.service_level.sustained} s of service in a row",
    )


def old_primary_came_back(facts: Facts) -> RuleResult:
    """A lost site that comes back must be seen alive, at the moment that was meant, and able to write nothing."""
    promised, m = facts.promised, facts.milestones
    until = m.failback_started if m.failback_started is not None else math.inf
    since = m.power_restored if m.power_restored is not None else math.inf
    polls = [poll for poll in facts.records.writability or () if since < poll.began and poll.t < until]
    alive = {
        (poll.node, poll.workload)
        for poll in polls
        if promised.nodes.get(poll.node) == promised.origin and poll.state is not Writability.UNREACHABLE
    }
    wrote = {
        f"{p.node} of {p.workload}" for p in polls if (p.node, p.workload) in alive and p.state is Writability.WRITABLE
    }
    wanted = {
        (node, workload.name)
        for workload in promised.workloads
        for node in workload.writers
        if promised.nodes.get(node) == promised.origin
    }
    in_time = _came_back_when_meant(facts)
    told = [f"writable: {', '.join(sorted(wrote))}"] if wrote else []
    told += [f"{len(alive)} of {len(wanted)} copies seen alive before the return began"]
    told += [] if in_time else ["its power did not come back when it was meant to"]
    return RuleResult(
        id="came-back",
        claim=f"{promised.origin} came back {_WHEN[promised.comes_back]}, and none of its copies could write",
        status=status_of(False if wrote else True if wanted and wanted <= alive and in_time else None),
        saw="; ".join(told)[:200],
        expected="every copy of it seen alive, none of them ever writable",
    )


_WHEN = {
    WHILE_PROMOTING: "while the other site was promoted",
    ONCE_PROMOTED: "right after the other site was promoted",
    A_DAY_LATER: "after as much as a day does to what the new primary keeps for it",
}


def _came_back_when_meant(facts: Facts) -> bool:
    m, restoration = facts.milestones, facts.restorations.get(Arm.MAIN)
    if m.power_restored is None or m.approved is None or m.writable is None:
        return False
    match facts.promised.comes_back:
        case when if when == WHILE_PROMOTING:
            return m.approved <= m.power_restored <= max(m.writable, (restoration and restoration.at) or m.writable)
        case when if when == ONCE_PROMOTED:
            return m.writable <= m.power_restored and (m.sustained is None or m.power_restored < m.sustained)
        case _:
            return m.aged is not None and m.sustained is not None and m.sustained <= m.aged <= m.power_restored
