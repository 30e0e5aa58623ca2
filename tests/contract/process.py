"""One process of the real engine in a world made of files. Run by path: process.py STATE RUNBOOK [STEP MOMENT]."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from secondsite.errors import ActionError, Effect, LeftOff, SecondsiteError
from secondsite.plan.load import load_plan
from secondsite.run.model import Json, Seen
from secondsite.run.ports import Outcome, Registry, StepContext
from secondsite.run.stop import Stop
from secondsite.sim.estate import two_site_estate
from secondsite.sim.world import OrdersFor, SimulatedApprovers
from secondsite.store.clock import SystemClock
from secondsite.store.runs import Crew, RunStore

HERE = Path(__file__).parent
ROOT = Path(os.environ.get("PROJECT", HERE))


@dataclass(frozen=True, slots=True, kw_only=True)
class FileWorld:
    folder: Path
    crash: tuple[str, str] | None

    def perform(self, arguments: Json, *, key: str, context: StepContext) -> Outcome:
        with (self.folder / "asked").open("a") as file:
            file.write(context.step + "\n")
        self._end_if(context.step, "before")
        if context.step == "fails":
            raise ActionError("it was made to fail", effect=Effect.NONE)
        if context.step == "beside":
            time.sleep(0.5)
        if (role := context.files / "roles" / "said").is_file():
            with (self.folder / "read").open("a") as file:
                file.write(f"{context.step}: {role.read_text()}\n")
        if context.step == "watch":
            self._watch(context)
        if context.step == "linger":
            self._linger()
        if context.step == "fill":
            fill(self.folder.parents[1])
        with (self.folder / "effects").open("a") as file:
            file.write(key + "\n")
            os.fsync(file.fileno())
        self._end_if(context.step, "after")
        return Outcome(changed=True, detail={"side": arguments.get("side", ""), "met": arguments.get("met", [])})

    def _watch(self, context: StepContext) -> None:
        while not (self.folder / "seen").exists():
            if context.stopping():
                raise LeftOff("nothing was seen before the run was stopped")
            time.sleep(0.01)

    def _linger(self) -> None:
        """Take a minute, whatever anybody asks, unless it was seen."""
        until = time.monotonic() + 60
        while not (self.folder / "seen").exists() and time.monotonic() < until:
            time.sleep(0.01)

    def look(self, arguments: Json, *, key: str, context: StepContext) -> Seen:  # noqa: ARG002
        effects = (self.folder / "effects").read_text().splitlines() if (self.folder / "effects").exists() else []
        side = context.step if context.step in {"left", "right"} else ""
        return Seen(effect=Effect.APPLIED if key in effects else Effect.NONE, detail={"side": side})

    def _end_if(self, step: str, moment: str) -> None:
        if self.crash == (step, moment):
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)


def fill(disk: Path) -> None:
    """Leave no room but the little that the effect itself needs, which was reserved before."""
    with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)
    (disk / "reserved").unlink(missing_ok=True)


def main(state: Path, name: str, crash: tuple[str, str] | None) -> int:
    folder = state / "world"
    folder.mkdir(parents=True, exist_ok=True)
    world = FileWorld(folder=folder, crash=crash)
    registry = Registry(actions=dict.fromkeys(("apply", "fail", "linger"), world), probes={"applied": world})
    crew = Crew(registry=registry, orders=OrdersFor(), approvers=SimulatedApprovers(), observers=())
    store = RunStore(state, root=ROOT, clock=SystemClock())
    stop = Stop()
    with store.session(purpose=name) as session, stop.on_signals():
        if any(summary.state for summary in store.summaries()):
            result = session.resume(store.the_open_run(), crew, stop=stop)
        else:
            plan = load_plan(name, directory=ROOT / "runbooks", root=ROOT, estate=two_site_estate())
            result = session.start(session.begin(plan), crew, stop=stop)
    steps = {
        step: {"state": r.state.value, "by": list(r.consent.by) if r.consent else [], "attempts": r.attempts}
        for step, r in result.steps.items()
    }
    print(json.dumps({"state": result.state.value, "steps": steps, "at": str(dt.datetime.now(dt.UTC))}))  # noqa: T201
    return result.exit_code


if __name__ == "__main__":
    try:
        point = (sys.argv[3], sys.argv[4]) if len(sys.argv) > 3 else None
        sys.exit(main(Path(sys.argv[1]), sys.argv[2], point))
    except SecondsiteError as error:
        print(error.what, file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
