"""The part of crash_matrix.py on the real lab: the controller dies of ``kill -9`` at every step of a runbook.

For each cell the lab is put into a saved state and, for a failover, dc1 loses its power. The runbook is started by a
process that works as the command line does and ends its whole process group at the moment wanted; then the unmodified
``secondsite runs resume`` goes on, without being told with what. What happened is counted in the world, by
crash_world.py.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from crash_world import Seen, World, differences

from secondsite import app
from secondsite.app.places import DEFAULT_ESTATE
from secondsite.estate.load import load_estate
from secondsite.estate.model import Estate, SiteName
from secondsite.plan.load import load_plan
from secondsite.plan.model import Plan
from secondsite.run.model import Json, RunState, StepRecord, StepState, Transition
from secondsite.run.ports import Action, Outcome, StepContext
from secondsite.run.rules import came_out_well
from secondsite.run.stop import Stop
from secondsite.store.clock import SystemClock
from secondsite.store.folders import RunFolder
from secondsite.store.runs import RunStore
from secondsite.store.steps import FILE_NAME

MOMENTS = ("before", "after", "between")
DURING, EACH = "during", "each"
HOME, AWAY = SiteName("dc1"), SiteName("dc2")
DIRECTIONS = {"failover": (HOME, AWAY), "failback": (AWAY, HOME)}
INSTANCE = "crash"
ORDER_LASTS = dt.timedelta(days=1)
LIFE_WITHIN_S = 120.0
MOST_LIVES = 200
SETTLED_WITHIN_S = 60.0
DURING_S = 1.0
_WELL = {StepState.DONE, StepState.VERIFIED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Where the controller dies: before or after the effect of a step, between it and the next, or during it."""

    runbook: str
    step: str
    moment: str


class ControllerLived(RuntimeError):  # noqa: N818  what was observed
    """The run came to its end without the controller dying."""


class Tally(Protocol):
    """What came of all cells so far."""

    killed: int
    resumed: int
    repeated: int
    lost: int
    wrong: int
    resume_s: list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What a runbook comes to when nobody kills its controller."""

    counts: Mapping[str, int]
    state: Mapping[str, object]


# --- the process that dies ------------------------------------------------------------------------


def end_process_group() -> None:
    """End this process and everything it started, as the loss of the machine would."""
    os.killpg(os.getpgrp(), signal.SIGKILL)
    time.sleep(60)


class Doom(Protocol):
    """Decides when the controller dies."""

    def before(self, step: str) -> None:
        """Perhaps die now, before the effect of a step."""
        ...

    def after(self, step: str) -> None:
        """Perhaps die now, after the effect of a step and before its result is recorded."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AtCell:
    """The controller dies at one moment of one step."""

    cell: Cell

    def before(self, step: str) -> None:
        """Die, or see to it that it comes while the step acts."""
        if step == self.cell.step and self.cell.moment == "before":
            end_process_group()
        if step == self.cell.step and self.cell.moment == DURING:
            chance = random.Random(f"{step}{time.time()}")
            threading.Timer(chance.random() * DURING_S, end_process_group).start()

    def after(self, step: str) -> None:
        """Die."""
        if step == self.cell.step and self.cell.moment == "after":
            end_process_group()


@dataclass(frozen=True, slots=True, kw_only=True)
class AtEach:
    """The controller dies before the effect of each step and, when it comes there again, after it.

    ``notes`` is where it writes down, life after life, when it died.
    """

    notes: Path
    lock: threading.Lock = field(default_factory=threading.Lock)

    def before(self, step: str) -> None:
        """Die the first time."""
        self._die(step, "before")

    def after(self, step: str) -> None:
        """Die the first time."""
        self._die(step, "after")

    def _die(self, step: str, moment: str) -> None:
        with self.lock:
            if [step, moment] in deaths(self.notes):
                return
            with self.notes.open("a") as file:
                file.write(f"{step} {moment}\n")
            end_process_group()


