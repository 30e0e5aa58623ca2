"""Two machines that run the same plans: one simulated, one made of real processes over DBOS on SQLite."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest

from secondsite.errors import ActionError, Effect
from secondsite.plan.load import load_plan
from secondsite.run.model import Json, RunResult, StepState, Transition
from secondsite.run.ports import Outcome, StepContext
from secondsite.run.service import answer_for, answer_gate
from secondsite.sim.crash import Crash, CrashPoint
from secondsite.sim.estate import two_site_estate
from secondsite.sim.world import OrdersFor, SimulatedApprovers, SimulatedEngine, SimulatedWorld, sign_in_simulation
from secondsite.store.clock import SystemClock
from secondsite.store.runs import JOURNAL_NAME, RunStore

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How one process of a run came out."""

    exit_code: int
    state: str
    steps: Mapping[str, Mapping[str, Any]]


class Machine(Protocol):
    """Runs one plan in one process after another, until it ends."""

    def run(self, *, crash: tuple[str, str] | None = None) -> Ended | None:
        """Start a process, or resume in a new one; None if it was killed at the crash point."""
        ...

    def answer_while_waiting_then_kill(self, answers: Mapping[str, tuple[str, bool]], *, heard: bool) -> None:
        """Start a process, wait until these gates are open, answer each (who, yes), and kill the process."""
        ...

    def answer(self, gate: str, who: str, *, granted: bool) -> None:
        """Answer a gate while no process runs."""
        ...

    def effects(self) -> Sequence[str]:
        """Name the steps whose effect came about, in order, each time it did."""
        ...

    def asked(self) -> Sequence[str]:
        """Name the steps whose action was called, in order, each time it was."""
        ...


def _as_ended(result: RunResult) -> Ended:
    steps = {
        name: {"state": r.state.value, "by": list(r.consent.by) if r.consent else [], "attempts": r.attempts}
        for name, r in result.steps.items()
    }
    return Ended(exit_code=result.exit_code, state=result.state.value, steps=steps)


def _fail(_arguments: Json, _context: StepContext) -> Outcome:
    raise ActionError("it was made to fail", effect=Effect.NONE)


def _linger(_arguments: Json, _context: StepContext) -> Outcome:
    time.sleep(0.2)
    return Outcome(changed=True, detail={"side": "beside"})


@dataclass(slots=True, kw_only=True)
class SimulatedMachine:
    runbook: str
    world: SimulatedWorld = field(init=False)
    engine: SimulatedEngine = field(init=False)

    def __post_init__(self) -> None:
        plan = load_plan(self.runbook, directory=HERE / "runbooks", root=HERE, estate=two_site_estate())
        finds = {"left": {"side": "left"}, "right": {"side": "right"}}
        self.world = SimulatedWorld(finds=finds, behaves={"fails": _fail, "beside": _linger})
        self.engine = SimulatedEngine(plan=plan, world=self.world, orders=OrdersFor())

    def run(self, *, crash: tuple[str, str] | None = None) -> Ended | None:
        self.world.crash = CrashPoint(step=crash[0], moment=crash[1]) if crash else None
        try:
            return _as_ended(self.engine.drive())
        except Crash:
            return None

    def answer_while_waiting_then_kill(self, answers: Mapping[str, tuple[str, bool]], *, heard: bool) -> None:
        waiting: set[str] = set()

        def watch(transition: Transition, /) -> None:
            gate = transition.detail.get("gate")
            if gate in answers and transition.state in {StepState.WAITING, StepState.IN_DOUBT}:
                waiting.add(str(gate))
                if waiting == set(answers):
                    for name, (who, granted) in answers.items():
                        self.answer(name, who, granted=granted)
                    if not heard:
                        self.world.power.fail()
            if heard and transition.state is StepState.INTENDED and transition.step in answers:
                self.world.power.fail()

        with pytest.raises(Crash):
            self.engine.drive(observers=(watch,))
        self.world.power.restore()

    def answer(self, gate: str, who: str, *, granted: bool) -> None:
        plan, run = self.engine.plan, self.engine.run
        now = self.engine.clock.now()
        word = sign_in_simulation(answer_for(plan, run=run, gate=gate, who=who, granted=granted, at=now))
        self.world.power.restore()
        journal = self.engine.journal
        answer_gate(word, run=run, plan=plan, journal=journal, approvers=SimulatedApprovers(), now=now)

    def effects(self) -> Sequence[str]:
        return [key.split("/")[1] for key in self.world.effects]

    def asked(self) -> Sequence[str]:
        return self.world.asked


