"""Provision: bring every host of the estate from bare to serving."""

from __future__ import annotations

from secondsite.plan import (
    Estate,
    Intent,
    PlanBuilder,
    SiteKind,
    ask_keepers,
    call,
    escrow_hosts,
    first_backups,
    first_contact,
    first_verifications,
    hand_over_escrow,
    hand_over_keys,
    keep_kit,
    keeping_hosts,
    kit_hosts,
    note_machines,
    open_escrow,
    result_of,
    runbook,
    seconds,
)

PLAYBOOK = "roles/estate.yml"


@runbook(name="provision", intent=Intent.PROVISION)
def provision(estate: Estate, plan: PlanBuilder) -> None:
    """Make first contact with every host, bring it to the state its roles describe, and use what it serves."""
    hosts = [str(name) for name in estate.hosts]
    plan.uses("roles", "runbooks")
    plan.step(
        "check-authorities",
        title="See that every site has a TLS authority that can sign",
        call=call("check-authorities"),
        hosts=(),
        repeatable=True,
        timeout=seconds(20),
        by_hand="openssl x509 -noout -dates on each site's certificate; an authority that ended is replaced first.",
    )
    first_contact(plan, hosts, after=("check-authorities",))
    ask_keepers(plan)
    plan.step(
        "converge",
        title="Bring every host to the state its roles describe",
        call=call("converge", playbook=PLAYBOOK, hosts=result_of("first-contact", "reached")),
        hosts=tuple(hosts),
        after=("ask-keepers",),
        repeatable=True,
        timeout=seconds(900),
        expected=seconds(40),
        by_hand=f"ansible-playbook -i inventories/{estate.name}/hosts.yml {PLAYBOOK}",
    )
    note_machines(plan, hosts, whom=result_of("first-contact", "reached"), after=("converge",))
    hand_over_keys(plan, after=("converge",))
    kept = [str(host) for host in estate.procedure_hosts().values()]
    plan.step(
        "keep-procedures",
        title="Keep the procedures for persons at each site, at headquarters and in the vault",
        call=call("keep-procedures", hosts=kept),
        hosts=kept,
        after=("converge",),
        repeatable=True,
        timeout=seconds(60),
        by_hand="Print failover and failback in both directions (secondsite plan RUNBOOK --from SITE --to SITE"
        " --format html) and put them into /srv/runbooks on these hosts.",
    )
    made = ["note-machines", "hand-over-keys", "keep-procedures"]
    if vaults := kit_hosts(estate):
        keep_kit(plan, vaults, after=("hand-over-keys",))
        made.append("keep-kit")
    if keepers := escrow_hosts(estate):
        hand_over_escrow(plan, keepers, after=("hand-over-keys",))
        open_escrow(plan, keepers, after=("hand-over-escrow",))
        made.append("open-escrow")
    keeping = keeping_hosts(estate)
    if keeping:
        first_backups(plan, keeping, after=made)  # hosts that make backups have no time to answer at once
        first_verifications(plan, keeping, after=("first-backups",))
    firsts = ("first-backups", "first-verifications") if keeping else ()
    plan.step(
        "require-all-hosts",
        title="See that no host was left out",
        call=call(
            "require-all-hosts",
            unreachable=[result_of(step, "unreachable") for step in ("first-contact", "converge", *firsts)],
        ),
        hosts=tuple(hosts),
        after=firsts[-1:] or made,
        reads_only=True,
        timeout=seconds(10),
        by_hand="Name the hosts that did not answer; provision them later.",
    )
    _use(estate, plan)


def _use(estate: Estate, plan: PlanBuilder) -> None:
    """Sign in, order and read the bill as customers do: a service that merely runs proves nothing."""
    customers = [host.name for host in estate.hosts.values() if estate.sites[host.site].kind is SiteKind.CUSTOMERS]
    for service in estate.services:
        home = estate.workloads[service.workloads[0]].home
        plan.step(
            f"verify-{service.name}",
            title=f"Use {service.dns_name} as customers do",
            call=call("journey", service=service.name, sources=customers, served_by=service.members[home]),
            hosts=tuple(customers),
            after=("require-all-hosts",),
            repeatable=True,
            timeout=seconds(60),
            expected=seconds(2),
            by_hand=f"From {customers[0]}: sign in at https://{service.dns_name}, order, read the order and its bill.",
        )
