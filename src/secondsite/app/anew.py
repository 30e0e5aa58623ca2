"""A cold restart inside a drill: another controller, rebuilt from the vault, with a process and a state of its own.

What the drill keeps of the first one are its instruments on the customers' side, which were there before, and its
records. Everything that acts begins with the copy that the vault kept.
"""

from __future__ import annotations

import base64
import datetime as dt
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..drill.ports import Passage, Records, RunEnd, View
from ..drill.rules import as_record
from ..errors import SecondsiteError
from ..estate.model import HostName, SiteKind, SiteName
from ..measure.phases import HOSTS_PHASES
from ..plan.model import Plan
from ..run.model import Authorship, RunResult, StepState, Transition
from ..store.folders import RunFolder
from ..store.kit import kit_in
from ..store.steps import FILE_NAME
from .bench import Bench, lab_persons
from .kit import fetched_kit, rebuilt
from .places import lab_holders
from .runs import Watch, consents, end_of, step_lines
from .second import ANSWERS_WITHIN, Second
from .standby import GROUP, PLACE, copy_name

CONSENTING = ("lab-approver-1", "lab-approver-2")
STAYS_LOST = "the lost site stays isolated at the carriers, and is not brought back in this drill"
SAME_MACHINE = (
    "the second controller was rebuilt on the machine of the first: its program, its packages and its state came from"
    " the vault; the operating system with Python and an SSH client were there"
)
_EVERY_S = 0.2
_ENDS_WITHIN_S = 30.0


