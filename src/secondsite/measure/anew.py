"""Rules of a cold restart: nothing of the old was used, what came back was verified, and production would make it."""

from __future__ import annotations

import math

from .facts import Facts
from .model import RuleResult, Status
from .phases import projection_of
from .projection.model import Projection
from .wording import NOT_MEASURED, status_of

HOUR_S = 3600.0
_NAMED = 3


def vault_withstood(facts: Facts) -> RuleResult:
    """Whoever takes a datacenter has its producers' credentials: what they could destroy at the vault is no backup."""
    attempts = facts.records.attempts or ()
    fault = facts.milestones.fault_begun
    before = [one for one in attempts if fault is not None and one.t <= fault]
    done = [f"{one.producer} destroyed what lies at {one.place}" for one in before if one.refused is False]
    untold = [f"{one.producer}, {one.place or 'anything'}: {one.saw}" for one in before if one.refused is None]
    producers = {one.producer for one in before}
    untold += [f"{name}: nobody tried" for name in facts.promised.producers if name not in producers]
    return RuleResult(
        id="vault-withstood",
        claim="No producer's credentials could destroy what was kept of it, tried before the fault",
        status=status_of(False if done else None if untold or not before else True),
        saw="; ".join([*done, *untold][:_NAMED])[:400]
        or (f"{len(before)} attempts by {len(producers)} producers, all refused" if before else NOT_MEASURED),
        expected="at least one attempt, each refused by the place itself",
    )


def erased_stayed_erased(facts: Facts) -> RuleResult:
    """Backups hold who was erased since: what comes back must lack them before anybody is served."""
    events = facts.records.events or ()
    erased = next((one for one in events if one.event == "erased"), None)
    looked = next((one for one in events if one.event == "erased-looked-for"), None)
    told = erased.detail.get("customers") if erased is not None else None
    names = [str(name) for name in told] if isinstance(told, list) else []
    found = looked.detail.get("present") if looked is not None else None
    present = {str(name): there for name, there in found.items()} if isinstance(found, dict) else {}
    back = sorted(name for name, there in present.items() if there is not False)
    fault = facts.milestones.fault_begun
    known = bool(names) and set(names) <= set(present) and erased is not None and fault is not None
    in_time = known and erased is not None and fault is not None and erased.t <= fault
    return RuleResult(
        id="erased-stay-erased",
        claim="Customers who were erased after the newest backup did not come back with it",
        status=status_of(False if back else True if in_time else None),
        saw=f"came back: {', '.join(back)}"[:200] if back else f"{len(names)} erased, none of them there",
        expected="at least one erased before the fault, and none of them there afterwards",
    )


def both_copies_are_gone(facts: Facts) -> RuleResult:
    """What is restored onto machines that still held something would prove nothing."""
    delivered, fault = facts.milestones.delivered, facts.milestones.fault_done
    at_target = {node for node, site in facts.promised.nodes.items() if site == facts.promised.target}
    told = next((one for one in facts.records.events or () if one.event == "delivered"), None)
    names = {word.strip() for word in str(told.detail.get("detail", "")).split(",")} if told is not None else set()
    missing = sorted(at_target - names)
    in_order = delivered is not None and fault is not None and delivered >= fault
    return RuleResult(
        id="both-copies-gone",
        claim=f"All machines of {facts.promised.target} were thrown away after the fault, with all they held",
        status=Status.SATISFIED if in_order and at_target and not missing else Status.NOT_MEASURED,
        saw=f"not replaced: {', '.join(missing)}"[:200] if missing else f"{len(names)} new machines",
        expected=f"a new machine in the place of each of {len(at_target)}",
    )


