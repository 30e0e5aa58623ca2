"""Rotate certificates: every site gets a new TLS authority and new certificates, one site after the other."""

from __future__ import annotations

from collections.abc import Sequence

from secondsite.plan import Estate, Intent, PlanBuilder, SiteKind, SiteName, call, result_of, runbook, seconds

PLAYBOOK = "roles/certificates.yml"


@runbook(name="rotate_certificates", intent=Intent.PROVISION)
def rotate_certificates(estate: Estate, plan: PlanBuilder) -> None:
    """Replace every site's TLS authority and certificates without a moment of distrust, never at both sites at once.

    Whom the new authority signs is believed everywhere before it signs, and the old one is believed until nothing it
    signed is in use. A run that is cut in between leaves old and new believed, and is resumed.
    """
    plan.uses("roles")
    sites = _in_order(estate)
    hosts = {site: [host.name for host in estate.hosts_at(site) if host.address is not None] for site in sites}
    plan.step(
        "reach",
        title="Reach every host: one that misses a phase would believe nobody afterwards",
        call=call("reach", hosts=[name for site in sites for name in hosts[site]]),
        hosts=tuple(name for site in sites for name in hosts[site]),
        reads_only=True,
        timeout=seconds(30),
        by_hand="Log in to every host over the management network.",
    )
    plan.step(
        "see-before",
        title="Note which listeners fail already",
        call=call("meet-listeners"),
        hosts=(),
        after=("reach",),
        reads_only=True,
        timeout=seconds(60),
        by_hand="Write down what fails before anything is changed: an authority that ended makes its listeners fail.",
    )
    for site in sites:
        plan.step(
            f"begin-{site}",
            title=f"Make the next authority of {site}",
            call=call("begin-authority", site=site),
            hosts=(),
            after=("see-before",),
            repeatable=True,
            by_hand=f"Make a key and a self-signed certificate for {site}; seal the key for its keeper and for escrow.",
        )
    last = [f"begin-{site}" for site in sites]
    for site in sites:
        _bring(plan, "believe", site, hosts[site], after=last, what=f"Let {site} believe the next authorities as well")
        last = [_shake(plan, f"see-believed-{site}", after=[f"believe-{site}"])]
    for site in sites:
        plan.step(
            f"activate-{site}",
            title=f"Let the next authority of {site} sign",
            call=call("activate-authority", site=site),
            hosts=(),
            after=tuple(last),
            repeatable=True,
            by_hand=f"From now on {site}'s keeper signs with the new key; the old certificate stays in every bundle.",
        )
        _bring(plan, "certify", site, hosts[site], after=[f"activate-{site}"], what=f"Certify the hosts of {site} anew")
        last = [_shake(plan, f"see-certified-{site}", after=[f"certify-{site}"], new_at=[site])]
    for site in sites:
        plan.step(
            f"retire-{site}",
            title=f"Let nobody believe the old authority of {site}",
            call=call("retire-authority", site=site),
            hosts=(),
            after=tuple(last),
            repeatable=True,
            by_hand=f"Take the old certificate of {site} out of the bundle; leave its sealed key in escrow.",
        )
    last = [f"retire-{site}" for site in sites]
    for site in sites:
        _bring(plan, "forget", site, hosts[site], after=last, what=f"Let {site} forget the old authorities")
        last = [_shake(plan, f"see-rotated-{site}", after=[f"forget-{site}"], new_at=sites)]
    plan.step(
        "hand-over-keys",
        title="Keep no key of an authority that its site holds",
        call=call("ask-keepers", must_hold=True),
        hosts=(),
        after=tuple(last),
        repeatable=True,
        timeout=seconds(60),
        by_hand="For each key that its keeper holds: seal it for escrow alone, and remove every other copy.",
    )


def _bring(
    plan: PlanBuilder, phase: str, site: SiteName, hosts: Sequence[str], *, after: Sequence[str], what: str
) -> None:
    plan.step(
        f"{phase}-{site}",
        title=what,
        call=call("converge", playbook=PLAYBOOK, hosts=list(hosts)),
        hosts=tuple(hosts),
        after=tuple(after),
        repeatable=True,
        timeout=seconds(300),
        expected=seconds(8),
        by_hand=f"ansible-playbook {PLAYBOOK} --limit {','.join(hosts)}",
    )


def _shake(plan: PlanBuilder, name: str, *, after: Sequence[str], new_at: Sequence[SiteName] = ()) -> str:
    plan.step(
        name,
        title="Shake hands with every listener by address, as its peers and customers do",
        call=call(
            "handshakes",
            issuers={site: result_of(f"activate-{site}", "issuer") for site in new_at},
            known=result_of("see-before", "failing"),
        ),
        hosts=(),
        after=tuple(after),
        reads_only=True,
        timeout=seconds(60),
        by_hand="From each peer: openssl s_client -connect ADDRESS:PORT -servername NAME -CAfile"
        " /etc/secondsite/tls/ca-bundle.crt -verify_return_error, and look at the issuer.",
    )
    return name


def _in_order(estate: Estate) -> list[SiteName]:
    """Datacenters last, and those that hold workloads in calm times after all others."""
    homes = {workload.home for workload in estate.workloads.values()}
    certified = [site for site in estate.sites if any(host.address is not None for host in estate.hosts_at(site))]
    return sorted(certified, key=lambda site: (estate.sites[site].kind is SiteKind.DATACENTER, site in homes))