def deaths(notes: Path) -> list[list[str]]:
    """Return at which steps and moments a controller has died."""
    return [line.split() for line in notes.read_text().splitlines()] if notes.exists() else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Doomed:
    """An action at which the controller may die."""

    action: Action
    doom: Doom

    def perform(self, arguments: Json, *, key: str, context: StepContext) -> Outcome:
        """Do what the action does, unless it is the end."""
        self.doom.before(context.step)
        outcome = self.action.perform(arguments, key=key, context=context)
        self.doom.after(context.step)
        return outcome


def live_on_lab(cell: Cell) -> int:
    """Be the controller of a run, as ``secondsite run`` and ``runs resume`` are, and die; return 1 if it lived on.

    The moment ``each`` means every one, and the step is then the file in which it is written down when it died.
    """
    estate = app.estate()
    store, stop = app.run_store(estate), Stop()

    def between(transition: Transition, /) -> None:
        if cell.moment == "between" and transition.step == cell.step and transition.state in _WELL:
            end_process_group()

    with store.session(purpose=cell.runbook) as session, app.crew(estate, (between,), say=print) as crew:
        doom = AtEach(notes=Path(cell.step)) if cell.moment == EACH else AtCell(cell=cell)
        actions = {name: Doomed(action=action, doom=doom) for name, action in crew.registry.actions.items()}
        doomed = replace(crew, registry=replace(crew.registry, actions=actions))
        if cell.moment == EACH and deaths(Path(cell.step)):
            session.resume(store.the_open_run(), doomed, stop=stop)
        else:
            session.start(session.begin(plan_of(estate, cell.runbook)), doomed, stop=stop)
    return 1


def plan_of(estate: Estate, runbook: str) -> Plan:
    origin, target = DIRECTIONS[runbook]
    return load_plan(runbook, directory=app.RUNBOOKS, root=app.PROJECT, estate=estate, origin=origin, target=target)


def sign_orders() -> int:
    """Have the lab's own identities sign the standing orders for exactly these two plans, as a drill does."""
    estate = app.estate()
    with app.open_bench(estate) as bench:
        for reference in estate.standing_orders:
            if DIRECTIONS.get(reference.runbook) == (reference.origin, reference.target):
                bench.orders.sign_as_lab(plan_of(estate, reference.runbook), reference=reference, lasts=ORDER_LASTS)
    return 0


