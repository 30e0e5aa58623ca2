"""A step that fails beside one that does not, and one that depends on it."""

from __future__ import annotations

from secondsite.plan import Estate, Intent, PlanBuilder, call, runbook


@runbook(name="one_fails", intent=Intent.PROVISION)
def one_fails(estate: Estate, plan: PlanBuilder) -> None:
    """Fail in one branch."""
    plan.step("begin", title="Begin", call=call("apply", side="middle"), probe=call("applied"))
    plan.step("fails", title="Fail", call=call("fail"), after=("begin",), probe=call("applied"))
    plan.step(
        "beside", title="Take longer", call=call("linger", side="beside"), after=("begin",), probe=call("applied")
    )
    plan.step("never", title="Never start", call=call("apply", side="never"), after=("fails",), probe=call("applied"))
    plan.step("last", title="Nor this", call=call("apply", side="last"), after=("beside",), probe=call("applied"))
