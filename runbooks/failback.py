"""Failback: bring operations home after the lost site returned."""

from __future__ import annotations

from secondsite.plan import (
    Estate,
    FencingKind,
    HostName,
    Intent,
    PlanBuilder,
    Service,
    SiteKind,
    Workload,
    call,
    catch_up_by_hand,
    close_by_hand,
    gate,
    guard,
    isolate_by_hand,
    journey_by_hand,
    lift_by_hand,
    open_by_hand,
    outlet_by_hand,
    point_name,
    reach_by_hand,
    read_writability_by_hand,
    rebuild_by_hand,
    runbook,
    seconds,
    switch_by_hand,
    visit_name,
)

CONSENT_BY_HAND = "Two persons agree, each by name, or the standing order covers this case: read its conditions."


@runbook(name="failback", intent=Intent.FAILBACK)
def failback(estate: Estate, plan: PlanBuilder) -> None:
    """Rebuild the returned site as a standby, catch up, switch home to it, and protect the data at both sites again."""
    returned = tuple(host.name for host in estate.hosts_at(plan.target))
    plan.step(
        "reach",
        title=f"Reach the returned hosts of {plan.target} out of band",
        call=call("reach", hosts=list(returned)),
        hosts=returned,
        after=_power_back(estate, plan),
        reads_only=True,
        timeout=seconds(30),
        by_hand="Log in to every one of them.",
        commands=reach_by_hand(returned),
    )
    for workload in estate.workloads.values():
        _require_unwritable(plan, workload)
    _lift_isolation(estate, plan)
    _consent_to_rebuild(estate, plan)
    for workload in estate.workloads.values():
        _rebuild(estate, plan, workload)
    for service in estate.services:
        _open_home(plan, service)
    for workload in estate.workloads.values():
        using = tuple(service for service in estate.services if workload.name in service.workloads)
        _switch_home(estate, plan, workload, services=using)
    for service in estate.services:
        _customers_home(estate, plan, service)
    for named in estate.published[len(estate.services) :]:
        point_name(estate, plan, named, after=tuple(f"switch-{name}" for name in named.workloads))
        visit_name(plan, named, customers=_customers(estate))


def _power_back(estate: Estate, plan: PlanBuilder) -> tuple[str, ...]:
    """Switch the outlets on that a failover switched off, and return what to wait for.

    Whatever confirmed the fencing: a host that starts does so behind carriers that drop its site, where they can, until
    it was seen not to write.
    """
    fencing = estate.fencing_of(plan.target)
    if fencing.power is None:
        return ()
    networks = [str(network) for network in estate.networks_of(plan.target)]
    carriers = _carriers(estate) if FencingKind.ISOLATION in fencing.kinds else []
    if carriers:
        plan.step(
            "consent-to-hold",
            title=f"Consent to isolate {plan.target} while its power comes back",
            call=call("authorise", origin=plan.origin, target=plan.target),
            gate=gate(persons=2, standing_order=True),
            repeatable=True,
            by_hand=CONSENT_BY_HAND,
        )
    for carrier in carriers:
        plan.step(
            f"hold-{carrier}",
            title=f"Isolate {plan.target} at {carrier} while its power comes back",
            call=call("isolate", carrier=carrier, networks=networks),
            hosts=(carrier,),
            after=("consent-to-hold",),
            probe=call("isolated", carrier=carrier, networks=networks),
            repeatable=True,
            verify=True,
            timeout=seconds(10),
            commands=isolate_by_hand(carrier, networks),
            destroys=(plan.target,),
        )
    for host in fencing.power.outlets:
        plan.step(
            f"power-on-{host}",
            title=f"Switch the outlet of {host} on",
            call=call("power-on", site=plan.target, host=host),
            hosts=(host,),
            after=tuple(f"hold-{carrier}" for carrier in carriers),
            probe=call("outlet-on", site=plan.target, host=host),
            repeatable=True,
            timeout=seconds(40),
            expected=seconds(2),
            by_hand=outlet_by_hand(fencing, host=host, action="on"),
        )
    hosts = list(fencing.power.outlets)
    plan.step(
        "await-hosts",
        title=f"Wait until {', '.join(hosts)} have started",
        call=call("await-hosts", hosts=hosts),
        hosts=tuple(hosts),
        after=tuple(f"power-on-{host}" for host in hosts),
        reads_only=True,
        timeout=seconds(600),
        expected=seconds(10),
        by_hand=f"Try to log in to {', '.join(hosts)} over the management network until each lets you in.",
    )
    return ("await-hosts",)


def _require_unwritable(plan: PlanBuilder, workload: Workload) -> None:
    node = workload.members[plan.target]
    plan.step(
        f"unwritable-{workload.name}",
        title=f"See that {node} accepts no write to {workload.name}",
        call=call("read-writability", workload=workload.name, host=node),
        hosts=(node,),
        after=("reach",),
        reads_only=True,
        timeout=seconds(10),
        commands=read_writability_by_hand(workload, node=node),
    )


def _lift_isolation(estate: Estate, plan: PlanBuilder) -> None:
    networks = [str(network) for network in estate.networks_of(plan.target)]
    observed = tuple(f"unwritable-{name}" for name in estate.workloads)
    for carrier in _carriers(estate):
        plan.step(
            f"lift-{carrier}",
            title=f"Let {plan.target} through at {carrier} again",
            call=call("lift", carrier=carrier, networks=networks),
            hosts=(carrier,),
            after=observed,
            guards=(guard("not-writable", on=observed),),
            probe=call("lifted", carrier=carrier, networks=networks),
            repeatable=True,
            undo=call("isolate", carrier=carrier, networks=networks),
            timeout=seconds(10),
            commands=lift_by_hand(carrier, networks),
            undo_commands=isolate_by_hand(carrier, networks),
        )