def controller_began_anew(facts: Facts) -> RuleResult:
    """The first controller's state is gone as well: whoever restarts begins with what the vault kept, and with keys.

    Its program was rebuilt from the vault as well. ``opened_by`` names the holders who opened the escrow; without two
    of them somebody had the keys all along.
    """
    made = next((one for one in facts.records.events or () if one.event == "controller-rebuilt"), None)
    told = next((one for one in facts.records.events or () if one.event == "controller-recovered"), None)
    fault = facts.milestones.fault_done
    after = told is not None and made is not None and fault is not None and told.t >= made.t >= fault
    kit = str(made.detail.get("sha256", "")) if made is not None else ""
    where = str(told.detail.get("from", "")) if told is not None else ""
    holders = told.detail.get("opened_by") if told is not None else None
    count = len(set(map(str, holders))) if isinstance(holders, list) else 0
    opened_by = ", ".join(map(str, holders)) if isinstance(holders, list) else "nobody"
    return RuleResult(
        id="controller-began-anew",
        claim="Another controller did it, with a program and a state from the vault and keys that two holders opened",
        status=Status.SATISFIED if after and kit and where and count >= 2 else Status.NOT_MEASURED,  # noqa: PLR2004  two
        saw=f"kit {kit[:12] or 'of nobody'}, a copy from {where}, opened by {opened_by}"
        if told is not None
        else NOT_MEASURED,
        expected="a program and a copy from the vault, laid out after the fault, and two holders",
    )


def loss_was_seen(facts: Facts) -> RuleResult:
    """What was acknowledged after the newest log in the vault is lost; a check that finds none could not see any."""
    lost = [count for count in (facts.writes.lost, facts.writes.control_lost) if count is not None]
    return RuleResult(
        id="loss-seen",
        claim="The check can see loss: writes acknowledged after the newest log in the vault are missing",
        status=Status.SATISFIED if sum(lost) else Status.NOT_MEASURED,
        saw=f"{facts.writes.lost} writes and {facts.writes.control_lost} of the control arm lost"
        if lost
        else NOT_MEASURED,
        expected="more than 0",
    )


def everything_was_restored(facts: Facts) -> RuleResult:
    """Each store must have come back from the vault, after the fault, and have been verified by more than its exit."""
    fault = facts.milestones.fault_done
    good = {
        one.store
        for one in facts.records.restores or ()
        if not one.is_trial and one.verified_by and fault is not None and one.t0 >= fault
    }
    missing = [store for store in facts.promised.stores if store not in good]
    return RuleResult(
        id="restored-and-verified",
        claim="Every store was restored from the vault, and verified",
        status=Status.SATISFIED if facts.promised.stores and not missing else Status.NOT_MEASURED,
        saw=f"not restored, or not verified: {', '.join(missing)}"
        if missing
        else ", ".join(sorted(good)) or NOT_MEASURED,
        expected=", ".join(facts.promised.stores) or "at least one store",
    )


def production_is_in_time(facts: Facts) -> RuleResult:
    """The lab's data is small. What was promised is judged at production's sizes, by the upper bound."""
    found = projection_of(facts.records, facts.promised)
    if found is None or found.missing or found.upper_95_s is None:
        missing = "; ".join(found.missing[:_NAMED]) if found is not None else NOT_MEASURED
        return RuleResult(
            id="production-in-time",
            claim="Projected to production, operations restart within what was promised",
            status=Status.NOT_MEASURED,
            saw=f"missing: {missing}"[:400],
            expected=_hours(found.target_s) if found is not None else NOT_MEASURED,
        )
    in_time = found.upper_95_s <= found.target_s
    extrapolated = ", an extrapolation" if found.is_extrapolated else ""
    why = "" if in_time else f"; the longest part is {longest_part(found)}"
    return RuleResult(
        id="production-in-time",
        claim="Projected to production, operations restart within what was promised",
        status=status_of(in_time),
        saw=f"{_hours(found.expected_s)} expected, {_hours(found.upper_95_s)} at the upper bound{extrapolated}{why}",
        expected=f"at most {_hours(found.target_s)} at the 95 % upper bound",
    )


def longest_part(found: Projection) -> str:
    """Name the part of the longest path that takes longest at the upper bound, and what slows it, if that is known."""
    critical = [one for one in found.phases if one.is_critical] or list(found.phases)
    if not critical:
        return "none"
    worst = max(critical, key=lambda one: one.upper_95_s)
    rate = ""
    if worst.amount and worst.measured_s and worst.expected_s > 0:
        rate = f", restored at {worst.amount / worst.expected_s / 1e6:.1f} million a second"
    return f"{worst.name} ({_hours(worst.upper_95_s)}{rate}: {worst.scaled})"


def _hours(seconds: float | None) -> str:
    return NOT_MEASURED if seconds is None or math.isinf(seconds) else f"{seconds / HOUR_S:.1f} h"
