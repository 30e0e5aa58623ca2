"""A step that takes long and can't be hurried, and one that follows it."""

from __future__ import annotations

from secondsite.plan import Estate, Intent, PlanBuilder, call, runbook


@runbook(name="lingers", intent=Intent.PROVISION)
def lingers(estate: Estate, plan: PlanBuilder) -> None:
    """Take a minute."""
    plan.step("linger", title="Take a minute", call=call("linger"), probe=call("applied"))
    plan.step("after", title="Go on", call=call("apply"), after=("linger",), probe=call("applied"))
