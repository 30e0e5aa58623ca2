"""Real processes over DBOS on SQLite: signals, a second start, answers from outside, and a store that fails."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest

from secondsite.app.preparation import require_nothing_left
from secondsite.errors import Refused, UsageError
from secondsite.run.durable import recorded_attempts
from secondsite.run.model import RunState
from secondsite.store.runs import RunStore

pytestmark = pytest.mark.slow


class Ended(Protocol):
    exit_code: int
    state: str
    steps: Mapping[str, Mapping[str, Any]]


class Process(Protocol):
    errors: str
    state: Path
    project: Path

    def start(self, *, crash: tuple[str, str] | None = None) -> subprocess.Popen[str]: ...
    def finish(self, process: subprocess.Popen[str]) -> Ended | None: ...
    def run(self, *, crash: tuple[str, str] | None = None) -> Ended | None: ...
    def store(self) -> RunStore: ...
    def wait_for_gates(self, gates: set[str]) -> None: ...
    def answer(self, gate: str, who: str, *, granted: bool) -> None: ...
    def effects(self) -> Sequence[str]: ...
    def asked(self) -> Sequence[str]: ...
    def read(self) -> Sequence[str]: ...


Processes = Callable[[str], Process]


@pytest.mark.parametrize("killed", [False, True], ids=["live", "killed-and-resumed"])
@pytest.mark.parametrize("edit", ["role", "runbook", "broken-runbook"])
def test_what_is_edited_under_a_run_is_not_what_it_carries_out(
    processes: Processes, tmp_path: Path, edit: str, *, killed: bool
) -> None:
    machine = processes("two_gates")
    machine.project = tmp_path / "project"
    (machine.project / "roles").mkdir(parents=True)
    role, runbook = machine.project / "roles" / "said", machine.project / "runbooks" / "two_gates.py"
    role.write_text("as approved")
    runbook.parent.mkdir()
    approved = (Path(__file__).parent / "runbooks" / "two_gates.py").read_text()
    runbook.write_text(approved.replace("    for side in", '    plan.uses("roles")\n    for side in', 1))
    process = machine.start()
    machine.wait_for_gates({"left", "right"})

    if edit == "role":
        role.write_text("edited")
    else:
        runbook.write_text("no Python" if edit == "broken-runbook" else approved.replace('call("apply"', 'call("fail"'))
    if killed:
        process.kill()
        process.communicate()
    machine.answer("left", "ana", granted=True)
    machine.answer("right", "bo", granted=True)
    ended = machine.run() if killed else machine.finish(process)

    assert ended is not None
    assert (ended.exit_code, ended.state) == (0, "done"), machine.errors
    assert sorted(machine.read()) == [
        f"{step}: as approved" for step in ("before-left", "before-right", "join", "left", "right")
    ]


def test_a_second_start_is_refused_and_the_holder_is_named(processes: Processes) -> None:
    machine = processes("two_gates")
    first = machine.start()
    try:
        machine.wait_for_gates({"left", "right"})
        second = machine.run()
        assert second is not None
        assert second.exit_code == 6
        assert f"two_gates (process {first.pid}, since 20" in machine.errors
        assert f"process {first.pid}" in machine.store().holder()
    finally:
        first.kill()
        first.communicate()
    assert machine.store().holder() == "", "the lock ends with the process"


def test_a_run_whose_engine_was_killed_is_shown_as_interrupted_and_tells_so_for_good(processes: Processes) -> None:
    machine = processes("two_gates")
    process = machine.start()
    machine.wait_for_gates({"left", "right"})
    folder = machine.store().folders.find("1")
    assert machine.store().steps(folder).state is RunState.OPEN
    process.kill()
    machine.finish(process)

    assert [summary.state for summary in machine.store().summaries()] == [RunState.INTERRUPTED]
    dead = machine.store().steps(folder)
    assert dead.state is RunState.INTERRUPTED
    assert [(one.was_asked, one.resumed_at, one.in_doubt) for one in dead.interruptions] == [(False, "", ())]
    machine.answer("left", "ana", granted=True)
    assert machine.run(crash=("left", "before")) is None
    machine.answer("right", "bo", granted=True)
    ended = machine.run()
    assert ended is not None
    assert ended.state == "done"
    told = machine.store().steps(folder).interruptions
    assert [one.in_doubt for one in told] == [(), ("left",)]
    assert all(one.last_heard <= one.resumed_at for one in told)


def test_no_drill_begins_where_a_run_was_left_in_the_middle_until_it_was_resumed_or_given_up(
    processes: Processes,
) -> None:
    machine = processes("two_gates")
    store = machine.store()
    require_nothing_left(store, faults=())
    assert machine.run(crash=("before-left", "after")) is None

    with pytest.raises(UsageError, match="000001-two_gates was interrupted") as refused:
        require_nothing_left(store, faults=("power-cut db-dc1",))
    assert "fault in force: power-cut db-dc1" in refused.value.what
    assert "runs resume" in refused.value.next_step
    assert "lab fault restore-power" in refused.value.next_step

    with store.session(purpose="a drill") as session:
        session.give_up(store.folders.find("1"), who="a drill that began on a fresh lab")
        require_nothing_left(store, faults=())
    assert [summary.state for summary in store.summaries()] == [RunState.ABORTED]


def test_an_answer_from_another_process_reaches_a_waiting_run(processes: Processes) -> None:
    machine = processes("two_gates")
    process = machine.start()
    machine.wait_for_gates({"left", "right"})
    answered = time.monotonic()
    machine.answer("left", "ana", granted=True)
    while "left" not in machine.effects() and time.monotonic() - answered < 20:
        time.sleep(0.005)
    assert "left" in machine.effects()
    machine.answer("right", "bo", granted=True)
    ended = machine.finish(process)
    assert ended is not None
    assert ended.exit_code == 0
    with pytest.raises(Refused, match="no open gate"):
        machine.answer("left", "cy", granted=True)


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_stops_the_run_at_its_gates_and_it_can_be_resumed(
    processes: Processes, number: signal.Signals, exit_code: int
) -> None:
    machine = processes("two_gates")
    process = machine.start()
    machine.wait_for_gates({"left", "right"})
    process.send_signal(number)
    stopped = machine.finish(process)
    assert stopped is not None
    assert (stopped.exit_code, stopped.state) == (exit_code, "interrupted")
    assert [summary.state for summary in machine.store().summaries()] == [RunState.INTERRUPTED]

    machine.answer("left", "ana", granted=True)
    machine.answer("right", "bo", granted=True)
    ended = machine.run()
    assert ended is not None
    assert (ended.exit_code, ended.state) == (0, "done")
    assert sorted(machine.asked()) == ["before-left", "before-right", "join", "left", "right"]


def test_a_stop_file_halts_a_run_in_another_process_and_no_step_is_started_until_it_is_gone(
    processes: Processes,
) -> None:
    machine = processes("two_gates")
    process = machine.start()
    machine.wait_for_gates({"left", "right"})
    (machine.state / "STOP").touch()

    halted = machine.finish(process)

    assert halted is not None
    assert (halted.exit_code, halted.state) == (5, "interrupted")
    machine.answer("left", "ana", granted=True)
    machine.answer("right", "bo", granted=True)
    refused = machine.run()
    assert refused is not None
    assert (refused.exit_code, refused.state) == (5, "none")
    assert f"({machine.state / 'STOP'})" in machine.errors
    assert sorted(machine.asked()) == ["before-left", "before-right"]

    machine.store().stops.remove(who="ana", reason="it was a false alarm")
    ended = machine.run()
    assert ended is not None
    assert (ended.exit_code, ended.state) == (0, "done")
    assert sorted(machine.asked()) == ["before-left", "before-right", "join", "left", "right"]


def test_a_stop_file_that_lies_there_already_lets_no_run_begin(processes: Processes) -> None:
    machine = processes("two_gates")
    machine.store().stops.write(who="ana", reason="the data looks wrong")

    refused = machine.run()

    assert refused is not None
    assert refused.exit_code == 5
    assert "ana stopped everything on this estate" in machine.errors
    assert "the data looks wrong" in machine.errors
    assert machine.store().summaries() == []


def test_asked_twice_to_stop_a_process_waits_for_no_step_and_what_was_in_flight_is_looked_at(
    processes: Processes,
) -> None:
    machine = processes("lingers")
    process = machine.start()
    until = time.monotonic() + 20
    while "linger" not in machine.asked() and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None, "once, it waits for the step in flight"
    process.send_signal(signal.SIGINT)
    stopped = machine.finish(process)
    assert stopped is not None
    assert (stopped.exit_code, stopped.state) == (130, "interrupted")
    assert stopped.steps["linger"]["state"] == "intended"

    (machine.state / "world" / "seen").touch()
    ended = machine.run()
    assert ended is not None
    assert (ended.exit_code, ended.state) == (0, "done")
    assert machine.effects() == ["linger", "after"]
    assert ended.steps["linger"]["attempts"] == 2, "the probe saw that it had not come about"


def test_a_step_that_only_watches_leaves_off_at_a_signal_and_watches_on_when_resumed(processes: Processes) -> None:
    machine = processes("watches")
    process = machine.start()
    until = time.monotonic() + 20
    while "watch" not in machine.asked() and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    stopped = machine.finish(process)
    assert stopped is not None
    assert (stopped.exit_code, stopped.state) == (130, "interrupted")
    assert "after" not in machine.asked()

    (machine.state / "world" / "seen").touch()
    ended = machine.run()
    assert ended is not None
    assert (ended.exit_code, ended.state) == (0, "done")
    assert machine.asked() == ["watch", "watch", "after"]


def test_the_journal_is_written_through_to_the_disk_and_readable_while_it_is_used(processes: Processes) -> None:
    machine = processes("two_gates")
    process = machine.start()
    try:
        machine.wait_for_gates({"left", "right"})
        journal = machine.state / "journal.sqlite"
        with contextlib.closing(sqlite3.connect(journal)) as db:
            assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        steps = {attempt.key.step for attempt in recorded_attempts(journal, "000001-two_gates")}
        assert steps == {"before-left", "before-right"}
    finally:
        process.kill()
        process.communicate()


def test_a_lost_journal_ends_with_75_and_is_not_taken_for_a_new_beginning(processes: Processes) -> None:
    machine = processes("two_gates")
    process = machine.start()
    machine.wait_for_gates({"left", "right"})
    for path in machine.state.glob("journal.sqlite*"):
        path.unlink()
    process.send_signal(signal.SIGTERM)
    stopped = machine.finish(process)
    assert stopped is not None
    assert stopped.exit_code == 75
    with pytest.raises(Exception, match="is gone though runs were begun here") as caught:
        machine.answer("left", "ana", granted=True)
    assert getattr(caught.value, "exit_code", None) == 75


def killed_at_its_gates(machine: Process) -> None:
    process = machine.start()
    machine.wait_for_gates({"left", "right"})
    process.kill()
    process.communicate()


@pytest.mark.parametrize("damage", ["all", "header", "middle", "cut"])
def test_a_damaged_journal_ends_with_75_and_says_what_the_records_outside_it_show(
    processes: Processes, damage: str
) -> None:
    machine = processes("two_gates")
    killed_at_its_gates(machine)
    with contextlib.closing(sqlite3.connect(machine.state / "journal.sqlite")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    journal = machine.state / "journal.sqlite"
    content = bytearray(journal.read_bytes())
    page = 4096
    spans = {"all": slice(0, None), "header": slice(0, 100), "middle": slice(3 * page, -page), "cut": slice(0, 0)}
    content[spans[damage]] = b"\xa5" * len(content[spans[damage]])
    journal.write_bytes(content[: 2 * page] if damage == "cut" else content)

    refused = machine.run()

    assert refused is not None
    assert refused.exit_code == 75, machine.errors
    assert "before-left done" in machine.errors
    assert "before-right done" in machine.errors
    assert sorted(machine.asked()) == ["before-left", "before-right"], "nothing is performed"
    with pytest.raises(Exception, match="The records outside it show of 000001-two_gates") as caught:
        machine.answer("left", "ana", granted=True)
    assert getattr(caught.value, "exit_code", None) == 75


def test_after_a_restart_of_the_machine_what_is_on_its_disk_is_enough(processes: Processes, tmp_path: Path) -> None:
    machine = processes("two_gates")
    killed_at_its_gates(machine)
    disk = tmp_path / "disk-after-restart"
    for path in sorted(machine.state.rglob("*")):  # what a disk holds: no lock, no open file, no memory
        if path.is_file() and not path.name.endswith("-shm"):
            copy = disk / path.relative_to(machine.state)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
        elif path.is_dir():
            (disk / path.relative_to(machine.state)).mkdir(parents=True, exist_ok=True)
    machine.state = disk
    holder = {"pid": os.getpid(), "run": "two_gates", "since": "before the restart"}
    (disk / "run.lock").write_text(json.dumps(holder))  # a process of the same number lives again

    assert machine.store().holder() == ""
    machine.answer("left", "ana", granted=True)
    machine.answer("right", "bo", granted=True)
    ended = machine.run()

    assert ended is not None
    assert (ended.exit_code, ended.state) == (0, "done"), machine.errors
    assert sorted(machine.asked()) == ["before-left", "before-right", "join", "left", "right"]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.fail("this test mounts a file system and needs root; deselect it with -m 'not lab'")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path, *, leave: int) -> Path:
    path = disk / "filler"
    with path.open("wb") as file:
        file.write(b"\0" * max(0, shutil.disk_usage(disk).free - leave))
    return path


@pytest.mark.lab
@pytest.mark.parametrize("leave", [0, 4096, 40_960, 122_880])
def test_a_disk_that_is_full_from_the_start_ends_with_75_and_later_the_run_can_be_had(
    processes: Processes, tiny_disk: Path, leave: int
) -> None:
    machine = processes("one_fails")
    machine.state = tiny_disk / "state"
    filler = fill(tiny_disk, leave=leave)

    full = machine.run()

    assert full is not None
    assert full.exit_code == 75, machine.errors
    assert machine.asked() == []
    filler.unlink()
    ended = machine.run()
    assert ended is not None
    assert (ended.exit_code, ended.state) == (3, "failed")
    assert [summary.folder.number for summary in machine.store().summaries()] == [1]


@pytest.mark.lab
def test_a_disk_that_fills_during_a_step_ends_with_75_and_that_step_is_not_done_again(
    processes: Processes, tiny_disk: Path
) -> None:
    machine = processes("fills_disk")
    machine.state = tiny_disk / "state"
    (tiny_disk / "reserved").write_bytes(b"\0" * 4096)

    full = machine.run()

    assert full is not None
    assert full.exit_code == 75, machine.errors
    assert machine.effects() == ["begin", "fill"]
    (tiny_disk / "filler").unlink()
    ended = machine.run()
    assert ended is not None
    assert (ended.exit_code, ended.state) == (0, "done"), machine.errors
    assert machine.asked() == ["begin", "fill", "after"]
