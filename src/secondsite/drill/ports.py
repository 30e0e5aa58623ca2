"""What the drill room needs from outside."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..estate.model import HostName, SiteName, WorkloadName
from .model import FaultKind, TrafficShape, TrialSize


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerCut:
    """What an injector did: instants are seconds on the machine's monotonic clock."""

    hosts: tuple[str, ...]
    first_wire_dropped_at: float
    last_wire_dropped_at: float
    last_init_killed_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LinksCut:
    """What an injector did to all links of a site: instants are seconds on the machine's monotonic clock."""

    site: str
    carriers: tuple[str, ...]
    first_wire_dropped_at: float
    last_wire_dropped_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultBegun:
    """What an injector did to the targets: instants are seconds on the machine's monotonic clock."""

    targets: tuple[str, ...]
    first_at: float
    last_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Proof of a cut: what was heard from the hosts, seen from outside, in a window after it."""

    hosts: tuple[str, ...]
    watched_from: float
    watched_until: float
    packets_heard: int
    answers: tuple[str, ...]

    @property
    def proven(self) -> bool:
        """Nothing was heard and nothing answered."""
        return self.packets_heard == 0 and not self.answers


class Injector(Protocol):
    """Brings faults about and takes them back."""

    def cut_power(self, hosts: Sequence[str]) -> PowerCut:
        """Drop every wire of the hosts from outside, all at once, then end their machines."""
        ...

    def prove_silence(self, hosts: Sequence[str], *, seconds: float) -> Silence:
        """Listen on the hosts' wires from outside and try to reach them."""
        ...

    def restore_power(self, hosts: Sequence[str]) -> None:
        """Join the wires again and start the machines; return when they answer SSH."""
        ...

    def deliver(self, hosts: Sequence[str], *, image: str = "") -> tuple[str, ...]:
        """Put new, bare machines in the place of hosts that have no power: nothing is left of what they held.

        They are made from ``image``, a file, where one is named.
        """
        ...

    def cut_links(self, site: str) -> LinksCut:
        """Drop the wires that join every carrier to the site, all at once. Its hosts live on."""
        ...

    def prove_links_silent(self, site: str, *, seconds: float) -> Silence:
        """Listen for every carrier at the site, and try to reach the site's hosts from elsewhere."""
        ...

    def repair_links(self, site: str) -> None:
        """Join the wires again; return when every carrier is heard at the site."""
        ...

    def begin(self, fault: FaultKind, targets: Sequence[str]) -> FaultBegun:
        """Bring about a fault that cuts neither power nor whole links: at a site, at hosts, or at the controller."""
        ...

    def prove(self, fault: FaultKind, targets: Sequence[str], *, seconds: float) -> Silence:
        """Look and listen for what the fault must have silenced."""
        ...

    def end(self, fault: FaultKind, targets: Sequence[str]) -> None:
        """Take the fault back; return when what it silenced is heard again."""
        ...

    def begin_lying(self, carrier: str) -> None:
        """Let the carrier's isolation answer success and drop nothing."""
        ...

    def end_lying(self, carrier: str) -> None:
        """Let it drop again what it was told to."""
        ...

    def leftovers(self) -> tuple[str, ...]:
        """Name every injected fault that is still in force."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What the traffic generator has seen so far.

    ``last_bad_due_at`` is when the latest request was due that got no good answer, or not within the service level's
    latency, on the machine's monotonic clock; None while there is none.
    """

    ok: int
    failed: int
    unknown: int
    last_served_by: str
    last_bad_due_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One steady-state check: ``state`` is passed, failed or unknown."""

    id: str
    state: str
    saw: str
    expected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalRead:
    """Every id found by the one read on the one writer."""

    workload: WorkloadName
    node: HostName
    ids: tuple[str, ...]
    read_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """How a run ended, in the run room's words."""

    number: int
    name: str
    state: str
    why: str


class Clock(Protocol):
    """Time comes in here."""

    def monotonic(self) -> float:
        """Seconds on the machine's monotonic clock."""
        ...

    def now(self) -> dt.datetime:
        """Aware UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class Records(Protocol):
    """The raw records of a drill: append-only."""

    def append(self, kind: str, record: Mapping[str, object]) -> None:
        """Add one line to ``<kind>.jsonl``."""
        ...

    def write(self, name: str, document: object) -> str:
        """Write ``<name>.json`` once and return its SHA-256."""
        ...


class Traffic(Protocol):
    """Customers."""

    def start(self, shape: TrafficShape) -> None:
        """Begin; every request becomes a record."""
        ...

    def tally(self) -> Tally:
        """Count what was recorded so far."""
        ...

    def stop(self) -> int | None:
        """End, wait for the last answers, and return how many requests were recorded; None if it wasn't running."""
        ...


class Markers(Protocol):
    """Plants markers in the workloads that customers do not write to."""

    def start(self) -> None:
        """Begin, and return when each workload took one; every marker becomes a record.

        Raises:
            MeasurementError: one took none in time.
        """
        ...

    def stop(self) -> Mapping[str, object] | None:
        """End, wait for the last answers, and return how many were planted by workload; None if it wasn't running."""
        ...


