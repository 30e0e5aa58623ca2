"""Who must have agreed before a plan takes something away: a property of the plan itself, whatever its runbook."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .model import Step
from .rules import DESTRUCTIVE, dependency_order

TWO_PERSONS = 2
CUTTING = frozenset({"power-off"})
"""Actions that take service away and name nobody who could be challenged: who has no power answers nothing."""


def steps_nobody_consents_to(steps: Sequence[Step]) -> Iterator[tuple[str, str]]:
    """Yield (step, what is wrong) for every step that takes data or service away and follows no gate of two persons.

    A plan without this rule could be made harmless to one person by editing a runbook: control DR-24, two persons.
    """
    consented: set[str] = set()
    for step in dependency_order(steps):
        here = step.gate is not None and step.gate.persons >= TWO_PERSONS
        if here or not consented.isdisjoint(step.after):
            consented.add(step.name)
        elif step.destroys or step.call.name in DESTRUCTIVE | CUTTING:
            yield step.name, "it takes something away, and follows no step to which two persons must consent"
