"""Markers planted in the workloads that customers do not write to, from an operators' host."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ..drill.ports import Records
from ..errors import MeasurementError
from ..estate.model import Estate, HostName, SiteKind, SiteName, WorkloadName
from ..run.ports import Hands, Stream
from .customers import read_object
from .ship import ship

PORT = 8443
_PACES = {"git": 2.0}  # a push is a dozen processes; a file is one request
_PACE_S = 0.5
_FIRST_WITHIN_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Planting:
    """What is planted, from where and to which hosts; ``run`` begins every marker's id."""

    source: HostName
    places: Mapping[HostName, str]
    workloads: tuple[WorkloadName, ...]
    run: str
    domain: str


def planting_in(estate: Estate, *, run: str, lost: Collection[SiteName] = ()) -> Planting | None:
    """Return what a drill of this estate plants; None when there is nothing to plant in.

    Planted is from headquarters, or if that is among the sites that are ``lost``, from a web host of one that is not.

    Raises:
        MeasurementError: there is, and no host to plant from.
    """
    marked = [workload for workload in estate.workloads.values() if workload.takes_markers]
    if not marked:
        return None
    standing = [host for host in estate.hosts.values() if host.site not in lost]
    sources = [host.name for host in standing if estate.sites[host.site].kind is SiteKind.HEADQUARTERS]
    sources += [host.name for host in standing if "web" in host.groups and lost]
    if not sources:
        raise MeasurementError("the estate has no headquarters' host from which markers could be planted")
    hosts = {host for workload in marked for host in workload.members.values()}
    return Planting(
        source=sources[0],
        places={host: str(estate.hosts[host].address) for host in sorted(hosts)},
        workloads=tuple(workload.name for workload in marked),
        run=run,
        domain=f"customers.{estate.services[0].zone}" if estate.services else "customers.invalid",
    )


class Planter:
    """Plants by the clock; every marker becomes a record of kind ``markers``."""

    def __init__(self, hands: Hands, planting: Planting, *, records: Records) -> None:
        """Plant nothing yet."""
        self._hands, self._planting, self._records = hands, planting, records
        self._stream: Stream | None = None
        self._taken: set[str] = set()
        self._all_taken = threading.Event()
        self._lock = threading.Lock()
        self._end: Mapping[str, object] | None = None

    def start(self) -> None:
        """Begin, and return when each workload took a marker.

        Raises:
            MeasurementError: one did not in time.
            Unreachable, ActionError: the operators' host could not be used.
        """
        plan = self._planting
        argv = ship(self._hands, plan.source, "planter")
        order = {
            "places": dict(plan.places),
            "port": PORT,
            "run": plan.run,
            "domain": plan.domain,
            "every_s": {name: _PACES.get(name, _PACE_S) for name in plan.workloads},
        }
        stream = self._hands.stream(plan.source, argv, stdin=json.dumps(order) + "\n", on_line=self._on_line)
        self._stream = stream
        if not self._all_taken.wait(_FIRST_WITHIN_S):
            missing = sorted(set(plan.workloads) - self._taken)
            raise MeasurementError(f"no marker was taken by {', '.join(missing)} within {_FIRST_WITHIN_S:.0f} s")

    def stop(self) -> Mapping[str, object] | None:
        """End, wait for the last answers, and return how many were planted by workload.

        None if it wasn't running. A planter that was lost before it could say how many states nothing, which the
        records then contradict.
        """
        stream, self._stream = self._stream, None
        if stream is None:
            return None
        stream.stop()
        planted = self._end.get("planted") if self._end else None
        return planted if isinstance(planted, dict) else {"": -1}

    def _on_line(self, line: str) -> None:
        seen = read_object(line)
        if "t0" in seen:
            self._records.append("markers", seen)
            if seen.get("outcome") == "ok":
                self._note_taken(str(seen.get("workload")))
        elif seen.get("end") is True:
            self._end = seen

    def _note_taken(self, workload: str) -> None:
        with self._lock:
            self._taken.add(workload)
            if self._taken >= set(self._planting.workloads):
                self._all_taken.set()