class WritabilityWatch(Protocol):
    """Polls every node of every workload for writability."""

    def start(self) -> None:
        """Begin; every poll becomes a record."""
        ...

    def states(self) -> Mapping[tuple[str, str], str]:
        """The newest state by workload and node."""
        ...

    def several(self) -> str:
        """Name the data that two nodes could surely write at once; nothing as long as there is none."""
        ...

    def stop(self) -> None:
        """End."""
        ...


class SteadyState(Protocol):
    """Says whether the estate is as it should be, by using it."""

    def check(self, *, home: SiteName) -> Sequence[CheckResult]:
        """Run the estate's checks and a customer's journey."""
        ...


class Replication(Protocol):
    """What a drill does to, and asks of, the workloads themselves."""

    def hold_back(self, workload: WorkloadName, *, at: SiteName) -> None:
        """Stop the copy at ``at`` from receiving, without anybody being told."""
        ...

    def let_go(self, workload: WorkloadName, *, at: SiteName) -> None:
        """Take the hold back. Harmless when there is none."""
        ...

    def held(self) -> Sequence[str]:
        """Name every hold in force."""
        ...

    def age(self, *, at: SiteName) -> str:
        """Let the databases at ``at`` keep nothing that a primary lost a day ago could catch up with; say what is kept.

        Raises:
            SecondsiteError: they still keep it, so a day can't be stood in for.
        """
        ...

    def final_read(self, workload: WorkloadName) -> FinalRead:
        """Read every id on the single writer.

        Raises:
            MeasurementError: no writer, or more than one.
        """
        ...


class Isolation(Protocol):
    """What a failover leaves in force at the carriers."""

    def in_force(self) -> Sequence[str]:
        """Name every isolation in force, and every carrier that could not be asked."""
        ...

    def lift_unless_promoted(self, *, origin: SiteName, target: SiteName) -> None:
        """Let the origin through again if the target holds none of its workloads; else leave it fenced."""
        ...


class Runs(Protocol):
    """Runs of runbooks."""

    def run(self, runbook: str, *, origin: SiteName, target: SiteName) -> RunEnd:
        """Carry a run to its end, record its steps, and say how it ended."""
        ...

    def move(self, runbook: str, *, origin: SiteName, target: SiteName) -> RunEnd:
        """Carry a run to its end that is no part of what is measured, and say how it ended."""
        ...

    def reached(self, event: str) -> bool:
        """Say whether the run in flight has come to where this instant of the disruption is marked."""
        ...

    def waits_at(self) -> str | None:
        """Name the gate at which the run in flight waits for persons, if it does."""
        ...

    def stop(self) -> None:
        """Ask the run in flight to start no further step."""
        ...


class Persons(Protocol):
    """Who consents when no standing order does."""

    def consent(self, gate: str, *, at: SiteName) -> None:
        """Have as many persons as the gate needs consent at a desk of that site.

        Raises:
            SecondsiteError: the desk could not be used.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try to destroy what is kept of a producer, with the producer's own credentials."""

    producer: HostName
    place: str
    refused: bool | None
    """None: it could not be tried."""
    saw: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """One restore from the vault: what of, how much, from when to when on the machine's monotonic clock."""

    store: str
    phase: str
    source: str
    amounts: Mapping[str, int]
    began: float
    ended: float
    until: str
    verified_by: str
    is_trial: bool


class Vault(Protocol):
    """What a cold restart does to, and with, what the vault keeps."""

    def attack(self) -> Sequence[Attempt]:
        """Try to destroy what is kept there, as each producer, with what each producer has."""
        ...

    def grow(self, size: TrialSize) -> None:
        """Have this much to restore, and back it up where the vault keeps it."""
        ...

    def trials(self) -> Iterator[Passage]:
        """Restore each size that was grown, at the target and into an isolated place; take it away again."""
        ...


class Erasures(Protocol):
    """Customers who are erased before the loss, and must not come back with what is restored."""

    def open(self) -> None:
        """Make the customers."""
        ...

    def erase(self) -> Sequence[str]:
        """Erase them, and return their names once that is on record apart from the database."""
        ...

    def present(self) -> Mapping[str, bool]:
        """Say of each whether anything of it is in the database."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """One file that was fetched from the vault: from when to when, and what was compared."""

    path: str
    source: HostName
    bytes: int
    sha256: str
    began: float
    ended: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What measures after a cold restart, with the new controller's keys, on what is left of the estate."""

    isolation: Isolation
    replication: Replication
    steady: SteadyState
    writability: WritabilityWatch
    vault: Vault


class Anew(Protocol):
    """What belongs to a cold restart alone."""

    def fetch_image(self) -> Fetched | None:
        """Fetch from the vault what new machines are made from; None where nothing is kept there.

        Raises:
            SecondsiteError: it could not be fetched, or is not what was kept.
        """
        ...

    @property
    def erasures(self) -> Erasures | None:
        """Return who is erased; None where the estate keeps no ledger of erasures."""
        ...

    @property
    def vault(self) -> Vault:
        """Return what the vault keeps, as long as the first controller can reach it."""
        ...

    def left(self) -> Left:
        """Return what measures from now on. Ask once, after the restart."""
        ...

    def close(self) -> None:
        """Let go of it. Harmless when there was nothing."""
        ...


class View(Protocol):
    """Where a person watches."""

    def phase(self, title: str) -> None:
        """A new phase began."""
        ...

    def say(self, line: str) -> None:
        """Something worth a line happened."""
        ...
