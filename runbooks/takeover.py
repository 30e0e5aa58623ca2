"""Takeover: another controller goes on where one was lost with its site, and the lost one may act no more."""

from __future__ import annotations

from secondsite.plan import Estate, Intent, PlanBuilder, call, gate, refuse_old_keys, result_of, runbook, seconds


@runbook(name="takeover", intent=Intent.TAKEOVER)
def takeover(estate: Estate, plan: PlanBuilder) -> None:
    """Have every host outside the lost site refuse the old controller, and end what it still has open there.

    What stands at the lost site is not asked: whatever is done there reaches nobody once the site is isolated, and no
    host elsewhere listens to it any more.
    """
    hosts = [host.name for host in estate.hosts.values() if host.site != plan.origin]
    plan.step(
        "authorise",
        title=f"Consent to fence the controller that was lost with {plan.origin}",
        call=call("authorise", origin=plan.origin, target=plan.target),
        hosts=(),
        gate=gate(persons=2, standing_order=False),
        repeatable=True,
        by_hand="Two persons agree, each by name, that the old controller is to act no more.",
    )
    plan.step(
        "read-revoked",
        title="Name the keys of the old controller, which open nothing any more",
        call=call("read-revoked"),
        hosts=(),
        after=("authorise",),
        reads_only=True,
        timeout=seconds(10),
        by_hand="List the old controller's public keys; make new ones and have each site's authority sign them.",
    )
    told = refuse_old_keys(
        plan,
        hosts,
        after="read-revoked",
        otherwise="the old controller could still act there",
        by_hand="Name the hosts that did not answer. Go on only when each of them is known to be without power.",
    )
    plan.step(
        "end-sessions",
        title="End every session that was opened before, with all it runs",
        call=call("end-sessions", hosts=hosts),
        hosts=tuple(hosts),
        after=(told,),
        repeatable=True,
        timeout=seconds(60),
        by_hand="On each host: kill every session of ops and runner but your own, and what it started.",
    )
    plan.step(
        "see-refused",
        title="See on every host that the old keys are refused and no old session is left",
        call=call("see-sessions-ended", hosts=hosts, revoked=result_of("read-revoked", "revoked")),
        hosts=tuple(hosts),
        after=("end-sessions",),
        reads_only=True,
        timeout=seconds(60),
        by_hand="On each host: who -a, and /etc/ssh/secondsite/revoked names every old key.",
    )
