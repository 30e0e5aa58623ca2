"""Which adapter works each of the estate's workloads."""

from __future__ import annotations

from ..estate.model import Estate, HostName, Workload, WorkloadName
from ..run.ports import Hands
from ..store.clock import SystemClock
from ..workloads.patroni import Cluster, PatroniCluster
from ..workloads.ports import WorkloadAdapter
from ..workloads.store import Stored, StoredWorkload


def adapters_of(estate: Estate, hands: Hands, clock: SystemClock) -> dict[WorkloadName, WorkloadAdapter]:
    """Return every workload's adapter. The estate's rules made sure that each word in ``adapter`` is known here."""
    makers = {"patroni": _patroni, "store": _store}
    voters = voters_of(estate)
    return {
        workload.name: makers[workload.adapter](workload, voters, hands, clock)
        for workload in estate.workloads.values()
    }


def voters_of(estate: Estate) -> tuple[HostName, ...]:
    """Name the hosts that hold the leases, first those that are there whichever datacenter is lost."""
    voters: tuple[HostName, ...] = estate.quorum.members if estate.quorum is not None else ()
    sites = {site for workload in estate.workloads.values() for site in workload.members}
    return tuple(sorted(voters, key=lambda host: estate.hosts[host].site in sites))


def _patroni(workload: Workload, voters: tuple[HostName, ...], hands: Hands, clock: SystemClock) -> WorkloadAdapter:
    cluster = Cluster(
        scope=workload.settings["scope"],
        port=int(workload.settings["port"]),
        database=workload.settings["database"],
        table=workload.settings["table"],
        members=tuple(workload.members.values()),
        lease_hosts=voters,
        synchronous=not workload.objectives.rpo,
    )
    return PatroniCluster(cluster, hands=hands, monotonic=clock.monotonic, sleep=clock.sleep)


def _store(workload: Workload, voters: tuple[HostName, ...], hands: Hands, clock: SystemClock) -> WorkloadAdapter:
    stored = Stored(
        name=workload.name,
        members=tuple(workload.members.values()),
        lease_hosts=voters,
        loses_nothing=not workload.objectives.rpo,
    )
    return StoredWorkload(stored, hands=hands, monotonic=clock.monotonic, sleep=clock.sleep)
