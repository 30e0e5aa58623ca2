"""Plans of nothing but their steps, for whoever tries the engine and not a runbook."""

from __future__ import annotations

from ..plan.document import sealed
from ..plan.model import Intent, Plan, Step


def example_plan(*steps: Step) -> Plan:
    """Return the sealed plan of these steps: without a direction, and of no estate that there is."""
    return sealed(
        Plan(
            runbook="example",
            title="An example",
            intent=Intent.PROVISION,
            estate="two-sites",
            estate_digest="",
            origin=None,
            target=None,
            steps=steps,
            pins={},
            digest="",
        )
    )
