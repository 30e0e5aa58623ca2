"""What every journal promises, tried on the simulated one and on DBOS with real processes that are killed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import pytest


class Ended(Protocol):
    exit_code: int
    state: str
    steps: Mapping[str, Mapping[str, Any]]


class Machine(Protocol):
    def run(self, *, crash: tuple[str, str] | None = None) -> Ended | None: ...
    def answer_while_waiting_then_kill(self, answers: Mapping[str, tuple[str, bool]], *, heard: bool) -> None: ...
    def answer(self, gate: str, who: str, *, granted: bool) -> None: ...
    def effects(self) -> Sequence[str]: ...
    def asked(self) -> Sequence[str]: ...


MachineFor = Callable[[str], Machine]


@pytest.mark.parametrize("heard", [False, True], ids=["killed-before-it-heard", "killed-after-it-heard"])
def test_after_a_kill_each_of_two_parallel_gates_gets_its_own_answer(machine_for: MachineFor, *, heard: bool) -> None:
    machine = machine_for("two_gates")
    machine.answer_while_waiting_then_kill({"left": ("ana", True), "right": ("bo", True)}, heard=heard)

    ended = machine.run()

    assert ended is not None
    assert (ended.state, ended.exit_code) == ("done", 0)
    assert ended.steps["left"]["by"] == ["ana"]
    assert ended.steps["right"]["by"] == ["bo"]
    assert sorted(machine.effects()) == ["before-left", "before-right", "join", "left", "right"]


def test_a_yes_for_one_gate_never_opens_the_other(machine_for: MachineFor) -> None:
    machine = machine_for("two_gates")
    machine.answer_while_waiting_then_kill({"left": ("ana", True), "right": ("bo", False)}, heard=False)

    ended = machine.run()

    assert ended is not None
    assert ended.exit_code != 0
    assert ended.steps["right"]["state"] == "refused"
    assert "right" not in machine.effects()
    assert "join" not in machine.effects()


def test_a_failed_step_ran_once_and_nothing_that_depends_on_it_started(machine_for: MachineFor) -> None:
    machine = machine_for("one_fails")

    ended = machine.run()

    assert ended is not None
    assert (ended.state, ended.exit_code) == ("failed", 3)
    assert list(machine.asked()).count("fails") == 1
    assert ended.steps["fails"]["state"] == "failed"
    assert ended.steps["beside"]["state"] == "done", "what was in flight beside it finishes"
    assert set(machine.effects()) == {"begin", "beside"}, "and nothing new starts"


@pytest.mark.parametrize(
    ("step", "moment"),
    [("begin", "before"), ("begin", "after"), ("fails", "before"), ("beside", "before"), ("beside", "after")],
)
def test_a_process_killed_at_an_effect_leaves_each_effect_once(machine_for: MachineFor, step: str, moment: str) -> None:
    machine = machine_for("one_fails")
    assert machine.run(crash=(step, moment)) is None

    ended = machine.run()

    assert ended is not None
    assert ended.exit_code != 0
    effects = list(machine.effects())
    assert len(effects) == len(set(effects))
    assert set(effects) <= {"begin", "beside"}
    assert "never" not in machine.asked()


@pytest.mark.parametrize("happened", [False, True], ids=["it-did-not-happen", "it-did"])
def test_when_no_probe_can_tell_a_person_is_asked(machine_for: MachineFor, *, happened: bool) -> None:
    machine = machine_for("no_probe")
    assert machine.run(crash=("blind", "after" if happened else "before")) is None
    machine.answer_while_waiting_then_kill({"in-doubt:blind#1": ("ana", happened)}, heard=False)

    ended = machine.run()

    assert ended is not None
    assert (ended.state, ended.exit_code) == ("done", 0)
    assert list(machine.effects()) == ["blind", "after"]
