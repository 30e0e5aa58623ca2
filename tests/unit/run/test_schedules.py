"""Runs through random disasters, and faults planted in the engine that they must find."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from functools import cache
from pathlib import Path

import pytest

from secondsite.errors import Effect
from secondsite.estate.load import load_estate
from secondsite.plan.load import known_runbooks, load_plan, load_runbook
from secondsite.plan.model import Plan, Step
from secondsite.plan.rules import Frontier
from secondsite.run import gates, interpreter
from secondsite.run.interpreter import Interpreter
from secondsite.run.model import HeardAnswer, RunState, Seen, StepRecord
from secondsite.run.rules import came_out_well, tally
from secondsite.sim.schedules import Odds, live_through

ROOT = Path(__file__).resolve().parents[3]
RUNBOOKS = ROOT / "runbooks"
FEW, MANY = 80, 300
NOTHING_BUT_KILLS = Odds(
    disk_full=0, told_to_stop=0, unreachable=0, refused_by_host=0, answer_lost=0, probe_blind=0, says_no=0, aborts=0
)


@cache
def real_plans() -> tuple[Plan, ...]:
    estate = load_estate(ROOT / "inventories" / "small")
    plans = []
    for name in known_runbooks(RUNBOOKS):
        directed = load_runbook(name, directory=RUNBOOKS).intent.has_direction
        origin, target = ("dc1", "dc2") if directed else (None, None)
        plans.append(load_plan(name, directory=RUNBOOKS, root=ROOT, estate=estate, origin=origin, target=target))
    return tuple(plans)


@pytest.mark.parametrize("schedules", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_whatever_happens_each_effect_comes_about_once_in_order_and_with_consent(schedules: int) -> None:
    told = [live_through(seed) for seed in range(schedules)]
    assert [(one.seed, one.broken) for one in told if one.broken] == []
    assert sum(one.killed for one in told) > schedules / 2
    assert {one.state for one in told} >= {RunState.DONE, RunState.FAILED}


@pytest.mark.parametrize("schedules", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_when_nothing_but_the_controller_dies_every_run_is_done(schedules: int) -> None:
    told = [live_through(seed, odds=NOTHING_BUT_KILLS) for seed in range(schedules)]
    assert {one.state for one in told} == {RunState.DONE}
    assert [(one.seed, one.broken) for one in told if one.broken] == []


@pytest.mark.slow
def test_the_real_runbooks_live_through_it() -> None:
    told = [live_through(seed, plans=real_plans()) for seed in range(MANY)]
    assert [(one.seed, one.broken) for one in told if one.broken] == []
    assert {one.state for one in told} >= {RunState.DONE, RunState.FAILED, RunState.ABORTED}


def test_a_seed_names_one_schedule_in_any_process() -> None:
    script = "from secondsite.sim.schedules import live_through\nprint(*(live_through(s).trace for s in range(60)))"
    told = [
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), "PYTHONHASHSEED": hashes},
            capture_output=True, text=True, check=True, timeout=120,
        ).stdout.split()
        for hashes in ("1", "2")
    ]  # fmt: skip
    assert told[0] == told[1]
    assert len(set(told[0])) > 40


def do_it_again(patch: pytest.MonkeyPatch) -> None:
    def start(self: Interpreter, step: Step, _record: StepRecord) -> None:
        self._start(step)

    patch.setattr(Interpreter, "_resolve_doubt", start)


def take_it_for_done(patch: pytest.MonkeyPatch) -> None:
    def settle(self: Interpreter, step: Step, _record: StepRecord) -> None:
        self._note_settled(step, Seen(effect=Effect.APPLIED), by=("nobody",))

    patch.setattr(Interpreter, "_resolve_doubt", settle)


def rely_on_old_readings(patch: pytest.MonkeyPatch) -> None:
    def nothing(_plan: Plan, *, well: Collection[str]) -> frozenset[str]:
        del well
        return frozenset()

    patch.setattr(interpreter, "stale_readings", nothing)


def follow_the_first_of_several(patch: pytest.MonkeyPatch) -> None:
    def settle(self: Frontier, name: str) -> tuple[Step, ...]:
        self._settled.add(name)
        return tuple(step for step in self._followers.get(name, ()) if step.name not in self._settled)

    patch.setattr(Frontier, "settle", settle)


def let_one_person_be_enough(patch: pytest.MonkeyPatch) -> None:
    def one(answers: Sequence[HeardAnswer], *, persons: int) -> bool | None:
        del persons
        return tally(answers, persons=1)

    patch.setattr(gates, "tally", one)


def ask_nobody_after_a_restart(patch: pytest.MonkeyPatch) -> None:
    admit = Interpreter._admit

    def go_on(self: Interpreter, step: Step, record: StepRecord) -> None:
        waited_before = any(note.name == step.name for note in self._kit.journal.notes(self._run))
        if step.gate is not None and waited_before:
            self._start(step)
            return
        admit(self, step, record)

    patch.setattr(Interpreter, "_admit", go_on)


def believe_an_error_was_success(patch: pytest.MonkeyPatch) -> None:
    def believed(step: Step, record: StepRecord) -> bool:
        return came_out_well(step, record) or (record.result is not None and record.result.state.ended_badly)

    patch.setattr(interpreter, "came_out_well", believed)


@pytest.mark.parametrize(
    ("plant", "told"),
    [
        (do_it_again, "came about again"),
        (take_it_for_done, "its effect is not there"),
        (rely_on_old_readings, "was read before the controller was started again"),
        (follow_the_first_of_several, "which it follows"),
        (let_one_person_be_enough, "took 2 persons and 1 had consented"),
        (ask_nobody_after_a_restart, "had consented"),
        (believe_an_error_was_success, "which it follows"),
    ],
)
def test_a_fault_planted_in_the_engine_is_found(
    monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None], told: str
) -> None:
    plant(monkeypatch)
    assert any(told in rule for seed in range(MANY) for rule in live_through(seed).broken)