# --- the lab --------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Lab:
    """A lab with a saved state at home, another one after a failover, and what each runbook comes to undisturbed."""

    environment: Mapping[str, str]
    estate: Estate
    state: Path
    lock: Path | None
    references: dict[str, Reference] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.world = World(estate=self.estate, state=self.state, instance=self.environment["SECONDSITE_LAB"])
        self.store = RunStore(self.state, root=app.PROJECT, clock=SystemClock())

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Have the machine to itself, where labs of others ask for it by the same file."""
        if self.lock is None:
            yield
            return
        with self.lock.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def secondsite(self, *words: str, accept: Sequence[int] = (0,)) -> str:
        done = subprocess.run(
            [str(app.PROJECT / "secondsite"), *words],
            env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
        if done.returncode not in accept:
            raise RuntimeError(f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout}{done.stderr[-3000:]}")
        return done.stdout

    def save_name(self, runbook: str) -> str:
        return f"crash-{self.environment['SECONDSITE_LAB']}-{runbook}"

    def prepare(self, runbooks: Collection[str]) -> None:
        """Provision and save, carry each runbook out once undisturbed, and keep what it came to."""
        kept = self.state / "crash-references.json"
        if kept.exists():
            told = json.loads(kept.read_text())
            self.references = {name: Reference(**one) for name, one in told.items()}
        if not kept.exists():
            with self.alone():
                self.secondsite("lab", "down", accept=(0, 3))
                self.secondsite("lab", "up")
                self.secondsite("run", "provision")
                self.secondsite("lab", "save", self.save_name("failover"))
                kept.write_text("{}")
        for runbook in DIRECTIONS:
            if runbook not in self.references and (runbook in runbooks or "failback" in runbooks):
                with self.alone():
                    self._undisturbed(runbook)
                kept.write_text(json.dumps({name: vars_of(one) for name, one in self.references.items()}))

    def _undisturbed(self, runbook: str) -> None:
        before = self.begin(runbook)
        origin, target = DIRECTIONS[runbook]
        unchecked = ("--override", "READINESS=the crash matrix moves a lab that it has just restored")
        self.secondsite("run", runbook, "--from", origin, "--to", target, *unchecked)
        after = self.settled(runbook)
        self.references[runbook] = Reference(counts=risen(before, after), state=after.state)
        if runbook == "failover":
            self.secondsite("lab", "fault", "restore-power")
            self.world.dead.clear()
            self.secondsite("lab", "save", self.save_name("failback"))

    def begin(self, runbook: str) -> Seen:
        """Put the lab into the state in which a runbook is begun, and look at it."""
        self.world.dead.clear()
        self.secondsite("lab", "restore", self.save_name(runbook))
        origin, _ = DIRECTIONS[runbook]
        if runbook == "failback":
            self.world.await_steady(leading=origin, standby=None)
        else:
            self.world.await_steady(leading=HOME, standby=AWAY)
        self.world.watch()
        seen = self.world.look()
        if runbook == "failover":
            if (signed := self._child("--sign-orders")).returncode != 0:
                raise RuntimeError(f"the standing order was not signed: {signed.stderr[-2000:]}")
            self.secondsite("lab", "fault", "cut-power", "dc1", "--prove-for", "0.5")
            self.world.dead.update(str(host.name) for host in self.estate.hosts_at(HOME))
        return seen

    def settled(self, runbook: str) -> Seen:
        """Look once everything follows the site that leads now."""
        _, target = DIRECTIONS[runbook]
        return self.world.await_steady(
            leading=target, standby=AWAY if target == HOME else None, within_s=SETTLED_WITHIN_S
        )

    def _child(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(Path(__file__).with_name("crash_matrix.py")), *words],
            env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            start_new_session=True, timeout=LIFE_WITHIN_S,
        )  # fmt: skip

    # --- one cell ---------------------------------------------------------------------------------

    def try_cell(self, cell: Cell, told: Tally) -> None:
        """Kill the controller at one moment of one step, resume, and say what came of it in one line."""
        self._tell(f"{cell.runbook}/{cell.step} {cell.moment}", told, lambda: self._try(cell, told))

    def try_each(self, runbook: str, told: Tally) -> None:
        """Kill the controller of one single run at every step and moment in turn, and say what came of it."""
        self._tell(f"{runbook}, one run, at every step", told, lambda: self._try_each(runbook, told))

    def _tell(self, what: str, told: Tally, attempt: Callable[[], str]) -> None:
        begun = time.monotonic()
        try:
            line = attempt()
        except (RuntimeError, subprocess.SubprocessError) as error:
            told.wrong += 1
            line = f"WRONG: {error}"
            with contextlib.suppress(RuntimeError):  # so that the next one is the only open run again
                self.secondsite("runs", "abort", "--as-it-is", accept=(0, 2, 5))
        print(f"{what:<42} {time.monotonic() - begun:5.1f} s  {line}", flush=True)

    def _try(self, cell: Cell, told: Tally) -> str:
        before = self.begin(cell.runbook)
        self._kill(cell)
        told.killed += 1
        folder = self.store.the_open_run()
        dead = self.store.steps(folder)
        resume_s = self._resume(folder, told)
        wrong = [
            *self._not_as_recorded(cell, folder, dead.steps),
            *self._not_as_undisturbed(cell.runbook, before, told),
        ]
        after = self.store.steps(folder).steps
        again = [name for name, one in after.items() if one.attempts > dead.steps[name].attempts > 0]
        in_doubt = [name for name, one in dead.steps.items() if one.state is StepState.IN_DOUBT]
        detail = f"next step {resume_s:.2f} s; in doubt: {listed(in_doubt)}; tried again: {listed(again)}"
        told.wrong += bool(wrong)
        return f"WRONG: {'; '.join(wrong)}; {detail}" if wrong else f"ok  {detail}"

    def _try_each(self, runbook: str, told: Tally) -> str:
        before = self.begin(runbook)
        notes = self.state / f"crash-{runbook}-deaths"
        notes.unlink(missing_ok=True)
        wanted = {(step.name, moment) for step in plan_of(self.estate, runbook).steps for moment in ("before", "after")}
        for _ in range(MOST_LIVES):
            try:
                self._kill(Cell(runbook=runbook, step=str(notes), moment=EACH))
            except ControllerLived:
                break
            told.killed += 1
            told.resumed += 1
        folder = self.store.folders.all()[-1]
        missed = sorted(wanted - {(step, moment) for step, moment in deaths(notes)})
        interruptions = self.store.steps(folder).interruptions
        wrong = [*self._not_as_undisturbed(runbook, before, told)]
        if len(interruptions) != len(deaths(notes)):
            wrong.append(f"{len(interruptions)} interruptions are told of {len(deaths(notes))}")
        told.wrong += bool(wrong)
        detail = f"{len(deaths(notes))} kills; never came to: {listed([' '.join(one) for one in missed])}"
        return f"WRONG: {'; '.join(wrong)}; {detail}" if wrong else f"ok  {detail}"

    def _resume(self, folder: RunFolder, told: Tally) -> float:
        begun = time.monotonic()
        self.secondsite("runs", "resume")
        told.resumed += 1
        told.resume_s.append(next_step_after(folder, begun) - begun)
        return told.resume_s[-1]

    def _not_as_undisturbed(self, runbook: str, before: Seen, told: Tally) -> Iterator[str]:
        repeated, lost, differs = self._felt(runbook, before)
        told.repeated += sum(repeated.values())
        told.lost += sum(lost.values())
        yield from (f"{name}: {times} times too often" for name, times in repeated.items())
        yield from (f"{name}: it did not come about" for name in lost)
        yield from differs

    def _kill(self, cell: Cell) -> None:
        """Have a controller die at that moment.

        Raises:
            ControllerLived: it came to the end of its run.
        """
        ended = self._child("--lab-life", cell.runbook, cell.step, cell.moment)
        if ended.returncode == 1 and not ended.stderr.strip():
            raise ControllerLived(f"{cell.step} {cell.moment}: the controller was to die, and the run ended")
        if ended.returncode != -signal.SIGKILL:
            raise RuntimeError(f"the controller was to die and ended with {ended.returncode}: {ended.stderr[-2000:]}")

    def _not_as_recorded(self, cell: Cell, folder: RunFolder, dead: Mapping[str, StepRecord]) -> Iterator[str]:
        """Yield what the engine did or told otherwise than it must."""
        plan, ended = folder.plan(), json.loads(self.secondsite("runs", "show", str(folder.number), "--json"))
        if ended["state"] != RunState.DONE.value:
            yield f"the run ended {ended['state']}"
        attempts = {one["step"]: one["attempts"] for one in ended["steps"]}
        for step in plan.steps:
            completed = came_out_well(step, dead[step.name]) and not step.reads_only
            if completed and attempts[step.name] != dead[step.name].attempts:
                yield f"{step.name} was completed, and was attempted again"
        told = ended["interruptions"]
        if [one["was_asked"] for one in told] != [False] or not all(one["resumed_at"] for one in told):
            yield f"what is told of the interruption: {told}"
        elif cell.moment in ("before", "after") and cell.step not in told[0]["in_doubt"]:
            yield f"{cell.step} was in doubt, and that is not told"

    def _felt(self, runbook: str, before: Seen) -> tuple[dict[str, int], dict[str, int], list[str]]:
        """Return which effects were felt too often, which not at all, and what stands otherwise than undisturbed."""
        wanted, until = self.references[runbook], time.monotonic() + SETTLED_WITHIN_S
        while True:
            after = self.settled(runbook)
            differs = differences(wanted.state, after.state)
            felt = risen(before, after)
            if (not differs and felt == wanted.counts) or time.monotonic() > until:
                break
        repeated = {name: n - wanted.counts.get(name, 0) for name, n in felt.items() if n > wanted.counts.get(name, 0)}
        lost = {name: n - felt.get(name, 0) for name, n in wanted.counts.items() if felt.get(name, 0) < n}
        return repeated, lost, differs


def listed(steps: Sequence[str]) -> str:
    return ", ".join(steps) or "none"


def vars_of(one: Reference) -> dict[str, object]:
    return {"counts": dict(one.counts), "state": dict(one.state)}


def risen(before: Seen, after: Seen) -> dict[str, int]:
    """Return how often each thing happened between two looks."""
    return {name: n for name, count in after.counts.items() if (n := count - before.counts.get(name, 0))}


def next_step_after(folder: RunFolder, begun: float) -> float:
    """Return when the resumed run began its next step; if none was left to begin, when it settled the last one."""
    lines = [json.loads(line) for line in (folder.records / FILE_NAME).read_text().splitlines()]
    later = [line for line in lines if line["t"] > begun]
    started = [line["t"] for line in later if line["state"] == StepState.INTENDED.value]
    if not later:
        raise RuntimeError("the resumed run changed no step")
    return float(started[0] if started else later[0]["t"])


def cells(plans: Mapping[str, Plan], *, runbook: str | None, step: str | None, moment: str | None) -> list[Cell]:
    """Return the cells asked for; without a word, every step at every moment but ``during``.

    Raises:
        SystemExit: there are none.
    """
    chosen = [
        Cell(runbook=name, step=one.name, moment=when)
        for name, plan in plans.items()
        for one in plan.steps
        for when in ((moment,) if moment else MOMENTS)
        if runbook in (None, name) and step in (None, one.name)
    ]
    if not chosen:
        raise SystemExit(f"no runbook of {', '.join(plans)} has such a step: --runbook {runbook} --step {step}")
    return chosen


def kill_on_lab(*, runbook: str | None, step: str | None, moment: str | None, lock: Path | None, told: Tally) -> None:
    """Try every cell asked for, on a lab of its own, or on that of SECONDSITE_STATE, which is left standing."""
    directory = Path(os.environ.get("SECONDSITE_ESTATE", DEFAULT_ESTATE.with_name("small"))).absolute()
    estate, given = load_estate(directory), os.environ.get("SECONDSITE_STATE")
    chosen = cells({name: plan_of(estate, name) for name in DIRECTIONS}, runbook=runbook, step=step, moment=moment)
    state = Path(given or tempfile.mkdtemp(prefix="secondsite-crash-", dir="/var/tmp"))
    environment = {**os.environ, "SECONDSITE_STATE": str(state), "SECONDSITE_ESTATE": str(directory)}
    environment.setdefault("SECONDSITE_LAB", INSTANCE)
    lab = Lab(environment=environment, estate=estate, state=state, lock=lock)
    try:
        lab.prepare({cell.runbook for cell in chosen})
        for name in DIRECTIONS if moment == EACH or not (step or moment) else ():
            if runbook in (None, name):
                with lab.alone():
                    lab.try_each(name, told)
        for cell in chosen if moment != EACH else ():
            with lab.alone():
                lab.try_cell(cell, told)
    finally:
        if given is None:
            lab.secondsite("lab", "down", accept=(0, 3))
            shutil.rmtree(state, ignore_errors=True)
