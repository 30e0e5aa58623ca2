"""A simulated estate under a drill: the drill room's ports over one small world that refuses impossible states."""

from __future__ import annotations

import datetime as dt
import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..drill.model import FaultKind, TrafficShape, TrialSize
from ..drill.ports import (
    CheckResult,
    FaultBegun,
    FinalRead,
    LinksCut,
    PowerCut,
    RunEnd,
    Silence,
    Tally,
)
from ..errors import MeasurementError, SecondsiteError
from ..estate.model import HostName, SiteName, WorkloadName

_EPOCH = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class ImpossibleWorld(AssertionError):  # noqa: N818  what was asked for
    """Somebody asked the simulated world for what no world can do."""


@dataclass(slots=True, kw_only=True)
class SimulatedDrill:
    """One world behind every port of a drill. ``breaks`` names the moments that fail, and how."""

    breaks: Mapping[str, SecondsiteError] = field(default_factory=dict)
    unsteady_at_check: int | None = None
    unsteady_for_checks: int = 1000
    failing_customers: bool = False
    suffering_before_s: float = 0.0  # for so long after their arrival customers get bad answers
    suffering_under_fault: bool = False  # ... and while something is broken
    suffering_s: float = 0.0  # ... and after a failover
    suffering_at_home_s: float = 0.0  # ... and after a return
    run_state: Mapping[str, str] = field(default_factory=dict)
    asks_persons: bool = False
    dark: set[str] = field(default_factory=set)
    apart: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    lying: set[str] = field(default_factory=set)
    bare: set[str] = field(default_factory=set)
    """Hosts that hold nothing yet, or nothing any more."""
    began_anew: bool = False
    backed_up: list[TrialSize] = field(default_factory=list)
    aged: bool = False
    held_at: set[str] = field(default_factory=set)
    isolated: set[str] = field(default_factory=set)
    promoted: bool = False
    serves_at: str = "dc1"
    stopped: bool = False
    records: dict[str, list[Mapping[str, object]]] = field(default_factory=dict)
    documents: dict[str, object] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    stop_at: tuple[str, threading.Event] | None = None
    split_s: float = math.inf
    """How long after the promotion the old primary turns out to write as well."""
    _traffic_runs: bool = False
    _polls: bool = False
    _checks: int = 0
    _now: float = 1000.0
    _arrived_at: float | None = None
    _promoted_at: float | None = None
    _home_at: float | None = None
    _fault: threading.Event = field(default_factory=threading.Event)
    _consent: threading.Event = field(default_factory=threading.Event)

    # Clock

    def monotonic(self) -> float:
        """Seconds, moved by ``sleep`` only."""
        return self._now

    def now(self) -> dt.datetime:
        """The same, as a date."""
        return _EPOCH + dt.timedelta(seconds=self._now)

    def sleep(self, seconds: float) -> None:
        """Move the clock, and let other threads run."""
        self._now += seconds
        time.sleep(0.0005)  # noqa: TID251  real threads need a real moment

    def two_writers(self) -> str:
        """Name them, from when they are."""
        apart = self._promoted_at is not None and self._now - self._promoted_at >= self.split_s
        return "billing at db-dc1, db-dc2" if apart else ""

    # Injector

    def cut_power(self, hosts: Sequence[str]) -> PowerCut:
        """Darken the hosts."""
        self.moment("cut-power")
        self.dark |= set(hosts)
        self._fault.set()
        at = self._now
        return PowerCut(
            hosts=tuple(hosts), first_wire_dropped_at=at, last_wire_dropped_at=at, last_init_killed_at=at + 0.01
        )

    def prove_silence(self, hosts: Sequence[str], *, seconds: float) -> Silence:
        """Say what was heard."""
        self.moment("prove-silence")
        alive = tuple(host for host in hosts if host not in self.dark)
        return Silence(
            hosts=tuple(hosts),
            watched_from=self._now,
            watched_until=self._now + seconds,
            packets_heard=0,
            answers=alive,
        )

    def restore_power(self, hosts: Sequence[str]) -> None:
        """Light the hosts."""
        self.moment("restore-power")
        self.dark -= set(hosts)

    def deliver(self, hosts: Sequence[str], *, image: str = "") -> tuple[str, ...]:
        """Put new hosts in the place of dark ones: what they held is gone."""
        self.moment("deliver")
        if not set(hosts) <= self.dark:
            raise ImpossibleWorld(f"{sorted(set(hosts) - self.dark)} had power and would be thrown away")
        self.dark -= set(hosts)
        self.bare |= set(hosts)
        self.said.append(f"made from {image or 'what there was'}")
        return tuple(hosts)

    def cut_links(self, site: str) -> LinksCut:
        """Cut the site off."""
        self.moment("cut-links")
        self.apart.add(site)
        at = self._now
        return LinksCut(site=site, carriers=("a", "b"), first_wire_dropped_at=at, last_wire_dropped_at=at + 0.01)

    def prove_links_silent(self, site: str, *, seconds: float) -> Silence:
        """Say what was heard."""
        self.moment("prove-links-silent")
        return Silence(
            hosts=(f"a host at {site}",),
            watched_from=self._now,
            watched_until=self._now + seconds,
            packets_heard=0 if site in self.apart else 7,
            answers=(),
        )

    def repair_links(self, site: str) -> None:
        """Join the site again."""
        self.moment("repair-links")
        self.apart.discard(site)

    def begin(self, fault: FaultKind, targets: Sequence[str]) -> FaultBegun:
        """Break the targets."""
        self.moment(fault.value)
        self.broken |= {f"{fault.value} {target}" for target in targets}
        return FaultBegun(targets=tuple(targets), first_at=self._now, last_at=self._now + 0.01)

    def prove(self, fault: FaultKind, targets: Sequence[str], *, seconds: float) -> Silence:
        """Say what is heard of them."""
        self.moment(f"prove-{fault.value}")
        heard = tuple(target for target in targets if f"{fault.value} {target}" not in self.broken)
        return Silence(
            hosts=tuple(targets),
            watched_from=self._now,
            watched_until=self._now + seconds,
            packets_heard=0,
            answers=heard,
        )

    def end(self, fault: FaultKind, targets: Sequence[str]) -> None:
        """Mend them."""
        self.moment(f"end-{fault.value}")
        self.broken -= {f"{fault.value} {target}" for target in targets}

    def begin_lying(self, carrier: str) -> None:
        """Let a fence lie; a failover is refused then."""
        self.moment("begin-lying")
        self.lying.add(carrier)

    def end_lying(self, carrier: str) -> None:
        """Let it tell the truth."""
        self.moment("end-lying")
        self.lying.discard(carrier)

    def age(self, *, at: SiteName) -> str:
        """Let a day go by for what is kept at a site."""
        self.moment("age")
        self.aged = True
        return f"a day has gone by at {at}"

    def leftovers(self) -> tuple[str, ...]:
        """Name what is still dark, cut off, broken or lying."""
        dark = [f"{host} has no power" for host in self.dark] + [f"{s} is cut off" for s in self.apart]
        return tuple(sorted([*dark, *self.broken, *(f"the fence of {carrier} lies" for carrier in self.lying)]))

    # Records

    def append(self, kind: str, record: Mapping[str, object]) -> None:
        """Keep a record."""
        self.records.setdefault(kind, []).append(record)
        if kind == "events" and self.stop_at is not None and record["event"] == self.stop_at[0]:
            self.stop_at[1].set()

    def write(self, name: str, document: object) -> str:
        """Keep a document."""
        self.documents[name] = document
        return f"sha256-of-{name}"

    # Traffic and writability

    def start_traffic(self, _shape: TrafficShape) -> None:
        """Begin."""
        self.moment("start-traffic")
        self._traffic_runs = True
        self._arrived_at = self._now

    def tally(self) -> Tally:
        """Count."""
        failed = int(self.failing_customers)
        sufferings = (
            (self._arrived_at, 10_000.0 if self.failing_customers else self.suffering_before_s),
            (self._promoted_at, self.suffering_s),
            (self._home_at, self.suffering_at_home_s),
        )
        suffered = [min(self._now, since + seconds) for since, seconds in sufferings if since is not None and seconds]
        suffered += [self._now] if self.suffering_under_fault and self.broken else []
        bad = max(suffered, default=None)
        return Tally(ok=100, failed=failed, unknown=0, last_served_by="web-dc1", last_bad_due_at=bad)

    def stop_traffic(self) -> int | None:
        """End."""
        ran, self._traffic_runs = self._traffic_runs, False
        return 100 if ran else None

    # Steady state, replication, runs, view

    def check(self, *, home: SiteName) -> Sequence[CheckResult]:
        """Check; the world is steady only when nothing is dark or held."""
        self.moment("check")
        self._checks += 1
        lost = self.dark if not self.began_anew else {host for host in self.dark if host.endswith(home)}
        healthy = (
            not lost
            and not self.apart
            and not self.broken
            and not self.lying
            and not self.held_at
            and self.serves_at == home
        )
        since = self.unsteady_at_check
        bad = since is not None and since <= self._checks < since + self.unsteady_for_checks
        steady = healthy and not bad
        state = "passed" if steady else "failed"
        return [CheckResult(id="world", state=state, saw=f"dark {sorted(self.dark)}", expected=f"all well at {home}")]

    def hold_back(self, workload: WorkloadName, *, at: SiteName) -> None:
        """Hold."""
        self.moment("hold-back")
        self.held_at.add(f"{workload} at {at}")

    def let_go(self, workload: WorkloadName, *, at: SiteName) -> None:
        """Let go."""
        self.moment("let-go")
        self.held_at.discard(f"{workload} at {at}")

    def held(self) -> Sequence[str]:
        """Name the holds."""
        return sorted(self.held_at)

    def final_read(self, workload: WorkloadName) -> FinalRead:
        """Read, unless customers still write."""
        self.moment("final-read")
        if self._traffic_runs:
            raise ImpossibleWorld("the final read was made while customers still wrote")
        if self.dark and not self.began_anew:
            raise MeasurementError("a node is dark")
        return FinalRead(workload=workload, node=HostName("db-dc1"), ids=("a", "b"), read_at=self._now)

    def in_force(self) -> Sequence[str]:
        """Name what is isolated."""
        return sorted(f"{site} is isolated" for site in self.isolated)

    def lift_unless_promoted(self, *, origin: SiteName, target: SiteName) -> None:  # noqa: ARG002  one pair of sites
        """Lift, unless promoted."""
        self.moment("lift")
        if not self.promoted:
            self.isolated.discard(origin)

    def run(self, runbook: str, *, origin: SiteName, target: SiteName) -> RunEnd:
        """Run; a failover waits for the fault."""
        self.moment(f"run-{runbook}")
        if runbook == "failover" and not self._fault.wait(timeout=5):
            raise ImpossibleWorld("the failover waited five real seconds for a fault")
        if runbook == "failover" and self.asks_persons and not self._consent.wait(timeout=5):
            raise ImpossibleWorld("the failover waited five real seconds for consent")
        if runbook == "cold_restart":
            self._require_a_vault_alone(target)
        if runbook == "failback" and self.dark:
            raise ImpossibleWorld("a failback to a dark site was begun")
        state = "interrupted" if self.stopped else self.run_state.get(runbook, "done")
        if runbook == "failover" and self.lying and state == "done":
            state = "refused"
        self._change_by(runbook, state, origin=origin, target=target)
        return RunEnd(number=1, name=f"{runbook} {origin}->{target}", state=state, why="")

    def move(self, runbook: str, *, origin: SiteName, target: SiteName) -> RunEnd:
        """Move operations, from where they are and in a world without a fault."""
        self.moment(f"move-to-{target}")
        if self.dark or self.isolated or self.serves_at != origin:
            raise ImpossibleWorld(f"operations at {self.serves_at} were to be moved from {origin}")
        state = self.run_state.get(f"move-to-{target}", "done")
        if state == "done":
            self.serves_at = target
        return RunEnd(number=1, name=f"{runbook} {origin}->{target}", state=state, why="")

    def reached(self, event: str) -> bool:
        """A failover comes to every mark once there is a fault."""
        return bool(event) and self._fault.is_set()

    def waits_at(self) -> str | None:
        """Name the gate at which a failover waits once there is a fault."""
        waits = self.asks_persons and self._fault.is_set() and not self._consent.is_set()
        return "authorise" if waits else None

    def consent(self, gate: str, *, at: SiteName) -> None:
        """Consent, at a place that has power."""
        self.moment("consent")
        if gate != self.waits_at():
            raise ImpossibleWorld(f"consent to {gate!r}, which waits for none")
        if any(host.endswith(at) for host in self.dark):
            raise ImpossibleWorld(f"consent came from {at}, which is dark")
        self._consent.set()

    def _require_a_vault_alone(self, target: SiteName) -> None:
        if not self.dark or not any(host.endswith(target) for host in self.bare):
            raise ImpossibleWorld("a cold restart was begun while a copy was alive")
        if self.asks_persons and not self._consent.wait(timeout=5):
            raise ImpossibleWorld("the restart waited five real seconds for consent")

    def _change_by(self, runbook: str, state: str, *, origin: SiteName, target: SiteName) -> None:
        """A failover isolates and then promotes; one that does not complete gets as far as isolating."""
        if runbook == "failover":
            self.isolated.add(origin)
            self.promoted = state == "done"
            self.serves_at = target if self.promoted else self.serves_at
            self._promoted_at = self._now
        elif runbook == "cold_restart" and state == "done":
            self.began_anew = True
            self.bare = {host for host in self.bare if not host.endswith(target)}
            self.serves_at = target
            self._promoted_at = self._now
        elif runbook == "failback" and state == "done":
            self.isolated.discard(target)
            self.promoted = False
            self.serves_at = target
            self._home_at = self._now

    def stop(self) -> None:
        """Release whoever waits."""
        self.stopped = True
        self._fault.set()
        self._consent.set()

    def phase(self, title: str) -> None:
        """Keep it."""
        self.said.append(title)

    def say(self, line: str) -> None:
        """Keep it."""
        self.said.append(line)

    def events(self) -> list[str]:
        """Name the events recorded so far."""
        return [str(record["event"]) for record in self.records.get("events", [])]

    def moment(self, name: str) -> None:
        """Take note of it, and fail if it is to."""
        self.done.append(name)
        if name in self.breaks:
            raise self.breaks[name]


@dataclass(frozen=True, slots=True)
class TrafficOf:
    """The traffic port of a simulated drill."""

    world: SimulatedDrill

    def start(self, shape: TrafficShape) -> None:
        """Begin."""
        self.world.start_traffic(shape)

    def tally(self) -> Tally:
        """Count."""
        return self.world.tally()

    def stop(self) -> int | None:
        """End."""
        return self.world.stop_traffic()


@dataclass(slots=True)
class WritabilityOf:
    """The writability port of a simulated drill."""

    world: SimulatedDrill
    polling: bool = False

    def start(self) -> None:
        """Begin."""
        self.polling = True

    def states(self) -> Mapping[tuple[str, str], str]:
        """Say nothing."""
        return {}

    def several(self) -> str:
        """Name two writers once the world has them."""
        return self.world.two_writers() if self.polling else ""

    def stop(self) -> None:
        """End."""
        self.polling = False
