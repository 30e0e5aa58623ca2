"""What follows from a plan: order, due steps, critical path, and guards. Facts in, reasons out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter

from ..estate.model import Estate, HostName, SiteName
from .model import Fencing, Plan, Step

Facts = Mapping[str, Mapping[str, object]]
"""What the steps a guard reads found: step name to result fields. A step without a result is absent."""

GuardRule = Callable[[Facts, Mapping[str, object]], Iterator[str]]


def dependency_order(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Return the steps so that each one follows everything it comes after; otherwise as the runbook wrote them.

    Raises:
        graphlib.CycleError: the edges go round; its second argument names the steps.
    """
    by_name = {step.name: step for step in steps}
    sorter = TopologicalSorter({step.name: [name for name in step.after if name in by_name] for step in steps})
    return tuple(by_name[name] for name in sorter.static_order())


def rounds(plan: Plan) -> tuple[tuple[Step, ...], ...]:
    """Return the steps in rounds: those of one wait only for earlier rounds, so that persons can do them at once."""
    place: dict[str, int] = {}
    for step in dependency_order(plan.steps):
        place[step.name] = max((place[name] + 1 for name in awaited(step) if name in place), default=0)
    return tuple(
        tuple(step for step in plan.steps if place[step.name] == number) for number in sorted(set(place.values()))
    )


def awaited(step: Step) -> frozenset[str]:
    """Name what a step waits for: the steps it comes after, and the readings its guards look at.

    The latter lie before it anyway. But a run that is resumed makes readings again, and then the steps between them and
    this one may have come out well already.
    """
    return frozenset(step.after).union(*(guard.on for guard in step.guards))


def due_steps(plan: Plan, *, settled: Collection[str], begun: Collection[str]) -> tuple[Step, ...]:
    """Return every step not begun whose predecessors all came out well (``settled``)."""
    return tuple(
        step
        for step in plan.steps
        if step.name not in begun and step.name not in settled and all(name in settled for name in awaited(step))
    )


class Frontier:
    """The due steps, kept up to date step by step, so that the cost of a step does not grow with the plan."""

    def __init__(self, plan: Plan, *, settled: Collection[str] = ()) -> None:
        """Begin with the steps that already came out well."""
        self._waits_for = {step.name: {name for name in awaited(step) if name not in settled} for step in plan.steps}
        self._followers: dict[str, list[Step]] = {}
        self._settled = set(settled)
        for step in plan.steps:
            for name in awaited(step):
                self._followers.setdefault(name, []).append(step)
        self.first = tuple(s for s in plan.steps if s.name not in self._settled and not self._waits_for[s.name])

    def settle(self, name: str) -> tuple[Step, ...]:
        """Note that a step came out well; return the steps that are due now and were not before."""
        self._settled.add(name)
        due = []
        for step in self._followers.get(name, ()):
            waits = self._waits_for[step.name]
            if name in waits:
                waits.discard(name)
                if not waits and step.name not in self._settled:
                    due.append(step)
        return tuple(due)


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticalPath:
    """The chain of steps that decides how long the plan takes, and that time."""

    steps: tuple[str, ...]
    duration: dt.timedelta


def critical_path(plan: Plan, *, measured: Mapping[str, dt.timedelta] | None = None) -> CriticalPath:
    """Return the longest chain, by durations of earlier runs where there are any, else by what the steps expect.

    The time that people take to answer gates is not in it.
    """
    known = measured or {}
    ends: dict[str, dt.timedelta] = {}
    before: dict[str, str | None] = {}
    for step in dependency_order(plan.steps):
        last = max(step.after, key=lambda name: ends[name], default=None)
        ends[step.name] = known.get(step.name, step.expected) + (ends[last] if last else dt.timedelta(0))
        before[step.name] = last
    chain: list[str] = []
    at = max(ends, key=lambda name: ends[name], default=None)
    total = ends[at] if at else dt.timedelta(0)
    while at is not None:
        chain.append(at)
        at = before[at]
    return CriticalPath(steps=tuple(reversed(chain)), duration=total)


