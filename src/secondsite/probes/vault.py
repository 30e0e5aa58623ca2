"""What a cold restart's drill does with the vault: attack what it keeps, make it hold more, time restores from it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import resources

from ..drill.model import TrialSize
from ..drill.ports import Attempt, Passage
from ..errors import ActionError, Effect, MeasurementError, SecondsiteError
from ..estate.model import Estate, HostName, SiteKind, SiteName, Workload
from ..run.ports import Hands

FILLED = "/root/secondsite-trial"
"""Where files to be restored in trials lie at the producer: a folder that its backups hold as they hold any other."""
_PLACES = {"database": "/srv/postgresql/secondsite-trial", "files": "/srv/secondsite-trial"}
_SHORT, _LONG = dt.timedelta(seconds=60), dt.timedelta(seconds=900)
_TWICE = 2
"""How often each size is restored: what repeats shows how much a passage varies."""
DATABASES, FILES, MANY_FILES = "databases", "files", "number-of-files"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """What is restored in the trials of one size: a backup of a database, two snapshots of files."""

    label: str
    rows: int
    snapshot: str
    large: int
    small: int


@dataclass(kw_only=True)
class VaultTrials:
    """Implements the drill room's ``Vault``. ``hands`` may do everything; after the restart they are others."""

    estate: Estate
    hands: Hands
    target: SiteName
    monotonic: Callable[[], float]
    leader: Callable[[], str]
    """Names the host that leads the workload that is filled."""
    grown: list[Grown] = field(default_factory=list)

    def attack(self) -> Sequence[Attempt]:
        """Try to destroy what is kept there, as each producer, with what each producer has."""
        producers = [host.name for host in self.estate.hosts.values() if "producer" in host.groups]
        with ThreadPoolExecutor(max_workers=len(producers) or 1) as pool:
            return [one for found in pool.map(self._attack_from, producers) for one in found]

    def grow(self, size: TrialSize) -> None:
        """Have this much to restore, and back it up where the vault keeps it.

        Raises:
            MeasurementError: what was backed up can't be told from what was there before.
        """
        workload, store = self._filled(), self._store()
        before = self._labels(workload)
        order = {"port": int(workload.settings["port"]), "bytes": size.database_bytes}
        rows = int(str(self._script(self.leader(), "grow", order)["rows"]))
        folder = self._script(store, "grow", {"folder": FILLED, "bytes": size.file_bytes, "files": size.files})
        with ThreadPoolExecutor(max_workers=2) as pool:
            jobs = [
                pool.submit(self._start, self.vault, "secondsite-keep@incr.service"),
                pool.submit(self._start, store, "secondsite-backup@files.service"),
            ]
            for job in jobs:
                job.result()
        new = [label for label in self._labels(workload) if label not in before]
        if len(new) != 1:
            raise MeasurementError(f"{self.vault} has {len(new)} new backups of {workload.name}, and not one")
        kept = self._run(store, ["cat", "/var/lib/secondsite/backup/files.json"])
        self.grown.append(
            Grown(
                label=new[0],
                rows=rows,
                snapshot=str(json.loads(kept)["snapshot"]),
                large=int(str(folder["large"])),
                small=int(str(folder["small"])),
            )
        )

    def trials(self) -> Iterator[Passage]:
        """Restore each size that was grown, at the target and into an isolated place; take it away again."""
        workload, store = self._filled(), self._store()
        database = workload.members[self.target]
        scope = workload.settings["scope"]
        for one in [grown for grown in self.grown for _ in range(_TWICE)]:
            order = {"scope": scope, "source": self.vault, "label": one.label, "rows": one.rows}
            yield self._passage(DATABASES, database, order | {"place": _PLACES["database"]}, store=scope)
            for phase, part, files in ((FILES, "large", one.large), (MANY_FILES, "small", one.small)):
                chosen = {"snapshot": one.snapshot, "include": f"{FILLED}/{part}", "files": files}
                yield self._passage(phase, store, chosen | {"place": _PLACES["files"]}, store=f"files of {store}")

    @property
    def vault(self) -> HostName:
        """Name the host that keeps what outlives both datacenters."""
        kept = [host for host in self.estate.hosts.values() if "repository" in host.groups]
        return next(host.name for host in kept if self.estate.sites[host.site].kind is SiteKind.VAULT)

    def _passage(self, phase: str, host: str, order: Mapping[str, object], *, store: str) -> Passage:
        began = self.monotonic()
        told = self._script(host, "trial", order)
        ended = self.monotonic()
        amounts = {name: int(str(told[name])) for name in ("bytes", "files") if name in told}
        return Passage(
            store=store,
            phase=phase,
            source=self.vault,
            amounts=amounts,
            began=began,
            ended=ended,
            until=str(order.get("label") or order.get("snapshot")),
            verified_by=str(told["verified_by"]),
            is_trial=True,
        )

    def _attack_from(self, producer: HostName) -> list[Attempt]:
        try:
            found = json.loads(self._ran(producer, "destroy", {}))
        except SecondsiteError as error:
            return [Attempt(producer=producer, place="", refused=None, saw=f"not tried: {error.what}")]
        return [
            Attempt(producer=producer, place=str(one["place"]), refused=one["refused"], saw=str(one["saw"]))
            for one in found
        ]

    def _filled(self) -> Workload:
        """Return the workload that trials fill: the control arm, for customers' data is never filled up."""
        control = [one for one in self.estate.workloads.values() if one.is_control_arm]
        if not control:
            raise MeasurementError("the estate has no control arm that could be filled for a trial")
        return control[0]

    def _store(self) -> HostName:
        """Name the target's host whose files are filled up."""
        hosts = [one.members[self.target] for one in self.estate.workloads.values() if one.takes_markers]
        if not hosts:
            raise MeasurementError(f"{self.target} has no store whose files could be filled for a trial")
        return hosts[0]

    def _labels(self, workload: Workload) -> list[str]:
        words = ["pgbackrest", f"--stanza={workload.settings['scope']}", "--output=json", "info"]
        said = self._run(self.vault, words, user="pgbackrest")
        return [str(one["label"]) for stanza in json.loads(said) for one in stanza.get("backup", [])]

    def _start(self, host: str, unit: str) -> None:
        self._run(host, ["systemctl", "start", unit])

    def _script(self, host: str, name: str, order: Mapping[str, object]) -> Mapping[str, object]:
        told = json.loads(self._ran(host, name, order))
        if not isinstance(told, dict):
            raise MeasurementError(f"{host} did not say what became of {name}")
        return told

    def _ran(self, host: str, name: str, order: Mapping[str, object]) -> str:
        code = resources.files(f"{__package__}.vault_scripts").joinpath(f"{name}.py").read_text(encoding="utf-8")
        argv = ["sudo", "-n", "--", "/usr/bin/python3", "-I", "-c", code]
        ended = self.hands.run(host, argv, stdin=json.dumps(order), timeout=_LONG, accept=(0, 1))
        if ended.exit_code != 0:
            said = " ".join(ended.stderr.split())[-400:] or "it did not say why"
            raise ActionError(f"{host}: {said}", effect=Effect.UNKNOWN)
        return ended.stdout

    def _run(self, host: str, words: Sequence[str], *, user: str = "root") -> str:
        argv = ["sudo", "-n", "-u", user, "--", *words]
        return self.hands.run(host, argv, timeout=_LONG if words[0] == "systemctl" else _SHORT).stdout
