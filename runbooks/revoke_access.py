"""Revoke access: every key that could log in until now opens nothing any more."""

from __future__ import annotations

from secondsite.plan import Estate, Intent, PlanBuilder, call, refuse_old_keys, runbook, seconds


@runbook(name="revoke_access", intent=Intent.PROVISION)
def revoke_access(estate: Estate, plan: PlanBuilder) -> None:
    """Make new keys for everybody who logs in by certificate, and have every host refuse the old ones."""
    hosts = [str(name) for name in estate.hosts]
    plan.step(
        "renew",
        title="Make new keys and certificates, and note the old keys as revoked",
        call=call("renew-identities"),
        hosts=(),
        timeout=seconds(30),
        repeatable=True,
        by_hand="List the old public keys as revoked; make new keys and have each site's authority sign them.",
    )
    refuse_old_keys(
        plan,
        hosts,
        after="renew",
        otherwise="it would still believe the old keys",
        by_hand="Name the hosts that did not answer: old certificates open them until they end, in twelve hours.",
    )
