"""How often the controller may die: runs that are killed at any moment and started again until they end.

    .venv/bin/python benchmarks/crash_matrix.py [--schedules 10000] [--kills 200] [--first-seed 0]
    .venv/bin/python benchmarks/crash_matrix.py --lab [--runbook NAME] [--step NAME] [--moment MOMENT]

Simulated: the real interpreter over a simulated journal in a simulated world, one schedule of disasters a seed. A seed
whose run breaks a rule is printed; ``--schedules 1 --first-seed SEED`` shows it again. Real: processes of the engine
over DBOS on SQLite, ended by ``kill -9`` at a random instant, with effects that are lines of a file; with ``--lab``, as
root, also the controller of a failover and of a failback on the real lab, at every step and moment (crash_lab.py): one
run a cell, and all of them in one run (``--moment each``). One of --runbook, --step and --moment leaves everything else
away. The last two lines are the result; the exit code is 3
when an effect was repeated or lost, or a run did not end as an undisturbed one.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "src"))

from secondsite.errors import Effect  # noqa: E402
from secondsite.estate.load import load_estate  # noqa: E402
from secondsite.plan.builder import call  # noqa: E402
from secondsite.plan.document import sealed  # noqa: E402
from secondsite.plan.load import known_runbooks, load_plan, load_runbook  # noqa: E402
from secondsite.plan.model import Plan  # noqa: E402
from secondsite.run.model import Json, RunState, Seen, Transition  # noqa: E402
from secondsite.run.ports import Outcome, Registry, StepContext  # noqa: E402
from secondsite.run.stop import Stop  # noqa: E402
from secondsite.sim.facts import favourable_facts  # noqa: E402
from secondsite.sim.schedules import Told, chance_plan, live_through  # noqa: E402
from secondsite.sim.world import OrdersFor, SimulatedApprovers, nobody_pretends  # noqa: E402
from secondsite.store.clock import SystemClock  # noqa: E402
from secondsite.store.runs import Crew, RunStore  # noqa: E402

GOAL_S = 300.0
GOAL_RESUME_S = 3.0
MOST_LIVES = 40
WITHIN_S = 0.3  # of the first thing that changes: most die there
EARLY, EARLY_S = 0.15, 2.0  # some die while they still start, or read what was recorded
KILLED = -signal.SIGKILL


def main() -> int:
    chosen = asked()
    if chosen.life:
        return live(Path(chosen.life[0]), int(chosen.life[1]))
    if chosen.sign_orders or chosen.lab_life:
        return part_on_lab(chosen.lab_life)
    if chosen.runbook or chosen.step or chosen.moment:
        chosen.schedules = chosen.kills = 0
    told = all_simulated(range(chosen.first_seed, chosen.first_seed + chosen.schedules))
    real = kill_for_real(chosen.kills, first_seed=chosen.first_seed)
    print(f"real: {real.runs} runs; from starting the controller again to its next step {said(real.resume_s)}")
    lab = OnLab()
    if chosen.lab:
        from crash_lab import kill_on_lab  # noqa: PLC0415  it imports much, which others are measured without

        kill_on_lab(runbook=chosen.runbook, step=chosen.step, moment=chosen.moment, lock=chosen.lock, told=lab)
        print(f"lab: {lab.wrong} cells wrong; from `runs resume` to its next step {said(lab.resume_s)}")
    print(line("simulated", [one.killed for one in told], [one.resumed for one in told],
               [one.repeated for one in told], [one.lost for one in told]))  # fmt: skip
    both = (real, lab)
    print(line("real", [one.killed for one in both], [one.resumed for one in both],
               [one.repeated for one in both], [one.lost for one in both]))  # fmt: skip
    wrong = lab.wrong + sum(one.repeated + one.lost for one in both) + sum(len(one.broken) for one in told)
    return 3 if wrong else 0


def asked() -> argparse.Namespace:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--schedules", type=int, default=10_000)
    words.add_argument("--first-seed", type=int, default=0)
    words.add_argument("--kills", type=int, default=200)
    words.add_argument("--lab", action="store_true", help="also on the real lab; needs root")
    words.add_argument("--runbook", choices=("failover", "failback"))
    words.add_argument("--step", help="its name, as `secondsite plan` prints it")
    words.add_argument("--moment", choices=("before", "after", "between", "during", "each"))
    words.add_argument("--lock", type=Path, metavar="FILE", help="hold this file's lock while a cell uses the machine")
    words.add_argument("--sign-orders", action="store_true", help=argparse.SUPPRESS)
    words.add_argument("--lab-life", nargs=3, metavar=("RUNBOOK", "STEP", "MOMENT"), help=argparse.SUPPRESS)
    words.add_argument("--life", nargs=2, metavar=("FOLDER", "SEED"), help=argparse.SUPPRESS)
    return words.parse_args()


def part_on_lab(life: Sequence[str] | None) -> int:
    """Be a process that the part on the lab starts: one that dies, or one that signs the standing order."""
    from crash_lab import Cell, live_on_lab, sign_orders  # noqa: PLC0415  as above

    return live_on_lab(Cell(runbook=life[0], step=life[1], moment=life[2])) if life else sign_orders()


@dataclass(slots=True, kw_only=True)
class OnLab:
    """What came of all cells on the lab so far; ``wrong`` counts those that did not end as undisturbed."""

    killed: int = 0
    resumed: int = 0
    repeated: int = 0
    lost: int = 0
    wrong: int = 0
    resume_s: list[float] = field(default_factory=list)


def said(seconds: Sequence[float]) -> str:
    if not seconds:
        return "was not measured"
    return f"{statistics.median(seconds):.2f} s (median), {max(seconds):.2f} s (slowest); goal {GOAL_RESUME_S:.0f} s"


def line(what: str, killed: Sequence[int], resumed: Sequence[int], repeated: Sequence[int], lost: Sequence[int]) -> str:
    totals = [sum(one) for one in (killed, resumed, repeated, lost)]
    words = ("killed", "resumed", "effects repeated", "effects lost")
    return f"{what}: " + ", ".join(f"{word} {total}" for word, total in zip(words, totals, strict=True))


# --- simulated ------------------------------------------------------------------------------------


def all_simulated(seeds: range) -> list[Told]:
    """Live through every schedule, and print what became of them."""
    if not seeds:
        return []
    begun = time.monotonic()
    told = simulate(seeds)
    seconds = time.monotonic() - begun
    for one in told:
        for rule in one.broken:
            print(f"seed {one.seed}: {rule}")
    states = dict(Counter(one.state.value for one in told))
    print(f"simulated: {len(told)} schedules in {seconds:.0f} s (goal for 10,000: {GOAL_S:.0f} s); ended {states}")
    return told


def simulate(seeds: range) -> list[Told]:
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(pool.map(one_schedule, seeds, chunksize=50))


def one_schedule(seed: int) -> Told:
    return live_through(seed, plans=real_plans())


_PLANS: list[Plan] = []


def real_plans() -> Sequence[Plan]:
    """Return every runbook's plan for the nine hosts, once a process."""
    if not _PLANS:
        books, estate = PROJECT / "runbooks", load_estate(PROJECT / "inventories" / "small")
        for name in known_runbooks(books):
            directed = load_runbook(name, directory=books).intent.has_direction
            origin, target = ("dc1", "dc2") if directed else (None, None)
            _PLANS.append(load_plan(name, directory=books, root=PROJECT, estate=estate, origin=origin, target=target))
    return _PLANS


