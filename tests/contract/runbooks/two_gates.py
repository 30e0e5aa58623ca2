"""Two branches that each wait for consent, then join."""

from __future__ import annotations

from secondsite.plan import Estate, Intent, PlanBuilder, call, gate, result_of, runbook


@runbook(name="two_gates", intent=Intent.PROVISION)
def two_gates(estate: Estate, plan: PlanBuilder) -> None:
    """Wait at two gates at once."""
    for side in ("left", "right"):
        plan.step(f"before-{side}", title=f"Go {side}", call=call("apply", side=side), probe=call("applied"))
        plan.step(
            side,
            title=f"Cross on the {side}",
            call=call("apply", side=side),
            after=(f"before-{side}",),
            gate=gate(persons=1),
            probe=call("applied"),
        )
    plan.step(
        "join",
        title="Meet again",
        call=call("apply", met=[result_of("left", "side"), result_of("right", "side")]),
        after=("left", "right"),
        probe=call("applied"),
    )
