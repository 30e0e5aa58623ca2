"""What the lab remembers, and the one lock under which it is changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from secondsite.errors import JournalError, LockHeld
from secondsite.lab.model import FaultInForce, LabSettings, Phase
from secondsite.lab.state import (
    begin_faults,
    end_faults,
    exclusively,
    owner_file,
    read_state,
    set_phase,
)

root = pytest.mark.skipif(os.geteuid() != 0, reason="the lock is refused to everyone but root")


@pytest.fixture
def settings(tmp_path: Path) -> LabSettings:
    return LabSettings(
        instance="unit", state=tmp_path / "state", cache=tmp_path, topology=tmp_path, run_dir=tmp_path / "run"
    )


def fault(target: str) -> FaultInForce:
    return FaultInForce(kind="power cut", target=target, since=1.5)


def test_a_lab_never_started_is_down(settings: LabSettings) -> None:
    assert read_state(settings).phase is Phase.DOWN


def test_faults_are_remembered_until_they_are_taken_back(settings: LabSettings) -> None:
    set_phase(settings, Phase.UP, image_key="k")
    begin_faults(settings, [fault("web-dc1"), fault("db-dc1")])
    begin_faults(settings, [FaultInForce(kind="link cut", target="carrier-a dc1", since=2.0)])
    end_faults(settings, "power cut", ["web-dc1"])
    assert [str(left) for left in read_state(settings).faults] == ["power cut: db-dc1", "link cut: carrier-a dc1"]
    assert read_state(settings).phase is Phase.UP


def test_a_fault_begun_twice_is_one(settings: LabSettings) -> None:
    begin_faults(settings, [fault("web-dc1")])
    begin_faults(settings, [fault("web-dc1")])
    assert len(read_state(settings).faults) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"phase": "dancing"}', '{"phase": "up", "faults": [{"x": 1}]}'])
def test_a_state_that_cannot_be_understood_is_not_guessed(settings: LabSettings, text: str) -> None:
    settings.home.mkdir(parents=True)
    (settings.home / "lab.json").write_text(text, encoding="utf-8")
    with pytest.raises(JournalError, match="cannot be understood"):
        read_state(settings)


@root
def test_a_second_process_is_told_who_changes_the_lab(settings: LabSettings) -> None:
    with exclusively(settings), pytest.raises(LockHeld, match=str(os.getpid())) as refusal, exclusively(settings):
        pass
    assert refusal.value.exit_code == 6


@root
def test_the_lock_of_a_killed_process_is_free(settings: LabSettings) -> None:
    settings.run_dir.mkdir()
    path = settings.run_dir / "lab-unit.lock"
    script = f"import fcntl,os,signal; f=open({str(path)!r},'w'); fcntl.flock(f,2); os.kill(os.getpid(),signal.SIGKILL)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    with exclusively(settings):
        assert path.read_text(encoding="utf-8").startswith(str(os.getpid()))


@root
def test_a_note_about_a_lab_that_no_longer_stands_is_no_obstacle(settings: LabSettings) -> None:
    settings.run_dir.mkdir()
    owner_file(settings).write_text("/somewhere/else/lab-unit\n", encoding="utf-8")
    with exclusively(settings):
        assert read_state(settings).phase is Phase.DOWN


@pytest.mark.parametrize("name", ["", "Lab", "a-b", "1lab", "a" * 13, "../x", "a b"])
def test_a_name_that_could_be_another_labs_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="lab name"):
        LabSettings(instance=name, state=tmp_path, cache=tmp_path, topology=tmp_path)