@dataclass(kw_only=True)
class RunsAnew:
    """Carries the restart out by the second controller, and records what it did as any run of a drill is recorded."""

    bench: Bench
    second: Second
    records: Records
    plans: Path
    view: View
    begun: list[RunFolder] = field(default_factory=list, init=False)
    _ended: list[tuple[Plan, RunResult, list[Transition]]] = field(default_factory=list, init=False)
    _going: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _answered: set[str] = field(default_factory=set, init=False)

    def run(self, runbook: str, *, origin: SiteName, target: SiteName) -> RunEnd:
        """Lay out what the vault kept, carry a run to its end, record its steps, and say how it ended."""
        self._recover()
        log = self.second.state / "run.log"
        with log.open("wb") as out:
            self._going = subprocess.Popen(
                self.second.argv("run", runbook, "--from", origin, "--to", target, "--yes"),
                env=dict(self.second.environment),
                cwd=self.second.program,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        folder = self._folder(runbook, log)
        self.begun.append(folder)
        plan = folder.plan()
        self.plans.mkdir(exist_ok=True)
        (self.plans / f"{folder.id}.json").write_bytes((folder.path / "plan.json").read_bytes())
        seen = list(
            self._watched(folder, Watch(plan=plan, records=self.records, view=self.view, seen=[], reached=set()))
        )
        result = self.second.store().steps(folder)
        self._ended.append((plan, result, seen))
        for line in step_lines(plan, result, seen):
            self.records.append("steps", line)
        for passage in restored(plan, result, seen, new_hosts=len(self.bench.estate.hosts_at(target))):
            self.records.append("restores", as_record(passage))
        return end_of(folder, runbook, result)

    def _recover(self) -> None:
        """Rebuild a controller from the kit at the vault, and begin with the copy of the state that lies beside it.

        Raises:
            SecondsiteError: there is none, or it can't be laid out.
        """
        estate = self.bench.estate
        vault = next(
            (host.name for host in estate.hosts.values()
             if GROUP in host.groups and estate.sites[host.site].kind is SiteKind.VAULT),
            None,
        )  # fmt: skip
        if vault is None:
            raise SecondsiteError("no host at a vault keeps a copy of the controller's state")
        self._rebuild(vault)
        place = self.second.state.with_suffix(".brought")
        self._bring(vault, place)
        brought = sum(one.stat().st_size for one in place.rglob("*") if one.is_file())
        holders = self._two_holders()
        words = [word for key in holders.values() for word in ("--holder", str(key))]
        copy = place / copy_name(estate)
        self.second.go("recover", str(copy), "--escrow", str(copy.with_suffix(".escrow")), *words)
        shutil.rmtree(place)
        detail = {"from": vault, "bytes": brought, "opened_by": list(holders)}
        event = {"t": time.monotonic(), "event": "controller-recovered", "detail": detail}
        self.records.append("events", event)
        self.view.say(f"whatever is done here from now on: SECONDSITE_STATE={self.second.state}")
        self.view.say(f"another controller begins with {brought} bytes that lay at {vault}, opened by {_and(holders)}")

    def _rebuild(self, vault: HostName) -> None:
        """Fetch the kit, lay it out where nothing is, and make its environments.

        Raises:
            SecondsiteError: there is none, it is not what was noted beside it, or it does not work by itself.
        """
        began, into = time.monotonic(), self.second.program.parent
        archive = self.second.state.with_suffix(".kit")
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir(mode=0o700, parents=True)
        note = fetched_kit(self.bench.trust.ssh_config, vault, archive)
        fetched = time.monotonic()
        rebuilt(archive, note, into=into)
        archive.unlink()
        self.second.make()
        ended, kit = time.monotonic(), kit_in(note)
        detail = {
            "from": vault, "bytes": kit.bytes, "sha256": kit.sha256, "version": kit.version, "began": began,
            "fetched": fetched,
        }  # fmt: skip
        self.records.append("events", {"t": ended, "event": "controller-rebuilt", "detail": detail})
        self.view.say(f"a controller was rebuilt from {kit.bytes} bytes that lay at {vault}, in {ended - began:.1f} s")

    def _bring(self, vault: HostName, place: Path) -> None:
        """Have somebody who stands at the vault bring what lies there: the copy, and the packages beside it."""
        argv = ["sudo", "-n", "--", "/bin/sh", "-c", 'tar -C "$1" -cf - . | base64 -w0', "sh", PLACE]
        said = self.bench.hands.run(vault, argv, timeout=ANSWERS_WITHIN, limit=1 << 28).stdout
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(mode=0o700, parents=True)
        with tarfile.open(fileobj=io.BytesIO(base64.b64decode(said))) as archive:
            archive.extractall(place, filter="data")

    def _two_holders(self) -> Mapping[str, Path]:
        """Return two holders of escrow and where each has the key, as the lab's persons do.

        Raises:
            SecondsiteError: there are not two.
        """
        known = lab_holders(self.bench.estate)
        two = dict(list(known.items())[:2])
        if len(two) < 2:  # noqa: PLR2004  two holders
            raise SecondsiteError(f"escrow has {len(known)} holders here, and two are needed to open it")
        return two

    def _folder(self, runbook: str, log: Path) -> RunFolder:
        while True:
            found = [one for one in self.second.store().folders.all() if one.id.endswith(f"-{runbook}")]
            if found and found[-1].has_plan() and (found[-1].records / FILE_NAME).exists():
                return found[-1]
            if self._going is not None and self._going.poll() is not None:
                raise SecondsiteError(f"the second controller began no run: {log.read_text(errors='replace')[-600:]}")
            time.sleep(_EVERY_S)

    def _watched(self, folder: RunFolder, watch: Watch) -> Iterator[Transition]:
        """Yield every transition that the run's own records tell, as it comes, until its process ended."""
        path, read = folder.records / FILE_NAME, 0
        while True:
            over = self._going is None or self._going.poll() is not None
            whole, _, _ = path.read_bytes()[read:].rpartition(b"\n")
            for line in whole.splitlines():
                one = transition_in(line, run=folder.id)
                watch(one)
                yield one
            read += len(whole) + bool(whole)
            if over:
                return
            time.sleep(_EVERY_S)

    def move(self, runbook: str, *, origin: SiteName, target: SiteName) -> RunEnd:
        """Refuse: nothing is moved in a cold restart."""
        raise SecondsiteError(f"{runbook} is no part of a cold restart ({origin} to {target})")

    def number(self) -> int:
        """Return the number of the second controller's run begun last."""
        return self.begun[-1].number if self.begun else 0

    def reached(self, event: str) -> bool:
        """Say nothing of where the run is: nobody waits for that in a cold restart."""
        del event
        return False

    def waits_at(self) -> str | None:
        """Name the gate at which the run in flight waits for persons who did not consent to it yet, if it does."""
        if not self.begun or self._going is None or self._going.poll() is not None:
            return None
        summary = next((one for one in self.second.store().summaries() if one.folder.id == self.begun[-1].id), None)
        return next((gate for gate in summary.gates if gate not in self._answered), None) if summary else None

    def answered(self, gate: str) -> None:
        """Take note that persons consented."""
        self._answered.add(gate)

    def stop(self) -> None:
        """End the second controller as Ctrl-C would, and not more gently than it needs."""
        going = self._going
        if going is None or going.poll() is not None:
            return
        going.send_signal(signal.SIGINT)
        try:
            going.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            os.killpg(going.pid, signal.SIGKILL)
            going.wait()

    def approvals(self) -> list[dict[str, object]]:
        """Return every consent that was given in these runs."""
        return [one for plan, result, seen in self._ended for one in consents(plan, result, seen)]

    def authorships(self) -> Mapping[str, Authorship]:
        """Return who answers for what no run of the engine carried out: nothing here."""
        return {}

    def limitations(self) -> list[str]:
        """Say what a report must know of this restart."""
        return [SAME_MACHINE, STAYS_LOST]


def _and(names: Iterable[str]) -> str:
    return " and ".join(names)


def transition_in(line: bytes, *, run: str) -> Transition:
    """Return a transition as a run's own records tell it."""
    told = json.loads(line)
    return Transition(
        t=float(told["t"]),
        run=run,
        step=str(told["step"]),
        state=StepState(told["state"]),
        attempt=int(told["attempt"]),
        detail=told["detail"],
    )


def restored(plan: Plan, result: RunResult, seen: Sequence[Transition], *, new_hosts: int) -> Iterator[Passage]:
    """Yield what each step restored, as the hosts told, and how long each phase of hosts took."""
    lines = {str(line["step"]).partition("/")[2]: line for line in step_lines(plan, result, list(seen))}
    for name, line in lines.items():
        record = result.steps[name].result
        began, ended = line["t0"], line["t1"]
        if record is None or not isinstance(began, float) or not isinstance(ended, float):
            continue
        detail = record.detail
        if "verified_by" in detail and "bytes" in detail:
            amounts = {word: int(str(detail[word])) for word in ("bytes", "files") if word in detail}
            yield Passage(
                store=name.removeprefix("restore-"), phase=name, source=_source_of(plan, name), amounts=amounts,
                began=began, ended=ended, until=_instant(str(detail.get("until", ""))),
                verified_by=str(detail["verified_by"]), is_trial=False,
            )  # fmt: skip
    for phase, steps in HOSTS_PHASES.items():
        spans = [(line["t0"], line["t1"]) for name, line in lines.items() if name in steps]
        begins = [t0 for t0, _ in spans if isinstance(t0, float)]
        ends = [t1 for _, t1 in spans if isinstance(t1, float)]
        if len(begins) == len(ends) == len(steps):
            yield Passage(
                store="", phase=phase, source="", amounts={"hosts": new_hosts}, began=min(begins), ended=max(ends),
                until="", verified_by="", is_trial=False,
            )  # fmt: skip


def _instant(until: str) -> str:
    """Return an instant that a database told in seconds since 1970 as others tell it."""
    try:
        return dt.datetime.fromtimestamp(float(until), tz=dt.UTC).isoformat(timespec="milliseconds")
    except ValueError:
        return until


def _source_of(plan: Plan, step: str) -> str:
    call = next(one.call for one in plan.steps if one.name == step)
    return str(call.arguments.get("source") or "vault")


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonsAnew:
    """Two persons with their own keys, who consent at the second controller."""

    bench: Bench
    second: Second
    runs: RunsAnew
    view: View

    def consent(self, gate: str, *, at: SiteName) -> None:
        """Have both consent.

        Raises:
            SecondsiteError: an answer was not taken.
        """
        del at  # they stand where the second controller stands
        for who in CONSENTING:
            key = lab_persons(self.bench.estate) / who
            self.second.go("approve", str(self.runs.number()), gate, "--yes", "--as", who, "--key", str(key))
            self.view.say(f"{who} consents to {gate}")
        self.runs.answered(gate)
