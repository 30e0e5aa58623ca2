"""Every node of every workload, polled for whether it accepts writes, also while nobody can reach it."""

from __future__ import annotations

import datetime as dt
import json
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..drill.ports import Records
from ..errors import ActionError, Unreachable
from ..estate.model import Estate, HostName, Workload, WorkloadName
from ..run.ports import Hands, Stream
from .customers import lines_to
from .ship import ship
from .writers import WriterWatch

EVERY = dt.timedelta(milliseconds=250)
EVERY_STORED = dt.timedelta(milliseconds=400)
STATES = ("writable", "read-only", "down")
UNREACHABLE = "unreachable"
_SILENT_AFTER_S = 0.8
GIVE_UP_AFTER_S = 3.0
_LATE_AFTER_S = 5.0
_LAST_LOOK_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PolledCluster:
    """One database cluster that several hosts carry; ``database`` has the table secondsite.writability."""

    workload: WorkloadName
    port: int
    database: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolledStore:
    """One workload that several hosts' storekeepers keep."""

    workload: WorkloadName


Polled = PolledCluster | PolledStore


def polled_workloads(estate: Estate) -> Mapping[HostName, tuple[Polled, ...]]:
    """Return what to poll on each host that can hold a workload."""
    found: dict[HostName, tuple[Polled, ...]] = {}
    for workload in estate.workloads.values():
        for host in workload.members.values():
            found[host] = (*found.get(host, ()), _polled(workload))
    return found


def _polled(workload: Workload) -> Polled:
    if workload.takes_markers:
        return PolledStore(workload=workload.name)
    words = workload.settings
    return PolledCluster(workload=workload.name, port=int(words["port"]), database=words["database"])


class NodePoller:
    """Polls over one stream per host. A host that says nothing is *unreachable*, which is not *not writable*."""

    def __init__(
        self,
        hands: Hands,
        clusters: Mapping[HostName, Sequence[Polled]],
        *,
        records: Records,
        monotonic: Callable[[], float],
        patience_s: float = GIVE_UP_AFTER_S,
    ) -> None:
        """Poll nothing yet. A stream that says nothing for ``patience_s`` is given up, with what it may still hold."""
        self._patience_s = patience_s
        self._hands, self._clusters, self._records, self._monotonic = hands, clusters, records, monotonic
        self._states: dict[tuple[str, str], str] = {}
        self._watch = WriterWatch()
        self._latest: dict[HostName, float] = {}
        self._began: dict[tuple[str, str], float] = {}
        self._heard = {host: threading.Event() for host in clusters}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin, and return when every host has reported or is known to be late.

        Every poll becomes a record of kind ``writability``.
        """
        for host in self._clusters:
            self._begin("keep", self._keep_streaming, host)
        for host in self._clusters:
            self._heard[host].wait(_LATE_AFTER_S)
            with self._lock:
                self._latest.setdefault(host, self._monotonic())
            self._begin("miss", self._record_what_is_missing, host)

    def states(self) -> Mapping[tuple[str, str], str]:
        """Return the newest state by workload and node."""
        with self._lock:
            return dict(self._states)

    def several(self) -> str:
        """Name the data that two nodes could surely write at once, and those nodes; nothing while there is none."""
        with self._lock:
            return self._watch.several()

    def stop(self) -> None:
        """End, after one more poll of every node. Harmless when it was never started.

        A node that was found writable just now is judged by what the others are from then on: without that poll, nobody
        could say that there were two.
        """
        if self._threads and not self._stopping.is_set():
            asked = self._monotonic()
            while self._unseen_since(asked) and self._monotonic() - asked < _LAST_LOOK_WITHIN_S:
                self._stopping.wait(0.05)
        self._stopping.set()
        for thread in self._threads:
            thread.join(7)
        self._threads = []

    def _unseen_since(self, asked: float) -> bool:
        """Say whether there is a node of which no poll began after that."""
        with self._lock:
            return any(
                self._began.get((one.workload, host), -math.inf) < asked
                for host, here in self._clusters.items()
                for one in here
            )

    def _begin(self, name: str, work: Callable[[HostName], None], host: HostName) -> None:
        thread = threading.Thread(target=work, args=(host,), name=f"{name} {host}", daemon=True)
        thread.start()
        self._threads.append(thread)

    def _keep_streaming(self, host: HostName) -> None:
        while not self._stopping.is_set():
            try:
                stream = self._open(host)
            except (Unreachable, ActionError):  # the other thread records the host as unreachable meanwhile
                self._stopping.wait(0.3)
                continue
            opened = self._monotonic()
            while stream.alive() and not self._given_up(host, opened) and not self._stopping.wait(0.1):
                pass
            if self._stopping.is_set() or not stream.alive():
                stream.stop()
            else:
                threading.Thread(target=stream.stop, name=f"leave {host}", daemon=True).start()

    def _given_up(self, host: HostName, opened: float) -> bool:
        with self._lock:
            latest = max(self._latest.get(host, opened), opened)
        return self._monotonic() - latest > self._patience_s

    def _open(self, host: HostName) -> Stream:
        here = self._clusters[host]
        order: dict[str, object] = {"node": host, "every_s": EVERY.total_seconds()}
        if all(isinstance(one, PolledStore) for one in here):
            argv = ship(self._hands, host, "stored")
            order |= {"every_s": EVERY_STORED.total_seconds(), "workloads": [one.workload for one in here]}
        else:
            argv = ship(self._hands, host, "writability", user="postgres")
            order["clusters"] = [
                {"workload": one.workload, "port": one.port, "database": one.database}
                for one in here
                if isinstance(one, PolledCluster)
            ]
        return self._hands.stream(host, argv, stdin=json.dumps(order) + "\n", on_line=lines_to(self._take(host)))

    def _take(self, host: HostName) -> Callable[[Mapping[str, object]], None]:
        known = {cluster.workload for cluster in self._clusters[host]}

        def take(line: Mapping[str, object]) -> None:
            t, workload, state = line.get("t"), line.get("workload"), line.get("state")
            if isinstance(t, float) and workload in known and state in STATES:
                self._record(host, str(workload), str(state), t=t, more=_more(line, str(state)))

        return take

    def _record_what_is_missing(self, host: HostName) -> None:
        while not self._stopping.wait(EVERY.total_seconds()):
            with self._lock:
                now = self._monotonic()
                missing = now - self._latest[host] > _SILENT_AFTER_S
            if missing:
                for cluster in self._clusters[host]:
                    self._record(host, cluster.workload, UNREACHABLE, t=now)

    def _record(
        self, host: HostName, workload: str, state: str, *, t: float, more: Mapping[str, object] | None = None
    ) -> None:
        line: dict[str, object] = {"t": t, "node": host, "workload": workload, "state": state, **(more or {})}
        with self._lock:
            if state != UNREACHABLE:
                self._latest[host] = max(self._latest.get(host, t), t)
                self._heard[host].set()
            self._states[(workload, host)] = state
            took = line.get("took_s")
            took_s = took if isinstance(took, float) else 0.0
            self._began[workload, host] = t - took_s
            self._watch.see(workload, host, state, t=t, took_s=took_s)
            self._records.append("writability", line)


def _more(line: Mapping[str, object], state: str) -> Mapping[str, object]:
    """Take what else may be recorded: why, how long the poll took, for how long a read-only node has been a standby."""
    more: dict[str, object] = {"why": str(line["why"])[:200]} if line.get("why") else {}
    for key in ("took_s", "standby_s") if state == "read-only" else ("took_s",):
        seconds = line.get(key)
        if isinstance(seconds, float) and 0 <= seconds < math.inf:
            more[key] = seconds
    return more
