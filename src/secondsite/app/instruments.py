"""What measures during a drill, put together for one estate."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..drill.ports import FinalRead
from ..errors import MeasurementError, SecondsiteError, Unreachable
from ..estate.model import Estate, HostName, SiteKind, SiteName, WorkloadName
from ..probes.actions import journey_customer
from ..probes.clocks import document, read_clocks
from ..probes.customers import Customer, CustomerTraffic
from ..probes.markers import Planter, planting_in
from ..probes.writability import GIVE_UP_AFTER_S, NodePoller, polled_workloads
from ..store.records import RecordFolder
from ..workloads.aging import let_a_day_go_by
from ..workloads.hold import ReplicationHold
from .bench import Bench
from .fences import reasons_at_the_quorum

_HEARD_AGAIN_S = 20.0  # TCP tries again at growing intervals


@dataclass(kw_only=True)
class Instruments:
    """Traffic, writability polls, holds and final reads of one drill that loses the sites in ``lost``."""

    bench: Bench
    records: RecordFolder
    lost: frozenset[SiteName] = frozenset()
    deaf_for_s: float = 0.0
    """For how long this controller will hear nobody; the hosts keep what they have to tell until then."""

    @cached_property
    def traffic(self) -> CustomerTraffic:
        """Customers of the estate's service, as the tenant that drills may use."""
        estate = self.bench.estate
        (service,) = estate.services
        if estate.drills is None or estate.service_level is None:
            raise SecondsiteError("the estate declares no terms for drills, or no service level")
        customer = Customer(host=customers_of(estate)[0], shop=service.dns_name, name=estate.drills.tenant)
        latency = estate.service_level.latency
        return CustomerTraffic(self.bench.hands, customer, records=self.records, latency=latency)

    def journeying_customer(self) -> Customer:
        """Another customer than the traffic's, so that its orders are told apart."""
        (service,) = self.bench.estate.services
        return Customer(
            host=customers_of(self.bench.estate)[0], shop=service.dns_name, name=journey_customer(self.bench.estate)
        )

    @cached_property
    def writability(self) -> NodePoller:
        """Every node of every workload."""
        return NodePoller(
            self.bench.hands,
            polled_workloads(self.bench.estate),
            records=self.records,
            monotonic=self.bench.clock.monotonic,
            patience_s=self.deaf_for_s + _HEARD_AGAIN_S if self.deaf_for_s else GIVE_UP_AFTER_S,
        )

    @cached_property
    def markers(self) -> Planter | None:
        """Markers in the workloads that customers do not write to, named after the folder of this drill's records."""
        planting = planting_in(self.bench.estate, run=f"drill-{self.records.folder.parent.name}", lost=self.lost)
        return Planter(self.bench.hands, planting, records=self.records) if planting is not None else None

    @cached_property
    def replication(self) -> DrillReplication:
        """Holds and final reads."""
        return DrillReplication(bench=self.bench, records=self.records)

    def clocks(self) -> dict[str, object]:
        """Compare the clocks of all recorders."""
        estate = self.bench.estate
        databases = [host for workload in estate.workloads.values() for host in workload.members.values()]
        planters = [
            host.name for host in estate.hosts.values() if estate.sites[host.site].kind is SiteKind.HEADQUARTERS
        ]
        recorders: list[HostName] = list(dict.fromkeys([customers_of(estate)[0], *databases, *planters]))
        return document(read_clocks(self.bench.hands, recorders, monotonic=self.bench.clock.monotonic))


