"""Revoke access: every key that could log in until now opens nothing any more."""

from __future__ import annotations

from secondsite.plan import Estate, Intent, PlanBuilder, call, result_of, runbook, seconds

PLAYBOOK = "roles/access.yml"


@runbook(name="revoke_access", intent=Intent.PROVISION)
def revoke_access(estate: Estate, plan: PlanBuilder) -> None:
    """Make new keys for everybody who logs in by certificate, and have every host refuse the old ones."""
    plan.uses("roles")
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
    plan.step(
        "tell-hosts",
        title="Have every host refuse the old keys",
        call=call("converge", playbook=PLAYBOOK, hosts=hosts),
        hosts=tuple(hosts),
        after=("renew",),
        repeatable=True,
        timeout=seconds(300),
        expected=seconds(10),
        by_hand="On each host: write the list to /etc/ssh/secondsite/revoked, one public key a line.",
    )
    plan.step(
        "require-all-hosts",
        title="See that no host was left out: it would still believe the old keys",
        call=call("require-all-hosts", unreachable=[result_of("tell-hosts", "unreachable")]),
        hosts=tuple(hosts),
        after=("tell-hosts",),
        reads_only=True,
        timeout=seconds(10),
        by_hand="Name the hosts that did not answer: old certificates open them until they end, in twelve hours.",
    )