def flags(plan: Plan) -> Iterator[str]:
    """Yield what a reviewer of the plan should look at twice."""
    consented: set[str] = set()
    for step in dependency_order(plan.steps):
        asked = step.gate is not None or any(name in consented for name in step.after)
        if asked:
            consented.add(step.name)
        if not step.may_repeat and step.probe is None and step.gate is None:
            yield (
                f"{step.name}: it must not be done twice, no probe can tell whether it happened, and nobody is asked "
                "right before it; after a crash a person has to find out"
            )
        if not step.may_repeat and step.undo is None and not asked:
            yield f"{step.name}: nothing undoes it, and nobody is asked before it or before what it follows"


DESTRUCTIVE = frozenset({"isolate", "rebuild", "go-on-alone", "restore-database", "restore-files", "replay-erasures"})
"""Actions that take data or service away: a step that calls one says from whom."""


PROMOTING = frozenset({"promote"})
"""Actions that make another node the writer, where the former one can't be asked."""


def reasons_not_to_lift(leaders: Mapping[str, str | None], members: Mapping[str, str]) -> Iterator[str]:
    """Yield why a site may not be let through again: a workload is held by a node that does not stand there.

    ``leaders`` are who holds the right to write each workload now (None: nobody), ``members`` the site's own nodes.
    """
    for workload, leader in leaders.items():
        if leader is not None and leader != members.get(workload):
            yield f"{workload} is held by {leader}: a site let through beside it could be a second writer"


