"""Steps that move a name and then read it as customers do: the same in a failover and in a return."""

from __future__ import annotations

from collections.abc import Sequence

from ..estate.model import Estate, Service
from .builder import PlanBuilder, call, seconds
from .manual_services import redirect_by_hand, visit_by_hand
from .model import Guard


def point_name(
    estate: Estate, plan: PlanBuilder, service: Service, *, after: tuple[str, ...], guards: Sequence[Guard] = ()
) -> None:
    """Have the service's name lead to the target, if it still leads to the origin."""
    old = str(estate.hosts[service.members[plan.origin]].address)
    new = str(estate.hosts[service.members[plan.target]].address)
    plan.step(
        f"redirect-{service.name}",
        title=f"Point {service.dns_name} to {plan.target}",
        call=call("redirect", service=service.name, old=old, new=new),
        hosts=(service.name_server,),
        after=after,
        guards=guards,
        probe=call("redirected", service=service.name, new=new),
        undo=call("redirect", service=service.name, old=new, new=old),
        timeout=seconds(10),
        commands=redirect_by_hand(service, old=old, new=new),
        undo_commands=redirect_by_hand(service, old=new, new=old),
    )


def visit_name(plan: PlanBuilder, named: Service, *, customers: Sequence[str], after: Sequence[str] = ()) -> None:
    """Read the first page under the name from the customers' side, once the name was moved, and ``after`` that."""
    host = named.members[plan.target]
    plan.step(
        f"verify-{named.name}",
        title=f"Read {named.dns_name} as a customer does",
        call=call("visit", service=named.name, sources=list(customers), served_by=host),
        hosts=tuple(customers),
        after=(f"redirect-{named.name}", *after),
        reads_only=True,
        timeout=seconds(30),
        commands=visit_by_hand(named, customers=customers, served_by=host),
    )
