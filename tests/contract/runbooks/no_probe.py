"""A step that must not be repeated and that no probe can tell about."""

from __future__ import annotations

from secondsite.plan import Estate, Intent, PlanBuilder, call, runbook


@runbook(name="no_probe", intent=Intent.PROVISION)
def no_probe(estate: Estate, plan: PlanBuilder) -> None:
    """Do what nobody can look at."""
    plan.step("blind", title="Do it", call=call("apply", side="blind"))
    plan.step("after", title="Go on", call=call("apply", side="after"), after=("blind",), probe=call("applied"))