# --- real -----------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Real:
    runs: int = 0
    killed: int = 0
    resumed: int = 0
    repeated: int = 0
    lost: int = 0
    resume_s: list[float]


def kill_for_real(kills: int, *, first_seed: int) -> Real:
    real, seed = Real(resume_s=[]), first_seed
    while real.killed < kills:
        with tempfile.TemporaryDirectory(prefix="secondsite-crash-") as folder:
            one_run(Path(folder), seed, real)
        real.runs += 1
        seed += 1
    return real


def one_run(folder: Path, seed: int, real: Real) -> None:
    chance = random.Random(seed)
    for life in range(MOST_LIVES):
        begun = time.monotonic()
        ended = subprocess.run(
            [sys.executable, __file__, "--life", str(folder), str(chance.randrange(2**32)), ],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        first_step = folder / f"first-step-{life}"
        if life and first_step.exists() and (at := first_step.read_text()):  # empty: killed between the two
            real.resume_s.append(float(at) - begun)
        real.resumed += life > 0
        if ended.returncode == 0:
            break
        if ended.returncode != KILLED:
            sys.exit(f"seed {seed}: a process ended with {ended.returncode}: {ended.stderr[-2000:]}")
        real.killed += 1
    else:
        sys.exit(f"seed {seed}: the run had not ended after {MOST_LIVES} lives")
    felt = Counter((folder / "effects").read_text().split())
    steps = real_plan(seed_of(folder)).steps
    real.repeated += sum(felt[step.name] - 1 for step in steps if felt[step.name] > 1 and not step.may_repeat)
    real.lost += sum(not felt[step.name] for step in steps)


def real_plan(seed: int) -> Plan:
    """Return a plan in which a probe can look at every effect, for nobody is there to ask."""
    plan = chance_plan(random.Random(seed))
    return sealed(replace(plan, steps=tuple(replace(step, gate=None, probe=call("look")) for step in plan.steps)))


def seed_of(folder: Path) -> int:
    kept = folder / "seed"
    return int(kept.read_text()) if kept.exists() else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FileWorld:
    """Effects are lines of a file, on the disk before the action returns."""

    folder: Path
    life: int
    finds: dict[str, Json]
    chance: random.Random

    def perform(self, arguments: Json, *, key: str, context: StepContext) -> Outcome:
        del arguments, key
        first = self.folder / f"first-step-{self.life}"
        if not first.exists():
            first.write_text(str(time.monotonic()))
        time.sleep(self.chance.random() * 0.03)
        with (self.folder / "effects").open("a") as file:
            file.write(context.step + "\n")
            file.flush()
            os.fsync(file.fileno())
        time.sleep(self.chance.random() * 0.03)
        return Outcome(changed=True, detail=self.finds.get(context.step, {}))

    def look(self, arguments: Json, *, key: str, context: StepContext) -> Seen:
        del arguments, key
        effects = self.folder / "effects"
        felt = effects.read_text().split() if effects.exists() else []
        happened = context.step in felt
        detail = self.finds.get(context.step, {}) if happened else {}
        return Seen(effect=Effect.APPLIED if happened else Effect.NONE, detail=detail)


def live(folder: Path, seed: int) -> int:
    """Be one process of the engine, and die of ``kill -9`` at an instant that the seed gives; return 0 when done."""
    chance = random.Random(seed)
    if not (folder / "seed").exists():
        (folder / "seed").write_text(str(seed))
    plan = real_plan(seed_of(folder))
    lives = folder / "lives"
    life = len(lives.read_text()) if lives.exists() else 0
    with lives.open("a") as file:
        file.write(".")
    finds: dict[str, Json] = {name: dict(found) for name, found in favourable_facts(plan).items()}
    world = FileWorld(folder=folder, life=life, finds=finds, chance=chance)
    registry = Registry(actions={"act": world}, probes={"look": world}, challenge=nobody_pretends)
    doom = threading.Timer(chance.random() * WITHIN_S, os.kill, (os.getpid(), signal.SIGKILL))

    def on_first_change(_transition: Transition, /) -> None:
        with contextlib.suppress(RuntimeError):  # it runs already
            doom.start()

    if chance.random() < EARLY:
        threading.Timer(chance.random() * EARLY_S, os.kill, (os.getpid(), signal.SIGKILL)).start()
    crew = Crew(registry=registry, orders=OrdersFor(), approvers=SimulatedApprovers(), observers=(on_first_change,))
    store = RunStore(folder / "state", root=PROJECT, clock=SystemClock())
    with store.session(purpose="crash matrix") as session:
        states = [summary.state for summary in store.summaries() if summary.state]
        if RunState.DONE in states:  # it was killed between its last word and its end
            os._exit(0)
        if states:
            result = session.resume(store.the_open_run(), crew, stop=Stop())
        else:
            result = session.start(session.begin(plan), crew, stop=Stop())
    os._exit(0 if result.state is RunState.DONE else 1)


if __name__ == "__main__":
    sys.exit(main())
