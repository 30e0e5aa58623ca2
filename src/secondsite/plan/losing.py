"""Steps that take a site for lost and keep it from writing: the same wherever operations go on without it."""

from __future__ import annotations

from ..estate.model import Estate, FencingKind, HostName, SiteKind
from .builder import PlanBuilder, call, gate, guard, seconds
from .manual_sites import (
    isolate_by_hand,
    keep_isolation_by_hand,
    lift_by_hand,
    listen_by_hand,
    read_isolation_by_hand,
    try_silence_by_hand,
)
from .model import Guard
from .outlets import outlet_by_hand


def declare_lost(estate: Estate, plan: PlanBuilder) -> None:
    """Watch the origin from outside until it is lost, declare it, and have two persons consent (step ``authorise``)."""
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


def fence(estate: Estate, plan: PlanBuilder) -> None:
    """Keep the origin from writing by each kind the estate declares, and confirm that one of them did (ADR 0005).

    The last step is ``confirm-fencing``; whatever promotes has the guard ``fencing_confirmed`` as well.
    """
    carriers, outlets = isolating_carriers(estate, plan), switched_outlets(estate, plan)
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
        after=fencing_observers(estate, plan),
        guards=(fencing_confirmed(estate, plan),),
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
    customers, carriers = customers_of(estate), isolating_carriers(estate, plan)
    plan.step(
        "customers-silence",
        title=f"Try {plan.origin} from the customers' side",
        call=call("try-silence", addresses=_silent(estate, plan), sources=customers),
        hosts=tuple(customers),
        after=(
            *(f"isolate-{carrier}" for carrier in carriers),
            *(f"power-off-{host}" for host in switched_outlets(estate, plan)),
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


def fencing_confirmed(estate: Estate, plan: PlanBuilder) -> Guard:
    """Return the guard that lets a step go on only while the origin is known not to write."""
    outlets = switched_outlets(estate, plan)
    fed = [str(estate.hosts[host].address) for host in outlets if estate.hosts[host].address is not None]
    by_power = {"outlets": outlets, "fed": fed, "site": plan.origin} if outlets else {}
    return guard(
        "fencing-confirmed",
        on=fencing_observers(estate, plan),
        carriers=isolating_carriers(estate, plan),
        addresses=_silent(estate, plan),
        **by_power,
    )


def fencing_observers(estate: Estate, plan: PlanBuilder) -> tuple[str, ...]:
    """Name the steps that observe whether the origin can write."""
    read_back = tuple(f"read-back-{carrier}" for carrier in isolating_carriers(estate, plan))
    return (*read_back, *(f"read-outlet-{host}" for host in switched_outlets(estate, plan)), "customers-silence")


def _either(estate: Estate, plan: PlanBuilder) -> dict[str, bool]:
    """Say to the steps of one kind that another may confirm the fencing: their failure is a finding, not the end."""
    several = bool(isolating_carriers(estate, plan)) and bool(switched_outlets(estate, plan))
    return {"another_may_confirm": True} if several else {}


def _networks(estate: Estate, plan: PlanBuilder) -> list[str]:
    return [str(network) for network in estate.networks_of(plan.origin)]


def isolating_carriers(estate: Estate, plan: PlanBuilder) -> list[HostName]:
    """Name the carriers at which the origin is isolated; none if it is fenced by power alone."""
    if FencingKind.ISOLATION not in estate.fencing_of(plan.origin).kinds:
        return []
    return [host.name for host in estate.hosts.values() if estate.sites[host.site].kind is SiteKind.CARRIER]


def switched_outlets(estate: Estate, plan: PlanBuilder) -> list[HostName]:
    """Name the hosts of the origin whose outlets are switched off; none unless the estate declares power."""
    power = estate.fencing_of(plan.origin).power
    return list(power.outlets) if power is not None else []


def customers_of(estate: Estate) -> list[str]:
    """Name the hosts that stand on the customers' side."""
    return [host.name for host in estate.hosts.values() if estate.sites[host.site].kind is SiteKind.CUSTOMERS]


def _addresses(estate: Estate, plan: PlanBuilder) -> list[str]:
    return [str(host.address) for host in estate.hosts_at(plan.origin) if host.address is not None]


def _silent(estate: Estate, plan: PlanBuilder) -> list[str]:
    """Return the addresses that customers must not hear: the whole site's, or those whose power was cut."""
    outlets = switched_outlets(estate, plan)
    if isolating_carriers(estate, plan) or not outlets:
        return _addresses(estate, plan)
    return [str(estate.hosts[host].address) for host in outlets if estate.hosts[host].address is not None]
