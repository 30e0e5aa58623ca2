"""What the engine adds to a step: a chain of steps that do nothing, over DBOS on SQLite, beside a bare journal.

The baseline writes the same two durable records a step into a bare SQLite table with the same settings.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

from secondsite.plan.builder import call
from secondsite.plan.model import Plan, Step
from secondsite.run.model import Json, StepState, Transition
from secondsite.run.ports import Outcome, Registry, StepContext
from secondsite.run.stop import Stop
from secondsite.sim.plans import example_plan
from secondsite.sim.world import OrdersFor, SimulatedApprovers
from secondsite.store.clock import SystemClock
from secondsite.store.runs import Crew, RunStore

GOAL_MS = 10.0
FLAT = 1.5


class Nothing:
    """An action that costs nothing."""

    def perform(self, arguments: Json, *, key: str, context: StepContext) -> Outcome:
        del arguments, key, context
        return Outcome(changed=False)


def chain(length: int) -> Plan:
    steps = tuple(
        Step(name=f"s{n}", title="", call=call("nothing"), hosts=(), after=(f"s{n - 1}",) if n else ())
        for n in range(length)
    )
    return example_plan(*steps)


def engine_ms(state: Path, length: int) -> list[float]:
    """Return the milliseconds of every step, from one result recorded to the next."""
    ends: list[float] = []

    def note(seen: Transition, /) -> None:
        if seen.state is StepState.DONE:
            ends.append(time.perf_counter())

    store = RunStore(state, root=state, clock=SystemClock())
    registry = Registry(actions={"nothing": Nothing()}, probes={})
    crew = Crew(registry=registry, orders=OrdersFor(), approvers=SimulatedApprovers(), observers=(note,))
    with store.session(purpose="benchmark") as session:
        folder = session.begin(chain(length))
        result = session.start(folder, crew, stop=Stop())
    if result.exit_code or len(ends) != length:
        raise SystemExit(f"the run did not come out well: {result.reasons}")
    return [(later - earlier) * 1000 for earlier, later in itertools.pairwise(ends)]


def bare_ms(path: Path, length: int) -> list[float]:
    """Return the milliseconds of two durable writes to a bare journal, each time."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE journal (step TEXT PRIMARY KEY, intent TEXT, result TEXT)")
    taken = []
    for number in range(length):
        begun = time.perf_counter()
        db.execute("INSERT INTO journal VALUES (?, ?, NULL)", (f"s{number}", json.dumps({"call": "nothing"})))
        db.execute("UPDATE journal SET result = ? WHERE step = ?", (json.dumps({"state": "done"}), f"s{number}"))
        taken.append((time.perf_counter() - begun) * 1000)
    return taken


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--steps", type=int, default=2000)
    options.add_argument(
        "--folder", default=tempfile.gettempdir(), help="where to write: durability costs what it costs"
    )
    given = options.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
        engine = engine_ms(Path(scratch) / "state", given.steps)
        bare = bare_ms(Path(scratch) / "bare.sqlite", given.steps)
    size = max(1, len(engine) // 5)
    fifths = [statistics.median(engine[at : at + size]) for at in range(0, size * 5, size)]
    mean, base = statistics.fmean(engine), statistics.fmean(bare)
    growth = fifths[-1] / fifths[0]
    print(f"{'fifth of the run':<18}{'median ms/step':>16}")
    for place, value in enumerate(fifths, start=1):
        print(f"{place:<18}{value:>16.2f}")
    print(f"{'mean':<18}{mean:>16.2f}\n{'bare journal':<18}{base:>16.2f}")
    figures = [
        figure("engine cost per durable step", mean, base, GOAL_MS),
        figure(f"last fifth over first fifth of {given.steps} steps", growth, 1.0, FLAT, unit="ratio"),
    ]
    print(json.dumps({"benchmark": "engine_step", "figures": figures}))
    return 0 if all(one["met"] for one in figures) else 3


def figure(what: str, value: float, baseline: float, goal: float, *, unit: str = "ms") -> dict[str, object]:
    rounded = {"value": round(value, 3), "baseline": round(baseline, 3), "ratio": round(value / baseline, 2)}
    return {"what": what, "unit": unit, **rounded, "goal": goal, "met": value <= goal}


if __name__ == "__main__":
    sys.exit(main())