def reasons_not_to_destroy(step: Step, estate: Estate) -> Iterator[str]:
    """Yield why a step may not take away what it would: it does not say from whom, or from more than the estate allows.

    Hosts are counted where it names hosts; sites, where it names sites and where its hosts stand.
    """
    if step.call.name in DESTRUCTIVE and not step.destroys:
        yield f"it calls {step.call.name}, and does not say whom it takes something away from (destroys)"
    hosts = sorted({one for one in step.destroys if HostName(one) in estate.hosts})
    sites = sorted(
        {one for one in step.destroys if SiteName(one) in estate.sites and one not in hosts}
        | {str(estate.hosts[HostName(one)].site) for one in hosts}
    )
    yield from (
        f"it would take something away from {one}, which is no host and no site of {estate.name}"
        for one in step.destroys
        if HostName(one) not in estate.hosts and SiteName(one) not in estate.sites
    )
    if step.destroys and not step.hosts:
        yield "it takes something away and names no host that could be asked who it is"
    for kind, named, most in (("hosts", hosts, estate.caps.hosts), ("sites", sites, estate.caps.sites)):
        if len(named) > most:
            yield (
                f"it would take something away from {len(named)} {kind} ({', '.join(named)}), and the estate allows"
                f" {most} in one step (caps/{kind})"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolation:
    """ADR 0005, rule 2, as observed: what each carrier's kernel reads back, and what customers heard."""

    carriers: tuple[str, ...]
    dropping: Mapping[str, bool | None]
    flows_tried: Mapping[str, int]
    answers_heard: Mapping[str, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """ADR 0005, rule 1, as observed: outlets read at an endpoint outside the site and on other power.

    ``answering`` says which of the hosts still answered somebody after that: an outlet that reads off beside a host
    that answers is another host's, or its endpoint lies (ADR 0013).
    """

    feeding: tuple[str, ...]
    off: Mapping[str, bool | None]
    endpoint_outside: bool
    answering: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseGone:
    """ADR 0005, rule 3, as observed."""

    gone: bool | None
    read_linearizably: bool
    quorum_without_site: bool
    demotion_rehearsed: bool


FencingObservation = Isolation | Power | LeaseGone

_FLOWS_PER_ADDRESS = 8


def fencing_from(observations: Sequence[FencingObservation]) -> Fencing:
    """Decide what is known of the old writer (ADR 0005): one rule fully observed confirms, a refuted one fails.

    ``FAILED`` needs evidence that it can still write or be reached and no rule that confirms; everything else
    is ``UNKNOWN``.
    """
    verdicts = [_judge(observation) for observation in observations]
    if Fencing.CONFIRMED in verdicts:
        refuted_by_customers = any(isinstance(o, Isolation) and _heard(o) for o in observations)
        return Fencing.FAILED if refuted_by_customers else Fencing.CONFIRMED
    return Fencing.FAILED if Fencing.FAILED in verdicts else Fencing.UNKNOWN


def _judge(observation: FencingObservation) -> Fencing:
    match observation:
        case Isolation():
            return _judge_isolation(observation)
        case Power():
            return _judge_power(observation)
        case LeaseGone():
            return _judge_lease(observation)


def _heard(seen: Isolation) -> bool:
    return any(count is not None and count > 0 for count in seen.answers_heard.values())


def _judge_isolation(seen: Isolation) -> Fencing:
    if _heard(seen) or any(seen.dropping.get(carrier) is False for carrier in seen.carriers):
        return Fencing.FAILED
    every_carrier = bool(seen.carriers) and all(seen.dropping.get(carrier) is True for carrier in seen.carriers)
    silent = bool(seen.answers_heard) and all(count == 0 for count in seen.answers_heard.values())
    enough = all(seen.flows_tried.get(address, 0) >= _FLOWS_PER_ADDRESS for address in seen.answers_heard)
    return Fencing.CONFIRMED if every_carrier and silent and enough else Fencing.UNKNOWN


def _judge_power(seen: Power) -> Fencing:
    if any(seen.off.get(outlet) is False or seen.answering.get(outlet) for outlet in seen.feeding):
        return Fencing.FAILED
    off = bool(seen.feeding) and all(seen.off.get(outlet) is True for outlet in seen.feeding)
    return Fencing.CONFIRMED if off and seen.endpoint_outside else Fencing.UNKNOWN


def _judge_lease(seen: LeaseGone) -> Fencing:
    trusted = seen.read_linearizably and seen.quorum_without_site and seen.demotion_rehearsed
    if not trusted or seen.gone is None:
        return Fencing.UNKNOWN
    return Fencing.CONFIRMED if seen.gone else Fencing.FAILED


def reasons_not_to_proceed(step: Step, facts: Facts) -> Iterator[str]:
    """Yield every reason of the step's guards to refuse it; none means it may start."""
    yield from (why for _, why in refusals(step, facts))


def refusals(step: Step, facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield (guard, reason) for everything that a step's guards have against it.

    A guard without a rule, or one that lacks a result it reads, is a reason: unknown never passes.
    """
    for guard in step.guards:
        rule = GUARDS.get(guard.name)
        if rule is None:
            yield "", f"no rule is known for the guard {guard.name}"
            continue
        missing = [name for name in guard.on if name not in facts]
        if missing:
            yield from (("", f"{guard.name}: step {name} left no result") for name in missing)
            continue
        found = rule({name: facts[name] for name in guard.on}, guard.arguments)
        yield from ((guard.name, why) for why in found)


def isolation_in(result: Mapping[str, object]) -> Isolation:
    """Read an isolation from a step's result; whatever is missing or of a wrong kind counts as not observed."""
    dropping = result.get("dropping")
    customers = result.get("customers")
    return Isolation(
        carriers=tuple(str(name) for name, _ in _fields(dropping)),
        dropping={str(k): v if isinstance(v, bool) else None for k, v in _fields(dropping)},
        flows_tried={str(k): _count(dict(_fields(v)).get("flows")) or 0 for k, v in _fields(customers)},
        answers_heard={str(k): _count(dict(_fields(v)).get("answers")) for k, v in _fields(customers)},
    )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(one) for one in value) if isinstance(value, list) else ()


def _fields(value: object) -> tuple[tuple[object, object], ...]:
    return tuple(value.items()) if isinstance(value, Mapping) else ()


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def confirming_rules(facts: Facts, wanted: Mapping[str, object]) -> tuple[str, ...]:
    """Name the rules of ADR 0005 that confirm the fencing, in words for a report; none means that it is not confirmed.

    ``wanted`` are the arguments of the guard ``fencing-confirmed``, ``facts`` what the steps it reads found.
    """
    found = _observed(facts, wanted)
    return tuple(_RULES[type(one[0])] for one in found if fencing_from(one) is Fencing.CONFIRMED)


def _reasons_fencing_is_not_confirmed(facts: Facts, wanted: Mapping[str, object]) -> Iterator[str]:
    """One rule observed whole is enough; the others may have been refuted, or not observed at all."""
    found = _observed(facts, wanted)
    verdicts = [fencing_from(one) for one in found]
    if Fencing.CONFIRMED in verdicts:
        return
    yield f"fencing of the old primary is {(Fencing.FAILED if Fencing.FAILED in verdicts else Fencing.UNKNOWN).value}"
    for one in found:
        for observation in one[:1]:
            yield from _gaps(observation)


def _observed(facts: Facts, wanted: Mapping[str, object]) -> list[list[FencingObservation]]:
    """Return what was observed for each rule that the plan names, with what could refute it."""
    isolation = _isolation(facts, wanted)
    outlets = _texts(wanted.get("outlets"))
    found: list[list[FencingObservation]] = []
    leases = _texts(wanted.get("leases"))
    if isolation.carriers or not (outlets or leases):
        found.append([isolation])
    if leases:
        found.append([_lease_gone(facts, leases)])
    if outlets:
        fed = set(_texts(wanted.get("fed")))
        heard = {address: count for address, count in isolation.answers_heard.items() if address in fed}
        refuting = replace(isolation, carriers=(), dropping={}, answers_heard=heard)
        found.append([_power(facts, outlets, site=str(wanted.get("site"))), refuting])
    return found


def _isolation(facts: Facts, wanted: Mapping[str, object]) -> Isolation:
    addresses = _texts(wanted.get("addresses"))
    seen = _merged([isolation_in(result) for result in facts.values()])
    return Isolation(
        carriers=_texts(wanted.get("carriers")),
        dropping=seen.dropping,
        flows_tried=seen.flows_tried,
        answers_heard={**dict.fromkeys(addresses), **seen.answers_heard} if addresses else {},
    )


def _power(facts: Facts, outlets: tuple[str, ...], *, site: str) -> Power:
    """Join what each outlet's own reading found; an outlet read twice keeps the worse answer.

    Off counts only where the host itself was asked too, and what it did is known.
    """
    off: dict[str, bool | None] = {}
    places: list[object] = []
    answering: dict[str, bool] = {}
    for result in facts.values():
        asked = dict(_fields(result.get("answers")))
        for host, state in _fields(result.get("outlets")):
            known = {"off": True if isinstance(asked.get(host), bool) else None, "on": False}.get(str(state))
            earlier = off.get(str(host), True)
            off[str(host)] = known if earlier is True or known is False else earlier
            places.append(result.get("stands_on"))
        answering |= {str(host): True for host, answers in asked.items() if answers is True}
    outside = bool(places) and all(isinstance(place, str) and place not in ("", site) for place in places)
    return Power(feeding=outlets, off=off, endpoint_outside=outside, answering=answering)


def _lease_gone(facts: Facts, workloads: tuple[str, ...]) -> LeaseGone:
    """Join what was read of each workload's lease: only what holds for all of them holds."""
    read = {str(name): dict(_fields(one)) for result in facts.values() for name, one in _fields(result.get("leases"))}
    each = [read.get(name, {}) for name in workloads]
    gone = [one.get("gone") for one in each]

    def holds(field_name: str) -> bool:
        return all(one.get(field_name) is True for one in each)

    return LeaseGone(
        gone=False if False in gone else True if all(one is True for one in gone) else None,
        read_linearizably=holds("read_linearizably"),
        quorum_without_site=holds("quorum_without_site"),
        demotion_rehearsed=holds("demotion_rehearsed"),
    )


def _gaps(observation: FencingObservation) -> Iterator[str]:
    match observation:
        case Isolation():
            yield from _gaps_at_carriers(observation)
            yield from _gaps_at_customers(observation)
        case Power():
            yield from _gaps_at_outlets(observation)
        case LeaseGone():
            yield "not every lease is known to have ended, read without the site, of a holder that demotes itself"


def _gaps_at_outlets(seen: Power) -> Iterator[str]:
    if not seen.endpoint_outside:
        yield "no outlet was read at an endpoint that is known to stand outside the site, on other power"
    for host in seen.feeding:
        state = seen.off.get(host)
        if state is not True:
            yield f"the outlet of {host} {'reads on' if state is False else 'is not known to be off'}"
        if seen.answering.get(host):
            yield f"{host} still answers: its outlet is another host's, or the endpoint does not do what it says"


def _gaps_at_carriers(seen: Isolation) -> Iterator[str]:
    if not seen.carriers:
        yield "the plan names no carrier that must be read back"
    for carrier in seen.carriers:
        if seen.dropping.get(carrier) is not True:
            yield f"carrier {carrier} is not known to drop the site's packets"


def _gaps_at_customers(seen: Isolation) -> Iterator[str]:
    if not seen.answers_heard:
        yield "the plan names no address that must be silent"
    for address, answers in seen.answers_heard.items():
        if answers != 0:
            yield f"customers heard {'an unknown number of' if answers is None else answers} answers from {address}"
        elif seen.flows_tried.get(address, 0) < _FLOWS_PER_ADDRESS:
            yield f"only {seen.flows_tried.get(address, 0)} flows were tried to {address}"


def _merged(observed: Sequence[Isolation]) -> Isolation:
    """Join what several steps saw; a value seen twice keeps the worse one."""
    dropping: dict[str, bool | None] = {}
    answers: dict[str, int | None] = {}
    flows: dict[str, int] = {}
    for one in observed:
        for carrier, drops in one.dropping.items():
            seen_before = dropping.get(carrier, True)
            dropping[carrier] = drops if seen_before is True else seen_before
        for address, count in one.answers_heard.items():
            earlier = answers.get(address, 0)
            answers[address] = None if count is None or earlier is None else count + earlier
            flows[address] = flows.get(address, 0) + one.flows_tried.get(address, 0)
    carriers = tuple(dict.fromkeys(carrier for one in observed for carrier in one.carriers))
    return Isolation(carriers=carriers, dropping=dropping, flows_tried=flows, answers_heard=answers)


def _reasons_not_all_true(facts: Facts, _wanted: Mapping[str, object]) -> Iterator[str]:
    for name, result in facts.items():
        if result.get("ok") is not True:
            yield f"step {name} did not find what it must: {result.get('saw', 'it did not say what it saw')}"


def _reasons_it_lacks_writes(facts: Facts, _wanted: Mapping[str, object]) -> Iterator[str]:
    for name, result in facts.items():
        if result.get("loses_nothing") is not True:
            yield f"step {name}: the new primary is not recorded as holding everything that was acknowledged"


def _reasons_site_is_not_lost(facts: Facts, _wanted: Mapping[str, object]) -> Iterator[str]:
    for name, result in facts.items():
        lost = result.get("lost")
        if lost is not True:
            yield f"step {name} {'does not know whether' if lost is None else 'denies that'} the site is lost"


def _reasons_it_still_writes(facts: Facts, _wanted: Mapping[str, object]) -> Iterator[str]:
    for name, result in facts.items():
        writable = result.get("writable")
        if writable is not False:
            known = "is still writable" if writable is True else "is not known to be unwritable"
            yield f"step {name}: the returning host {known}"


_RULES: Mapping[type, str] = {
    Isolation: "isolation at both carriers, read back, and silence on the customers' side (ADR 0005)",
    Power: "power: every outlet read off at an endpoint outside the site, on other power (ADR 0005)",
    LeaseGone: "lease expiry, read linearizably without the site (ADR 0005)",
}

GUARDS: Mapping[str, GuardRule] = {
    "fencing-confirmed": _reasons_fencing_is_not_confirmed,
    "found-ok": _reasons_not_all_true,
    "in-sync": _reasons_it_lacks_writes,
    "not-writable": _reasons_it_still_writes,
    "site-lost": _reasons_site_is_not_lost,
}
"""Every guard a plan may name."""
