"""A step that watches, and one that depends on what it sees."""

from __future__ import annotations

from secondsite.plan import Estate, Intent, PlanBuilder, call, runbook


@runbook(name="watches", intent=Intent.PROVISION)
def watches(_estate: Estate, plan: PlanBuilder) -> None:
    """Watch, then act."""
    plan.step("watch", title="Watch", call=call("linger"), reads_only=True)
    plan.step("after", title="Act", call=call("apply"), after=("watch",), probe=call("applied"))
