"""Cold restart: begin anew at the target from what the vault kept, when both live copies of the data are gone."""

from __future__ import annotations

from secondsite.plan import (
    Estate,
    Intent,
    PlanBuilder,
    Service,
    SiteKind,
    Workload,
    ask_keepers,
    call,
    customers_of,
    declare_lost,
    escrow_hosts,
    fence,
    fencing_confirmed,
    first_backups,
    first_contact,
    gate,
    hand_over_escrow,
    hand_over_keys,
    journey_by_hand,
    keeping_hosts,
    note_machines,
    open_by_hand,
    point_name,
    promote_by_hand,
    replay_erasures,
    result_of,
    runbook,
    seconds,
    visit_name,
)

PLAYBOOK = "roles/estate.yml"
FOUNDATIONS = ["base", "access", "carrier", "firewall", "pki", "edge", "bird", "time", "producer"]
"""What must stand before data comes back: the rest of the roles would begin workloads that hold nothing."""


@runbook(name="cold_restart", intent=Intent.RESTART)
def cold_restart(estate: Estate, plan: PlanBuilder) -> None:
    """Build the target's hosts from nothing, restore their data from the vault, and open to customers there."""
    plan.uses("roles", "runbooks")
    declare_lost(estate, plan)
    fence(estate, plan)
    _consent_to_restore(plan)
    _found(estate, plan)
    for workload in estate.workloads.values():
        if not workload.takes_markers:
            _restore_database(estate, plan, workload)
    _restore_stores(estate, plan)
    for named in estate.published:  # roles use what they bring up, and by its name
        point_name(estate, plan, named, after=("note-machines",), guards=(fencing_confirmed(estate, plan),))
    _converge_all(estate, plan)
    for workload in estate.workloads.values():
        _promote(estate, plan, workload)
    proven = replay_erasures(estate, plan, after=[f"promote-{name}" for name in estate.workloads])
    for service in estate.services:
        _open(estate, plan, service, proven=proven)
    for named in estate.published[len(estate.services) :]:
        promoted = tuple(f"promote-{name}" for name in named.workloads)
        visit_name(plan, named, customers=customers_of(estate), after=promoted)
    _protect(estate, plan)


def _consent_to_restore(plan: PlanBuilder) -> None:
    plan.step(
        "consent-to-restore",
        title=f"Consent to begin anew at {plan.target} with what the vault kept",
        call=call("authorise", origin=plan.origin, target=plan.target),
        hosts=(),
        after=("confirm-fencing",),
        gate=gate(persons=2, standing_order=True),
        repeatable=True,
        by_hand="Two persons agree, each by name: whatever was written after the newest log in the vault is given up.",
    )


def _found(estate: Estate, plan: PlanBuilder) -> None:
    """Make hosts that are new trust and be trusted, and lay what data will stand on."""
    hosts = [str(host.name) for host in estate.hosts.values() if host.site != plan.origin]
    first_contact(plan, hosts, after=("consent-to-restore",))
    ask_keepers(plan)
    voters = [] if estate.quorum is None else list(estate.quorum.members)
    lost = {plan.origin, plan.target}
    left = [str(voter) for voter in voters if estate.hosts[voter].site not in lost]
    plan.step(
        "go-on-alone",
        title="Have what is left of the agreement go on without a majority",
        call=call(
            "go-on-alone",
            host=left[0] if left else "",
            gone=[str(voter) for voter in voters if estate.hosts[voter].site == plan.origin],
            scopes=[one.settings["scope"] for one in estate.workloads.values() if not one.takes_markers],
        ),
        hosts=tuple(left[:1]),
        after=("consent-to-restore",),
        guards=(fencing_confirmed(estate, plan),),
        repeatable=True,
        timeout=seconds(120),
        expected=seconds(10),
        destroys=tuple(left[:1]),
        by_hand="Start etcd there once with force-new-cluster: true, then as ever; delete leader, sync and status of"
        " each cluster below /service.",
    )
    plan.step(
        "lay-foundations",
        title="Bring the hosts so far that data can be restored to them",
        call=call(
            "converge",
            playbook=PLAYBOOK,
            hosts=hosts,
            tags=FOUNDATIONS,
            lost=plan.origin,
            home=plan.target,
        ),
        hosts=tuple(hosts),
        after=("ask-keepers", "go-on-alone"),
        repeatable=True,
        timeout=seconds(900),
        expected=seconds(30),
        by_hand=f"ansible-playbook with an inventory that lacks {plan.origin}: {PLAYBOOK}"
        f" --tags {','.join(FOUNDATIONS)}",
    )
    plan.step(
        "require-foundations",
        title="See that no host was left out",
        call=call("require-all-hosts", unreachable=[result_of("lay-foundations", "unreachable")]),
        hosts=tuple(hosts),
        after=("lay-foundations",),
        reads_only=True,
        timeout=seconds(10),
        by_hand="Name the hosts that did not answer. Go on when each of them does.",
    )
    note_machines(plan, hosts, whom=hosts, after=("require-foundations",))


def _vault(estate: Estate) -> str:
    """Name the host whose repository outlived both datacenters."""
    kept = [host for host in estate.hosts.values() if "repository" in host.groups]
    return next((str(host.name) for host in kept if estate.sites[host.site].kind is SiteKind.VAULT), "")


