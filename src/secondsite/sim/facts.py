"""What the steps of a plan have to find for all of its guards to let it pass: the day on which everything goes well."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ..plan.builder import references
from ..plan.model import Guard, Plan
from ..run.model import Json

_ENOUGH_FLOWS = 16

Finding = tuple[str, Json]


def _fenced(guard: Guard) -> Iterator[Finding]:
    carriers, addresses = guard.arguments["carriers"], guard.arguments["addresses"]
    if not isinstance(carriers, list) or not isinstance(addresses, list):
        raise TypeError(f"guard {guard.name} names no carriers or addresses")
    silent = {address: {"flows": _ENOUGH_FLOWS, "answers": 0} for address in addresses}
    outlets = guard.arguments.get("outlets", [])
    dark = (
        {"outlets": dict.fromkeys(outlets, "off"), "answers": dict.fromkeys(outlets, False), "stands_on": "elsewhere"}
        if isinstance(outlets, list) and outlets
        else {}
    )
    yield guard.on[0], {"dropping": dict.fromkeys(carriers, True), "customers": silent, **dark}


def _each(**facts: object) -> Callable[[Guard], Iterator[Finding]]:
    def findings(guard: Guard) -> Iterator[Finding]:
        yield from ((step, facts) for step in guard.on)

    return findings


SATISFYING: Mapping[str, Callable[[Guard], Iterator[Finding]]] = {
    "fencing-confirmed": _fenced,
    "found-ok": _each(ok=True, saw="what it must"),
    "in-sync": _each(loses_nothing=True),
    "not-writable": _each(writable=False),
    "site-lost": _each(lost=True),
}
"""For every guard, what satisfies it. A guard that is missing here can't be simulated, and that is an error."""


def favourable_facts(plan: Plan) -> Mapping[str, Json]:
    """Return, by step, facts under which every guard passes and every reference to a result finds something.

    Raises:
        KeyError: a guard of the plan is not known here.
    """
    facts: dict[str, dict[str, object]] = {}
    for step in plan.steps:
        for guard in step.guards:
            for name, found in SATISFYING[guard.name](guard):
                facts.setdefault(name, {}).update(found)
        for called in (step.call, step.probe, step.undo):
            for name, field in references(dict(called.arguments)) if called else ():
                facts.setdefault(name, {}).setdefault(field, f"{field} of {name}")
    return facts