@dataclass(kw_only=True)
class DrillReplication:
    """What a drill does to, and asks of, the workloads themselves."""

    bench: Bench
    records: RecordFolder

    def hold_back(self, workload: WorkloadName, *, at: SiteName) -> None:
        """Stop the copy at ``at`` from receiving."""
        port = int(self.bench.estate.workloads[workload].settings["port"])
        self._holds.hold(self._member(workload, at), port=port)

    def let_go(self, workload: WorkloadName, *, at: SiteName) -> None:
        """Take the hold back."""
        self._holds.let_go(self._member(workload, at))

    def age(self, *, at: SiteName) -> str:
        """Let every database at ``at`` keep nothing that a primary lost a day ago could catch up with."""
        databases = [one for one in self.bench.estate.workloads.values() if not one.takes_markers]
        return "; ".join(
            let_a_day_go_by(self.bench.hands, one.members[at], port=int(one.settings["port"])) for one in databases
        )

    def held(self) -> Sequence[str]:
        """Name every hold in force, and every node where that could not be asked."""
        databases = [one for one in self.bench.estate.workloads.values() if not one.takes_markers]
        nodes = {node for one in databases for node in one.members.values()}
        return [said for node in sorted(nodes) if (said := self._hold_at(node))]

    def final_read(self, workload: WorkloadName) -> FinalRead:
        """Read the ids that this drill's customers asked for, on the single writer.

        Raises:
            MeasurementError: no writer, more than one, or a node that can't be asked.
        """
        adapter = self.bench.adapters[workload]
        try:
            writers = adapter.writers()
            if len(writers) != 1:
                raise MeasurementError(f"{workload} has {len(writers)} writers: {', '.join(writers) or 'none'}")
            found = adapter.ids(writers[0])
        except Unreachable as error:
            raise MeasurementError(f"not every node of {workload} could be asked: {error.what}") from error
        asked = self._asked("markers" if self.bench.estate.workloads[workload].takes_markers else "requests")
        return FinalRead(
            workload=workload,
            node=HostName(writers[0]),
            ids=tuple(one for one in found if one in asked),
            read_at=self.bench.clock.monotonic(),
        )

    def _asked(self, kind: str) -> frozenset[str]:
        lines = (self.records.folder / f"{kind}.jsonl").read_text().splitlines()
        return frozenset(str(json.loads(line).get("id")) for line in lines)

    def _hold_at(self, node: str) -> str:
        try:
            return f"replication is held back at {node}" if self._holds.is_held(node) else ""
        except SecondsiteError as error:
            return f"whether replication is held back at {node} is not known: {error.what}"

    @property
    def _holds(self) -> ReplicationHold:
        return ReplicationHold(self.bench.hands)

    def _member(self, workload: WorkloadName, site: SiteName) -> HostName:
        return self.bench.estate.workloads[workload].members[site]


@dataclass(frozen=True, kw_only=True)
class DrillIsolation:
    """What a failover left in force: at the carriers, and at the outlets."""

    bench: Bench

    def in_force(self) -> Sequence[str]:
        """Name every isolation in force, every outlet that is off, and each of them that could not be asked."""
        isolated = [said for carrier in self._carriers() for said in self._at(carrier)]
        return [*isolated, *(said for outlet in self._outlets() if (said := self._outlet(outlet)))]

    def lift_unless_promoted(self, *, origin: SiteName, target: SiteName) -> None:
        """Let the origin through again if the target holds none of its workloads; else leave it fenced.

        Its outlets are switched on first: behind the carriers it starts as what it was, the only writer.
        """
        del target  # whoever else holds a workload: the origin stays fenced
        estate = self.bench.estate
        networks = estate.networks_of(origin)
        if not networks or reasons_at_the_quorum(estate, self.bench.adapters, origin):
            return
        for outlet in self._outlets():
            if outlet["site"] == origin and not self.bench.outlets.is_open(outlet):
                self.bench.outlets.open(outlet)
        for carrier in self._carriers():
            self.bench.carriers.lift(carrier, networks)

    def _carriers(self) -> list[HostName]:
        estate = self.bench.estate
        return [host.name for host in estate.hosts.values() if estate.sites[host.site].kind is SiteKind.CARRIER]

    def _outlets(self) -> list[dict[str, str]]:
        declared = self.bench.estate.fencing.values()
        return [{"site": one.site, "host": host} for one in declared if one.power for host in one.power.outlets]

    def _outlet(self, outlet: Mapping[str, str]) -> str:
        try:
            return "" if self.bench.outlets.is_open(outlet) else f"the outlet of {outlet['host']} is off"
        except SecondsiteError as error:
            return f"whether the outlet of {outlet['host']} is off is not known: {error.what}"

    def _at(self, carrier: HostName) -> list[str]:
        try:
            return [f"{network} is isolated at {carrier}" for network in self.bench.carriers.fenced(carrier)]
        except SecondsiteError as error:
            return [f"whether a site is isolated at {carrier} is not known: {error.what}"]


def customers_of(estate: Estate) -> tuple[HostName, ...]:
    """Name the hosts that stand for customers.

    Raises:
        SecondsiteError: there are none, so nothing could be measured as customers see it.
    """
    names = tuple(host.name for host in estate.hosts.values() if estate.sites[host.site].kind is SiteKind.CUSTOMERS)
    if not names:
        raise SecondsiteError("the estate has no customers' host, so nothing can be measured as customers see it")
    return names
