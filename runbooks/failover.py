"""Failover: restart operations at the target after the origin was lost."""

from __future__ import annotations

from secondsite.plan import (
    Estate,
    FencingKind,
    Guard,
    HostName,
    Intent,
    PlanBuilder,
    Service,
    SiteKind,
    Workload,
    call,
    close_by_hand,
    gate,
    guard,
    isolate_by_hand,
    journey_by_hand,
    keep_isolation_by_hand,
    lift_by_hand,
    listen_by_hand,
    open_by_hand,
    outlet_by_hand,
    point_name,
    promote_by_hand,
    read_isolation_by_hand,
    read_lease_by_hand,
    runbook,
    seconds,
    try_silence_by_hand,
    verify_by_hand,
    visit_name,
)


@runbook(name="failover", intent=Intent.FAILOVER)
def failover(estate: Estate, plan: PlanBuilder) -> None:
    """Restart operations at the target site after the origin was lost."""
    _detect_and_authorise(estate, plan)
    _fence(estate, plan)
    for workload in estate.workloads.values():
        _promote(estate, plan, workload)
    for service in estate.services:
        _redirect(estate, plan, service)
    for named in estate.published[len(estate.services) :]:
        promoted = tuple(f"promote-{name}" for name in named.workloads)
        point_name(estate, plan, named, after=promoted, guards=(_fenced(estate, plan),))
        visit_name(plan, named, customers=_customers(estate))


def _detect_and_authorise(estate: Estate, plan: PlanBuilder) -> None:
    addresses = _addresses(estate, plan)
    plan.step(
        "detect",
        title=f"Watch {plan.origin} from outside until it is lost",
        call=call(
            "watch-site",
            site=plan.origin,
            addresses=addresses,
            vantage=list(estate.detection.vantage),
            silence_ms=int(estate.detection.silence.total_seconds() * 1000),
        ),
        hosts=estate.detection.vantage,
        reads_only=True,
        timeout=seconds(600),
        expected=seconds(2),
        by_hand="Lost means that every address stays silent from every one of these places, at the same time.",
        commands=listen_by_hand(estate, site=plan.origin, vantage=estate.detection.vantage),
    )
    plan.step(
        "declare",
        title=f"Declare {plan.origin} lost",
        call=call("declare", site=plan.origin),
        hosts=(),
        after=("detect",),
        guards=(guard("site-lost", on=("detect",)),),
        reads_only=True,
        by_hand="Write down the time, who declares, and what was seen.",
    )
    plan.step(
        "authorise",
        title="Consent to fence and to promote",
        call=call("authorise", origin=plan.origin, target=plan.target),
        hosts=(),
        after=("declare",),
        gate=gate(persons=2, standing_order=True),
        repeatable=True,
        by_hand="Two persons agree, each by name, or the standing order covers this case: read its conditions.",
    )


def _fence(estate: Estate, plan: PlanBuilder) -> None:
    """Keep the origin from writing by each kind the estate declares, and confirm that one of them did."""
    carriers, outlets = _carriers(estate, plan), _outlets(estate, plan)
    for carrier in carriers:
        _isolate(estate, plan, carrier)
    for host in outlets:
        _switch_off(estate, plan, host)
    _customers_silence(estate, plan)
    for carrier in carriers:
        _keep_isolated(estate, plan, carrier)
    plan.step(
        "confirm-fencing",
        title="Confirm the fencing (ADR 0005)"
        + ("" if carriers or outlets else ": impossible here, no carrier's filter is declared"),
        call=call("confirm-fencing", site=plan.origin),
        hosts=(),
        after=_observers(estate, plan),
        guards=(_fenced(estate, plan),),
        reads_only=True,
        by_hand=_confirm_by_hand(carriers, outlets),
    )


def _isolate(estate: Estate, plan: PlanBuilder, carrier: HostName) -> None:
    networks = _networks(estate, plan)
    plan.step(
        f"isolate-{carrier}",
        title=f"Isolate {plan.origin} at {carrier}",
        call=call("isolate", carrier=carrier, networks=networks, **_either(estate, plan)),
        hosts=(carrier,),
        # so that a run resumed before it isolated looks again: who returned meanwhile is not cut off
        after=("authorise", "detect"),
        guards=(guard("site-lost", on=("detect",)),),
        probe=call("isolated", carrier=carrier, networks=networks),
        repeatable=True,
        undo=call("lift-unless-promoted", carrier=carrier, networks=networks, site=plan.origin),
        timeout=seconds(5),
        commands=isolate_by_hand(carrier, networks),
        undo_commands=lift_by_hand(carrier, networks),
        destroys=(plan.origin,),
    )
    plan.step(
        f"read-back-{carrier}",
        title=f"Read back from {carrier} that it drops {plan.origin}",
        call=call("read-isolation", carrier=carrier, networks=networks, **_either(estate, plan)),
        hosts=(carrier,),
        after=(f"isolate-{carrier}",),
        reads_only=True,
        timeout=seconds(5),
        commands=read_isolation_by_hand(carrier, networks),
    )


def _keep_isolated(estate: Estate, plan: PlanBuilder, carrier: HostName) -> None:
    plan.step(
        f"keep-{carrier}",
        title=f"Keep {carrier} isolating {plan.origin} after a restart",
        call=call("keep-isolation", carrier=carrier, **_either(estate, plan)),
        hosts=(carrier,),
        after=(f"read-back-{carrier}",),
        repeatable=True,
        undo=call("lift-unless-promoted", carrier=carrier, networks=_networks(estate, plan), site=plan.origin),
        timeout=seconds(5),
        commands=keep_isolation_by_hand(carrier, _networks(estate, plan)),
        undo_commands=lift_by_hand(carrier, _networks(estate, plan)),
    )