@dataclass(slots=True, kw_only=True)
class ProcessMachine:
    runbook: str
    state: Path
    errors: str = ""
    project: Path = HERE

    def start(self, *, crash: tuple[str, str] | None = None) -> subprocess.Popen[str]:
        words = [sys.executable, str(HERE / "process.py"), str(self.state), self.runbook, *(crash or ())]
        return subprocess.Popen(
            words,
            env={"PYTHONPATH": str(SOURCE), "PROJECT": str(self.project)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, process: subprocess.Popen[str]) -> Ended | None:
        try:
            out, self.errors = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
        if process.returncode == -signal.SIGKILL:
            return None
        document: dict[str, Any] = json.loads(out) if out else {"state": "none", "steps": {}}
        return Ended(exit_code=process.returncode, state=document["state"], steps=document["steps"])

    def run(self, *, crash: tuple[str, str] | None = None) -> Ended | None:
        return self.finish(self.start(crash=crash))

    def store(self) -> RunStore:
        return RunStore(self.state, root=self.project, clock=SystemClock())

    def wait_for_gates(self, gates: set[str]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if any(gates <= set(summary.gates) for summary in self.store().summaries()):
                return
            time.sleep(0.02)
        raise AssertionError(f"the gates {gates} did not open")

    def answer_while_waiting_then_kill(self, answers: Mapping[str, tuple[str, bool]], *, heard: bool) -> None:
        process = self.start()
        try:
            self.wait_for_gates(set(answers))
            if not heard:
                self._stop_between_writes(process)
            for gate, (who, granted) in answers.items():
                self.answer(gate, who, granted=granted)
            if heard:
                self._until(lambda: not any(summary.gates for summary in self.store().summaries()))
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate(timeout=PATIENCE_S)

    def _stop_between_writes(self, process: subprocess.Popen[str]) -> None:
        """Stop the process while it does not hold its store: stopped within a write, it would hold it for ever."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            if self._can_be_written():
                return
            process.send_signal(signal.SIGCONT)
            time.sleep(0.02)
        raise AssertionError("the store was locked whenever the process was stopped")

    def _can_be_written(self) -> bool:
        with contextlib.closing(sqlite3.connect(self.state / JOURNAL_NAME, isolation_level=None, timeout=0.1)) as db:
            try:
                db.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return False
            db.execute("ROLLBACK")
            return True

    def _until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and not holds():
            time.sleep(0.01)

    def answer(self, gate: str, who: str, *, granted: bool) -> None:
        store = self.store()
        folder = store.folders.find("1")
        word = answer_for(folder.plan(), run=folder.id, gate=gate, who=who, granted=granted, at=store.clock.now())
        store.answer(folder, sign_in_simulation(word), approvers=SimulatedApprovers())

    def effects(self) -> Sequence[str]:
        return [key.split("/")[1] for key in self._lines("effects")]

    def asked(self) -> Sequence[str]:
        return self._lines("asked")

    def read(self) -> Sequence[str]:
        """Say which step read what in the role that its plan pins."""
        return self._lines("read")

    def _lines(self, name: str) -> Sequence[str]:
        path = self.state / "world" / name
        return path.read_text().splitlines() if path.exists() else []


MachineFor = Callable[[str], Machine]


@pytest.fixture(params=["simulated", pytest.param("dbos", marks=pytest.mark.slow)])
def machine_for(request: pytest.FixtureRequest, tmp_path: Path) -> MachineFor:
    def make(runbook: str) -> Machine:
        if request.param == "simulated":
            return SimulatedMachine(runbook=runbook)
        return ProcessMachine(runbook=runbook, state=tmp_path / "state")

    return make


@pytest.fixture
def processes(tmp_path: Path) -> Callable[[str], ProcessMachine]:
    return lambda runbook: ProcessMachine(runbook=runbook, state=tmp_path / "state")
