"""Failover: restart operations at the target after the origin was lost."""

from __future__ import annotations

from secondsite.plan import (
    Estate,
    Intent,
    PlanBuilder,
    Service,
    Workload,
    call,
    close_by_hand,
    customers_of,
    declare_lost,
    fence,
    fencing_confirmed,
    fencing_observers,
    guard,
    isolating_carriers,
    journey_by_hand,
    open_by_hand,
    point_name,
    promote_by_hand,
    read_lease_by_hand,
    runbook,
    seconds,
    switched_outlets,
    verify_by_hand,
    visit_name,
)


@runbook(name="failover", intent=Intent.FAILOVER)
def failover(estate: Estate, plan: PlanBuilder) -> None:
    """Restart operations at the target site after the origin was lost."""
    declare_lost(estate, plan)
    fence(estate, plan)
    for workload in estate.workloads.values():
        _promote(estate, plan, workload)
    for service in estate.services:
        _redirect(estate, plan, service)
    for named in estate.published[len(estate.services) :]:
        promoted = tuple(f"promote-{name}" for name in named.workloads)
        point_name(estate, plan, named, after=promoted, guards=(fencing_confirmed(estate, plan),))
        visit_name(plan, named, customers=customers_of(estate))


def _promote(estate: Estate, plan: PlanBuilder, workload: Workload) -> None:
    old, new = workload.members[plan.origin], workload.members[plan.target]
    loss_allowed = workload.objectives.rpo.total_seconds() > 0
    plan.step(
        f"read-lease-{workload.name}",
        title=f"Read who may write {workload.name}, and who is in sync",
        call=call("read-lease", workload=workload.name, old=old, new=new, loss_allowed=loss_allowed),
        hosts=(new,),
        after=_when_to_read(estate, plan, workload),
        reads_only=True,
        timeout=seconds(30),
        commands=read_lease_by_hand(estate, workload, old=old, new=new, avoiding=plan.origin),
    )
    plan.step(
        f"promote-{workload.name}",
        title=f"Promote {workload.name} at {plan.target}",
        call=call("promote", workload=workload.name, old=old, new=new),
        hosts=(new,),
        after=(
            "confirm-fencing",
            f"read-lease-{workload.name}",
            *(f"promote-{name}" for name in _before(estate, workload)),
        ),
        guards=(
            fencing_confirmed(estate, plan),
            guard("found-ok", on=(f"read-lease-{workload.name}",)),
            guard("in-sync", on=(f"read-lease-{workload.name}",)),
        ),
        probe=call("promoted", workload=workload.name, new=new),
        timeout=seconds(60),
        expected=seconds(1),
        by_hand=_before_promoting(estate, plan),
        commands=promote_by_hand(estate, workload, old=old, new=new, avoiding=plan.origin),
    )
    if workload.takes_markers:  # what customers use is used by the service's own verification
        plan.step(
            f"use-{workload.name}",
            title=f"Write to {workload.name} at {plan.target}, and take it back",
            call=call("verify-workload", workload=workload.name, host=new),
            hosts=(new,),
            after=(f"promote-{workload.name}",),
            repeatable=True,
            timeout=seconds(15),
            commands=verify_by_hand(workload, node=new),
        )


def _before_promoting(estate: Estate, plan: PlanBuilder) -> str:
    return (
        "Only when the fencing is confirmed: otherwise there would be two writers, and customers' data would part."
        if isolating_carriers(estate, plan) or switched_outlets(estate, plan)
        else "Not by hand either: nothing here can confirm the fencing."
    )


def _before(estate: Estate, workload: Workload) -> list[str]:
    """Name what is promoted first: what it depends on, and for what customers can wait, what they wait for."""
    waited_for = [name for service in estate.services for name in service.workloads]
    first = [] if workload.name in waited_for else waited_for
    return sorted({*workload.depends_on, *first})


def _when_to_read(estate: Estate, plan: PlanBuilder, workload: Workload) -> tuple[str, ...]:
    """Return after what it is read who may write.

    At once for what customers wait for. For the rest there is time while silence is listened for: before, it would only
    compete with the isolation and what proves it.
    """
    waited_for = {name for service in estate.services for name in service.workloads}
    observed = tuple(name for name in fencing_observers(estate, plan) if name != "customers-silence")
    return ("authorise",) if workload.name in waited_for or not observed else observed


def _redirect(estate: Estate, plan: PlanBuilder, service: Service) -> None:
    new = service.members[plan.target]
    plan.step(
        f"open-{service.name}",
        title=f"Open {service.name} at {new}",
        call=call("open-service", service=service.name, host=new),
        hosts=(new,),
        after=("confirm-fencing",),
        probe=call("service-open", service=service.name, host=new),
        repeatable=True,
        undo=call("close-service", service=service.name, host=new),
        timeout=seconds(10),
        commands=open_by_hand(new),
        undo_commands=close_by_hand(new),
    )
    point_name(estate, plan, service, after=("confirm-fencing",), guards=(fencing_confirmed(estate, plan),))
    judged = [f"promote-{name}" for name in service.workloads]
    customers = customers_of(estate)
    plan.step(
        f"verify-{service.name}",
        title=f"Use {service.name} as a customer does",
        call=call("journey", service=service.name, sources=customers, served_by=new),
        hosts=tuple(customers),
        after=(*judged, f"open-{service.name}", f"redirect-{service.name}"),
        repeatable=True,
        timeout=seconds(30),
        by_hand=f"From {customers[0]}: sign in at https://{service.dns_name}, order, read the order and its bill.",
        commands=journey_by_hand(estate, service, customers=customers, served_by=new),
    )