def _switch_off(estate: Estate, plan: PlanBuilder, host: HostName) -> None:
    plan.step(
        f"power-off-{host}",
        title=f"Switch the outlet of {host} off",
        call=call("power-off", site=plan.origin, host=host, **_either(estate, plan)),
        hosts=(host,),
        after=("authorise", "detect"),
        guards=(guard("site-lost", on=("detect",)),),
        probe=call("outlet-off", site=plan.origin, host=host),
        repeatable=True,
        undo=call("power-on-unless-promoted", site=plan.origin, host=host),
        timeout=seconds(40),
        by_hand=outlet_by_hand(estate.fencing_of(plan.origin), host=host, action="off"),
    )
    plan.step(
        f"read-outlet-{host}",
        title=f"Read at the endpoint that the outlet of {host} is off, and ask {host} itself",
        call=call("read-outlet", site=plan.origin, host=host),
        hosts=(host,),
        after=(f"power-off-{host}",),
        reads_only=True,
        timeout=seconds(30),
        by_hand=outlet_by_hand(estate.fencing_of(plan.origin), host=host, action="status")
        + f" Then ssh {host}: any answer, a refusal included, means that another machine hangs on that outlet.",
    )


def _customers_silence(estate: Estate, plan: PlanBuilder) -> None:
    customers, carriers = _customers(estate), _carriers(estate, plan)
    plan.step(
        "customers-silence",
        title=f"Try {plan.origin} from the customers' side",
        call=call("try-silence", addresses=_silent(estate, plan), sources=customers),
        hosts=tuple(customers),
        after=(
            *(f"isolate-{carrier}" for carrier in carriers),
            *(f"power-off-{host}" for host in _outlets(estate, plan)),
        ),
        reads_only=True,
        timeout=seconds(10),
        by_hand="Any answer, a refusal included, means that the site is not fenced.",
        commands=try_silence_by_hand(estate, site=plan.origin, sources=customers),
    )


def _confirm_by_hand(carriers: list[HostName], outlets: list[HostName]) -> str:
    isolated = "both carriers showed the drop and the customers' side heard nothing"
    dark = f"the outlets of {', '.join(outlets)} all read off, and none of these hosts answers anybody"
    told = [*([isolated] if carriers or not outlets else []), *([dark] if outlets else [])]
    return f"Go on only if {', or if '.join(told)}."


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
            _fenced(estate, plan),
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
        if _carriers(estate, plan) or _outlets(estate, plan)
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
    observed = tuple(name for name in _observers(estate, plan) if name != "customers-silence")
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
    point_name(estate, plan, service, after=("confirm-fencing",), guards=(_fenced(estate, plan),))
    judged = [f"promote-{name}" for name in service.workloads]
    customers = _customers(estate)
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


def _fenced(estate: Estate, plan: PlanBuilder) -> Guard:
    outlets = _outlets(estate, plan)
    fed = [str(estate.hosts[host].address) for host in outlets if estate.hosts[host].address is not None]
    by_power = {"outlets": outlets, "fed": fed, "site": plan.origin} if outlets else {}
    return guard(
        "fencing-confirmed",
        on=_observers(estate, plan),
        carriers=_carriers(estate, plan),
        addresses=_silent(estate, plan),
        **by_power,
    )


def _observers(estate: Estate, plan: PlanBuilder) -> tuple[str, ...]:
    read_back = tuple(f"read-back-{carrier}" for carrier in _carriers(estate, plan))
    return (*read_back, *(f"read-outlet-{host}" for host in _outlets(estate, plan)), "customers-silence")


def _either(estate: Estate, plan: PlanBuilder) -> dict[str, bool]:
    """Say to the steps of one kind that another may confirm the fencing: their failure is a finding, not the end."""
    several = bool(_carriers(estate, plan)) and bool(_outlets(estate, plan))
    return {"another_may_confirm": True} if several else {}


def _networks(estate: Estate, plan: PlanBuilder) -> list[str]:
    return [str(network) for network in estate.networks_of(plan.origin)]


def _carriers(estate: Estate, plan: PlanBuilder) -> list[HostName]:
    """Name the carriers at which the origin is isolated; none if it is fenced by power alone."""
    if FencingKind.ISOLATION not in estate.fencing_of(plan.origin).kinds:
        return []
    return [host.name for host in estate.hosts.values() if estate.sites[host.site].kind is SiteKind.CARRIER]


def _outlets(estate: Estate, plan: PlanBuilder) -> list[HostName]:
    """Name the hosts of the origin whose outlets are switched off; none unless the estate declares power."""
    power = estate.fencing_of(plan.origin).power
    return list(power.outlets) if power is not None else []


def _customers(estate: Estate) -> list[str]:
    return [host.name for host in estate.hosts.values() if estate.sites[host.site].kind is SiteKind.CUSTOMERS]


def _addresses(estate: Estate, plan: PlanBuilder) -> list[str]:
    return [str(host.address) for host in estate.hosts_at(plan.origin) if host.address is not None]


def _silent(estate: Estate, plan: PlanBuilder) -> list[str]:
    """Return the addresses that customers must not hear: the whole site's, or those whose power was cut."""
    outlets = _outlets(estate, plan)
    if _carriers(estate, plan) or not outlets:
        return _addresses(estate, plan)
    return [str(estate.hosts[host].address) for host in outlets if estate.hosts[host].address is not None]
