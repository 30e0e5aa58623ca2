"""What belongs to a drill of a cold restart alone: the vault, who is erased, and what measures afterwards."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..drill.ports import Fetched, Left
from ..errors import SecondsiteError
from ..estate.left import left_after
from ..estate.model import HostName, SiteName, Workload
from ..hands.large_files import fetch_file
from ..lab.image import ARCHIVE, KEPT_IMAGE
from ..probes.erased import GROUP as ERASURES
from ..probes.erased import ErasedCustomers
from ..probes.steady import CheckedByUse, EstateChecks
from ..probes.vault import VaultTrials
from ..store.records import RecordFolder
from .bench import Bench, checks_environment, open_bench
from .instruments import DrillIsolation, Instruments
from .places import CHECKS
from .second import ANSWERS_WITHIN, Second, acting_as

_FETCHED_WITHIN_S = 600


@dataclass(kw_only=True)
class ColdKit:
    """Implements the drill room's ``Anew``."""

    bench: Bench
    second: Second
    records: RecordFolder
    origin: SiteName
    target: SiteName
    _trials: VaultTrials = field(init=False)
    _at: Bench = field(init=False)
    _erased: ErasedCustomers | None = field(init=False)
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, init=False)

    def __post_init__(self) -> None:
        """Touch nothing yet."""
        self._at = self.bench
        keeps = any(ERASURES in host.groups for host in self.bench.estate.hosts.values())
        name = self.records.folder.parent.name
        self._erased = (
            ErasedCustomers(hands=self.bench.hands, leader=self._leader_of_customers, drill=f"drill-{name[:6]}")
            if keeps
            else None
        )
        self._trials = VaultTrials(
            estate=self.bench.estate,
            hands=self.bench.hands,
            target=self.target,
            monotonic=self.bench.clock.monotonic,
            leader=self._leader_of_what_is_filled,
        )

    @property
    def erasures(self) -> ErasedCustomers | None:
        """Return who is erased; None where the estate keeps no ledger of erasures."""
        return self._erased

    @property
    def vault(self) -> VaultTrials:
        """Return what the vault keeps."""
        return self._trials

    def fetch_image(self) -> Fetched | None:
        """Fetch the operating system from the vault, over the network, and compare it with the digest kept beside it.

        Raises:
            SecondsiteError: it could not be fetched whole.
        """
        source, path = self._trials.vault, self._image
        words = ["sudo", "-n", "--", "cat", "--", f"{KEPT_IMAGE}/{ARCHIVE}.sha256"]
        kept = self.bench.hands.run(source, words, timeout=ANSWERS_WITHIN, accept=(0, 1))
        if kept.exit_code != 0:
            return None
        began = self.bench.clock.monotonic()
        kept_there = f"{KEPT_IMAGE}/{ARCHIVE}"
        fetch_file(self.bench.trust.ssh_config, source, kept_there, into=path, within_s=_FETCHED_WITHIN_S)
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if digest != kept.stdout.split()[0]:
            raise SecondsiteError(
                f"the operating system that {source} keeps did not come whole: its digest is {digest}"
            )
        return Fetched(
            path=str(path),
            source=source,
            bytes=path.stat().st_size,
            sha256=digest,
            began=began,
            ended=self.bench.clock.monotonic(),
        )

    def left(self) -> Left:
        """Open what is left of the estate with the second controller's keys, and measure from there."""
        estate = left_after(self.bench.estate, self.origin, home=self.target)
        with acting_as(self.second):
            bench = self._stack.enter_context(open_bench(estate, by=self.bench.by))
        instruments = Instruments(bench=bench, records=self.records)
        self._trials.hands, self._at = bench.hands, bench
        if self._erased is not None:
            self._erased.hands = bench.hands
        return Left(
            isolation=IsolationThatStays(bench=bench),
            replication=instruments.replication,
            steady=CheckedByUse(
                checks=EstateChecks(
                    estate=estate,
                    folder=CHECKS,
                    ssh_config=bench.trust.ssh_config,
                    environment=checks_environment(),
                    isolated=tuple(map(str, self.bench.estate.networks_of(self.origin))),
                ),
                hands=bench.hands,
                customer=instruments.journeying_customer(),
            ),
            writability=instruments.writability,
            vault=self._trials,
        )

    def close(self) -> None:
        """Let go of the connections, of the file that new machines were made from, and of the rebuilt program.

        This program is of the same version, and goes on with the state of the second controller.
        """
        self._stack.close()
        self._image.unlink(missing_ok=True)
        shutil.rmtree(self.second.program.parent, ignore_errors=True)

    @property
    def _image(self) -> Path:
        return self.second.state.with_suffix(".image")

    def _leader_of_what_is_filled(self) -> HostName:
        return self._leader(next(one for one in self._at.estate.workloads.values() if one.is_control_arm))

    def _leader_of_customers(self) -> HostName:
        (service,) = self._at.estate.services
        return self._leader(self._at.estate.workloads[service.workloads[0]])

    def _leader(self, workload: Workload) -> HostName:
        leader = self._at.adapters[workload.name].lease().leader
        if leader is None:
            raise SecondsiteError(f"nobody leads {workload.name}")
        return HostName(leader)


@dataclass(frozen=True, kw_only=True)
class IsolationThatStays(DrillIsolation):
    """The restart's own isolation of the lost site is its result, and no fault that was left in force."""

    def in_force(self) -> Sequence[str]:
        """Name nothing."""
        return ()

    def lift_unless_promoted(self, *, origin: SiteName, target: SiteName) -> None:
        """Leave it: the lost site stays lost."""