def _restore_database(estate: Estate, plan: PlanBuilder, workload: Workload) -> None:
    host, source, scope = workload.members[plan.target], _vault(estate), workload.settings["scope"]
    plan.step(
        f"restore-{workload.name}",
        title=f"Restore {workload.name} from {source}, with every log that lies there",
        call=call("restore-database", host=host, scope=scope, source=source),
        hosts=(host,),
        after=("note-machines",),
        guards=(fencing_confirmed(estate, plan),),
        repeatable=True,
        timeout=seconds(6 * 3600),
        expected=seconds(20),
        destroys=(host,),
        by_hand=f"On {host}, as postgres: pgbackrest --stanza={scope} --repo=N restore, N being the number"
        f" that {source} has in /etc/pgbackrest.conf; start it without a listener, wait until it is not in"
        " recovery any more, stop it.",
    )


def _restore_stores(estate: Estate, plan: PlanBuilder) -> None:
    """Restore each store's folder once: its workloads lie below it."""
    hosts = {str(one.members[plan.target]) for one in estate.workloads.values() if one.takes_markers}
    for host in sorted(hosts):
        plan.step(
            f"restore-{host}",
            title=f"Restore what {host} kept, from its newest snapshot at {_vault(estate)}",
            call=call("restore-files", host=host, path="/srv/store", owner="store", user="storekeeper.service"),
            hosts=(host,),
            after=("note-machines",),
            guards=(fencing_confirmed(estate, plan),),
            repeatable=True,
            timeout=seconds(6 * 3600),
            expected=seconds(10),
            destroys=(host,),
            by_hand=f"On {host}, before its roles run: secondsite-restic restore latest --tag files"
            " --include /srv/store --target / --verify; useradd --system store; chown -R store:store /srv/store.",
        )


def _converge_all(estate: Estate, plan: PlanBuilder) -> None:
    voters = [] if estate.quorum is None else list(estate.quorum.members)
    new = [voter for voter in voters if estate.hosts[voter].site == plan.target]
    left = [str(voter) for voter in voters if estate.hosts[voter].site not in (plan.origin, plan.target)]
    plan.step(
        "expect-members",
        title="Have the agreement expect its new members",
        call=call(
            "expect-members",
            host=left[0] if left else "",
            new={str(voter): f"https://{estate.hosts[voter].address}:2380" for voter in new},
        ),
        hosts=tuple(left[:1]),
        after=("note-machines",),
        repeatable=True,
        timeout=seconds(120),
        by_hand="There: etcdctl member add NAME --peer-urls=https://ADDRESS:2380 for each of them.",
    )
    hosts = [str(host.name) for host in estate.hosts.values() if host.site != plan.origin]
    restored = [step.name for step in plan.steps if step.name.startswith(("restore-", "redirect-"))]
    plan.step(
        "open-hosts",
        title="Bring every host to the state its roles describe, on the data that was restored",
        call=call("converge", playbook=PLAYBOOK, hosts=hosts, lost=plan.origin, home=plan.target),
        hosts=tuple(hosts),
        after=(*restored, "expect-members"),
        repeatable=True,
        timeout=seconds(900),
        expected=seconds(40),
        by_hand=f"ansible-playbook with an inventory that lacks {plan.origin}: {PLAYBOOK}",
    )
    hand_over_keys(plan, after=("open-hosts",), lost=str(plan.origin))
    if keepers := escrow_hosts(estate, but=str(plan.origin)):
        hand_over_escrow(plan, keepers, after=("hand-over-keys",))


def _promote(estate: Estate, plan: PlanBuilder, workload: Workload) -> None:
    """See that a restored database is written to; let a restored store be written to."""
    old, new = workload.members[plan.origin], workload.members[plan.target]
    plan.step(
        f"promote-{workload.name}",
        title=f"Let {workload.name} be written at {plan.target}",
        call=call("promote" if workload.takes_markers else "verify-workload", **_whom(workload, old=old, new=new)),
        hosts=(new,),
        after=("open-hosts",),
        guards=(fencing_confirmed(estate, plan),),
        probe=call("promoted", workload=workload.name, new=new),
        repeatable=not workload.takes_markers,
        timeout=seconds(60),
        expected=seconds(1),
        commands=promote_by_hand(estate, workload, old=old, new=new, avoiding=plan.origin)
        if workload.takes_markers
        else (),
        by_hand="" if workload.takes_markers else f"On {new}: secondsite-patronictl list; it leads, alone.",
    )


def _whom(workload: Workload, *, old: str, new: str) -> dict[str, str]:
    whom = {"old": old, "new": new} if workload.takes_markers else {"host": new}
    return {"workload": workload.name, **whom}


def _open(estate: Estate, plan: PlanBuilder, service: Service, *, proven: tuple[str, ...]) -> None:
    """Open to customers when nobody who was erased is in what was restored."""
    new, customers = service.members[plan.target], customers_of(estate)
    promoted = tuple(f"promote-{name}" for name in service.workloads)
    plan.step(
        f"open-{service.name}",
        title=f"Open {service.name} at {new}",
        call=call("open-service", service=service.name, host=new),
        hosts=(new,),
        after=(*promoted, *proven),
        probe=call("service-open", service=service.name, host=new),
        repeatable=True,
        timeout=seconds(10),
        commands=open_by_hand(new),
    )
    plan.step(
        f"verify-{service.name}",
        title=f"Use {service.name} as a customer does",
        call=call("journey", service=service.name, sources=customers, served_by=new),
        hosts=tuple(customers),
        after=(f"open-{service.name}",),
        repeatable=True,
        timeout=seconds(60),
        by_hand=f"From {customers[0]}: sign in at https://{service.dns_name}, order, read the order and its bill.",
        commands=journey_by_hand(estate, service, customers=customers, served_by=new),
    )


def _protect(estate: Estate, plan: PlanBuilder) -> None:
    """Make what now lives nowhere else safe again."""
    verified = tuple(f"verify-{service.name}" for service in estate.services)
    first_backups(plan, keeping_hosts(estate, but=str(plan.origin)), after=verified or ("open-hosts",))
