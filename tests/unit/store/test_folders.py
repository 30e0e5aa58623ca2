from __future__ import annotations

import datetime as dt
import threading
from pathlib import Path

import pytest

from secondsite.errors import LockHeld, StepMismatch, UsageError
from secondsite.plan.load import load_plan
from secondsite.plan.model import Plan
from secondsite.run.model import StepState, Transition
from secondsite.sim.estate import two_site_estate
from secondsite.store.clock import SystemClock
from secondsite.store.folders import Folders
from secondsite.store.lock import RunLock
from secondsite.store.steps import StepRecorder, durations

RUNBOOK = """
from secondsite.plan import Intent, call, runbook

@runbook(name="small", intent=Intent.PROVISION)
def small(estate, plan):
    plan.step("one", title="One", call=call("act"), uses=("roles",))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "runbooks").mkdir()
    (tmp_path / "runbooks" / "small.py").write_text(RUNBOOK)
    (tmp_path / "roles").mkdir()
    (tmp_path / "roles" / "main.yml").write_text("one")
    return tmp_path


def plan_in(project: Path) -> Plan:
    return load_plan("small", directory=project / "runbooks", root=project, estate=two_site_estate())


def test_runs_and_drills_share_one_row_of_numbers_without_gaps(project: Path) -> None:
    folders = Folders(project / "state")
    names = [folders.make("site-loss").id, folders.make_for(plan_in(project), root=project).id, folders.make("x").id]
    assert names == ["000001-site-loss", "000002-small", "000003-x"]


def test_a_folder_that_was_left_half_made_takes_no_number(project: Path) -> None:
    half = project / "state" / "runs" / ".new" / "files"
    half.mkdir(parents=True)
    (half / "left").write_text("over")
    folder = Folders(project / "state").make_for(plan_in(project), root=project)
    assert folder.number == 1
    assert not (folder.files / "left").exists()


def test_a_run_keeps_the_files_it_was_approved_with(project: Path) -> None:
    folder = Folders(project / "state").make_for(plan_in(project), root=project)
    (project / "roles" / "main.yml").write_text("two")
    assert (folder.files / "roles" / "main.yml").read_text() == "one"
    assert folder.plan().runbook == "small"


@pytest.mark.parametrize("edited", ["files/roles/main.yml", "files/runbooks/small.py", "plan.json"])
def test_a_run_whose_copy_was_edited_is_refused(project: Path, edited: str) -> None:
    folder = Folders(project / "state").make_for(plan_in(project), root=project)
    path = folder.path / edited
    path.write_text(path.read_text().replace("one", "two").replace("One", "Two"))
    with pytest.raises(StepMismatch):
        folder.plan()


def test_a_file_that_changed_between_plan_and_run_is_refused(project: Path) -> None:
    plan = plan_in(project)
    (project / "roles" / "main.yml").write_text("two")
    with pytest.raises(StepMismatch):
        Folders(project / "state").make_for(plan, root=project)
    assert Folders(project / "state").all() == []


def test_a_run_is_found_by_number_and_by_name_and_an_unknown_one_is_refused(project: Path) -> None:
    folders = Folders(project / "state")
    folders.make("site-loss")
    assert {folders.find(word).id for word in ("1", "000001", "000001-site-loss")} == {"000001-site-loss"}
    with pytest.raises(UsageError) as caught:
        folders.find("2")
    assert "000001-site-loss" in caught.value.next_step


def test_the_lock_names_its_holder_and_is_free_afterwards(tmp_path: Path) -> None:
    lock = RunLock(tmp_path)
    with (
        lock.held(purpose="000001-failover", since="2026-01-01T00:00:00+00:00"),
        pytest.raises(LockHeld, match=r"000001-failover .process [0-9]+, since 2026-01-01"),
        RunLock(tmp_path).held(purpose="000002-failback", since="later"),
    ):
        pass
    assert lock.holder() == ""
    with lock.held(purpose="again", since="now"):
        assert lock.holder().startswith("again")


def test_who_waits_for_the_lock_gets_it_once_it_is_free_and_is_told_when_it_stays_held(tmp_path: Path) -> None:
    first, second = RunLock(tmp_path, name="check.lock"), RunLock(tmp_path, name="check.lock")
    clock, soon = SystemClock(), dt.timedelta(seconds=0.3)
    with (
        first.held(purpose="a check", since="now"),
        pytest.raises(LockHeld, match="a check"),
        second.awaited(purpose="another", since="later", clock=clock, within=soon),
    ):
        pass
    held = threading.Event()

    def hold_for_a_while() -> None:
        with first.held(purpose="a check", since="now"):
            held.set()
            clock.sleep(0.4)

    holding = threading.Thread(target=hold_for_a_while)
    holding.start()
    held.wait(10)
    with second.awaited(purpose="another", since="later", clock=clock, within=dt.timedelta(seconds=30)):
        assert second.holder().startswith("another")
    holding.join()


def test_how_long_steps_took_is_the_median_over_earlier_runs_and_a_cut_line_is_left_out(tmp_path: Path) -> None:
    for number, seconds in enumerate((1.0, 9.0, 2.0)):
        (tmp_path / str(number)).mkdir()
        record = StepRecorder(tmp_path / str(number))
        for t, state in ((5.0, StepState.INTENDED), (5.0 + seconds, StepState.DONE)):
            record(Transition(t=t, run="r", step="promote", state=state, attempt=1))
    with (tmp_path / "0" / "steps.jsonl").open("a") as file:
        file.write('{"t": 99, "step": "prom')
    taken = durations([tmp_path / str(number) for number in range(4)])
    assert {step: value.total_seconds() for step, value in taken.items()} == {"promote": 2.0}
