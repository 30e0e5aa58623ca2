"""The instants a drill is measured between, and whether they stand in an order that can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

from ..errors import Problem
from .model import Event, Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Milestones:
    """Instants by name; None is not recorded. What follows ``failback_started`` belongs to the return.

    ``fault_begun`` is the instant the first wire was dropped, the earliest of the cut: no RTO is flattered by it.
    ``approved`` is the *first* consent and ``writable`` the *last* workload's, so that the acting time is
    never shortened.
    """

    drill_started: Instant | None = None
    traffic_started: Instant | None = None
    held_back: Instant | None = None
    fault_begun: Instant | None = None
    fault_done: Instant | None = None
    delivered: Instant | None = None
    detected: Instant | None = None
    declared: Instant | None = None
    approved: Instant | None = None
    fenced: Instant | None = None
    writable: Instant | None = None
    redirected: Instant | None = None
    opened: Instant | None = None
    restored_verified: Instant | None = None
    sustained: Instant | None = None
    power_restored: Instant | None = None
    fault_ended: Instant | None = None
    aged: Instant | None = None
    failback_started: Instant | None = None
    failback_done: Instant | None = None
    traffic_stopped: Instant | None = None
    aborted: Instant | None = None


_LAST = frozenset({"fenced", "writable", "redirected", "opened", "restored-verified", "sustained"})
_AFTER_THE_RETURN_BEGAN = frozenset(
    {"power-restored", "failback-started", "failback-done", "traffic-stopped", "aborted"}
)
_ORDER = (
    ("drill_started", "traffic_started"),
    ("traffic_started", "fault_begun"),
    ("held_back", "fault_begun"),
    ("fault_begun", "fault_done"),
    ("fault_done", "delivered"),
    ("fault_begun", "detected"),
    ("detected", "declared"),
    ("declared", "approved"),
    ("approved", "fenced"),
    ("approved", "writable"),
    ("writable", "failback_started"),
    ("fault_begun", "power_restored"),
    ("fault_begun", "fault_ended"),
    ("failback_started", "failback_done"),
    ("fault_begun", "traffic_stopped"),
)


def failover_events(events: Sequence[Event]) -> tuple[Event, ...]:
    """Return the events before the return began."""
    began = min((event.t for event in events if event.event == "failback-started"), default=None)
    return tuple(event for event in events if began is None or event.t < began)


def find_milestones(events: Sequence[Event] | None) -> Milestones:
    """Return the instants; an event that is not recorded stays None."""
    if events is None:
        return Milestones()
    outbound = failover_events(events)
    found: dict[str, Instant | None] = {}
    for field in fields(Milestones):
        name = field.name.replace("_", "-")
        among = events if name in _AFTER_THE_RETURN_BEGAN else outbound
        pick: Callable[[Sequence[Instant]], Instant] = max if name in _LAST else min
        instants = [event.t for event in among if event.event == name]
        found[field.name] = pick(instants) if instants else None
    return Milestones(**found)


def impossible_orders(milestones: Milestones, events: Sequence[Event]) -> tuple[Problem, ...]:
    """Name each pair of instants that stands in an order that can't be."""
    problems = []
    for first, second in _ORDER:
        a, b = getattr(milestones, first), getattr(milestones, second)
        if a is not None and b is not None and b < a:
            name = second.replace("_", "-")
            line = next((event.line for event in events if event.event == name and event.t == b), None)
            what = f"{name} at {b:.6f} comes before {first.replace('_', '-')} at {a:.6f}"
            problems.append(Problem(file="events.jsonl", line=line, pointer="", what=what))
    return tuple(problems)


def between(a: Instant | None, b: Instant | None) -> float | None:
    """Return the seconds from a to b; None when either is missing or they stand the wrong way round."""
    return None if a is None or b is None or b < a else b - a