def _consent_to_rebuild(estate: Estate, plan: PlanBuilder) -> None:
    """Ask two persons before data of the returned site is wiped: what only it holds is gone afterwards."""
    observed = tuple(f"unwritable-{name}" for name in estate.workloads)
    nodes = dict.fromkeys(workload.members[plan.target] for workload in estate.workloads.values())
    plan.step(
        "consent-to-rebuild",
        title=f"Consent to wipe the data of {', '.join(nodes)} and to rebuild it from {plan.origin}",
        call=call("authorise", origin=plan.origin, target=plan.target),
        after=observed,
        guards=(guard("not-writable", on=observed),),
        gate=gate(persons=2, standing_order=True),
        repeatable=True,
        by_hand=CONSENT_BY_HAND,
    )


def _rebuild(estate: Estate, plan: PlanBuilder, workload: Workload) -> None:
    node, leader = workload.members[plan.target], workload.members[plan.origin]
    plan.step(
        f"rebuild-{workload.name}",
        title=f"Rebuild {workload.name} on {node} as a standby of {leader}",
        call=call("rebuild", workload=workload.name, host=node, leader=leader),
        hosts=(node, leader),
        after=("consent-to-rebuild", *(f"lift-{carrier}" for carrier in _carriers(estate))),
        repeatable=True,
        timeout=seconds(300),
        expected=seconds(8),
        commands=rebuild_by_hand(workload, node=node, leader=leader),
        destroys=(node,),
    )
    _catch_up(estate, plan, workload, step="catch-up", node=node, leader=leader, after="rebuild")


def _catch_up(  # noqa: PLR0913  each is a fact of its own
    estate: Estate,
    plan: PlanBuilder,
    workload: Workload,
    *,
    step: str,
    node: HostName,
    leader: HostName,
    after: str,
) -> None:
    plan.step(
        f"{step}-{workload.name}",
        title=f"Wait until {node} holds everything",
        call=call("catch-up", workload=workload.name, host=node, leader=leader),
        hosts=(node, leader),
        after=(f"{after}-{workload.name}",),
        reads_only=True,
        timeout=seconds(300),
        commands=catch_up_by_hand(estate, workload, node=node, leader=leader, avoiding=plan.target),
    )


def _open_home(plan: PlanBuilder, service: Service) -> None:
    home = service.members[plan.target]
    plan.step(
        f"open-{service.name}",
        title=f"Open {service.name} at {home}",
        call=call("open-service", service=service.name, host=home),
        hosts=(home,),
        after=tuple(f"catch-up-{name}" for name in service.workloads),
        probe=call("service-open", service=service.name, host=home),
        repeatable=True,
        undo=call("close-service", service=service.name, host=home),
        timeout=seconds(10),
        commands=open_by_hand(home),
        undo_commands=close_by_hand(home),
    )


def _switch_home(estate: Estate, plan: PlanBuilder, workload: Workload, *, services: tuple[Service, ...]) -> None:
    new, old = workload.members[plan.target], workload.members[plan.origin]
    plan.step(
        f"switch-{workload.name}",
        title=f"Switch {workload.name} over to {plan.target}",
        call=call("switchover", workload=workload.name, old=old, new=new),
        hosts=(new, old),
        after=(
            *(f"open-{service.name}" for service in services),
            *(f"switch-{name}" for name in workload.depends_on),
            f"catch-up-{workload.name}",
        ),
        guards=(guard("found-ok", on=(f"catch-up-{workload.name}",)),),
        probe=call("promoted", workload=workload.name, new=new),
        undo=call("switchover", workload=workload.name, old=new, new=old),
        timeout=seconds(120),
        expected=seconds(3),
        commands=switch_by_hand(workload, old=old, new=new),
        undo_commands=switch_by_hand(workload, old=new, new=old),
    )
    _catch_up(estate, plan, workload, step="protect", node=old, leader=new, after="switch")


def _customers_home(estate: Estate, plan: PlanBuilder, service: Service) -> None:
    new, old = service.members[plan.target], service.members[plan.origin]
    point_name(estate, plan, service, after=(f"open-{service.name}",))
    customers = _customers(estate)
    plan.step(
        f"verify-{service.name}",
        title=f"Use {service.name} as a customer does",
        call=call("journey", service=service.name, sources=customers, served_by=new),
        hosts=tuple(customers),
        # until a standby has everything again, no order is accepted where nothing may be lost
        after=(*(f"protect-{name}" for name in service.workloads), f"redirect-{service.name}"),
        repeatable=True,
        timeout=seconds(30),
        by_hand=f"From {customers[0]}: sign in at https://{service.dns_name}, order, read the order and its bill.",
        commands=journey_by_hand(estate, service, customers=customers, served_by=new),
    )
    plan.step(
        f"close-{service.name}",
        title=f"Close {service.name} at {old}",
        call=call("close-service", service=service.name, host=old),
        hosts=(old,),
        after=(f"verify-{service.name}",),
        repeatable=True,
        undo=call("open-service", service=service.name, host=old),
        timeout=seconds(10),
        commands=close_by_hand(old),
        undo_commands=open_by_hand(old),
    )


def _customers(estate: Estate) -> list[str]:
    return [host.name for host in estate.hosts.values() if estate.sites[host.site].kind is SiteKind.CUSTOMERS]


def _carriers(estate: Estate) -> list[str]:
    return [host.name for host in estate.hosts.values() if estate.sites[host.site].kind is SiteKind.CARRIER]
