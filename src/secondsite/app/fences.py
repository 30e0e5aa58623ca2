"""Take a fence back, unless what the site held is held elsewhere by now."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network

from ..errors import Refused
from ..estate.model import Estate, SiteName, WorkloadName
from ..hands.isolation import CarrierFilter
from ..plan.rules import reasons_not_to_lift
from ..run.functions import ActionFrom, word, words
from ..run.model import Json
from ..run.ports import Fence, Outcome, Registry, StepContext
from ..workloads.ports import WorkloadAdapter


def reasons_at_the_quorum(
    estate: Estate, adapters: Mapping[WorkloadName, WorkloadAdapter], site: SiteName
) -> tuple[str, ...]:
    """Return why this site may not be let through, as the quorum tells it now.

    Raises:
        SecondsiteError: who holds a workload can't be read; then nothing is known.
    """
    leaders = {str(name): adapter.lease().leader for name, adapter in adapters.items()}
    members = {str(name): str(one.members[site]) for name, one in estate.workloads.items() if site in one.members}
    return tuple(reasons_not_to_lift(leaders, members))


def fence_registry(
    estate: Estate, *, carriers: CarrierFilter, outlets: Fence, adapters: Mapping[WorkloadName, WorkloadAdapter]
) -> Registry:
    """Return the actions that take an isolation back, and an outlet that was switched off."""

    def require_nobody_else(arguments: Json) -> None:
        reasons = reasons_at_the_quorum(estate, adapters, SiteName(word(arguments, "site")))
        if reasons:
            raise Refused(*reasons, next_step="secondsite run failback brings operations home and lifts it then")

    def lift(arguments: Json, _context: StepContext) -> Outcome:
        require_nobody_else(arguments)
        carriers.lift(word(arguments, "carrier"), [IPv4Network(one) for one in words(arguments, "networks")])
        return Outcome(changed=True)

    def switch_on(arguments: Json, _context: StepContext) -> Outcome:
        require_nobody_else(arguments)
        outlets.open(arguments)
        return Outcome(changed=True)

    actions = {"lift-unless-promoted": ActionFrom(lift), "power-on-unless-promoted": ActionFrom(switch_on)}
    return Registry(actions=actions, probes={})
