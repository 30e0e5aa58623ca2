"""A step after whose effect nothing more can be written."""

from __future__ import annotations

from secondsite.plan import Estate, Intent, PlanBuilder, call, runbook


@runbook(name="fills_disk", intent=Intent.PROVISION)
def fills_disk(estate: Estate, plan: PlanBuilder) -> None:
    """Fill the disk in the middle."""
    plan.step("begin", title="Begin", call=call("apply"), probe=call("applied"))
    plan.step("fill", title="Fill", call=call("apply"), after=("begin",), probe=call("applied"))
    plan.step("after", title="Go on", call=call("apply"), after=("fill",), probe=call("applied"))
