"""First backups: begun once, wherever a job never made one, and never taken for made when they were not."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import pytest

from secondsite.errors import ActionError, Effect, Unreachable
from secondsite.estate.load import load_estate
from secondsite.hands.first_backups import PLACE, FirstBackups
from secondsite.plan.load import load_plan
from secondsite.run.ports import CommandResult, Hands, Outcome, StepContext

ROOT = Path(__file__).parents[3]
CONTEXT = StepContext(
    run="r",
    step="s",
    attempt=1,
    hosts=(),
    timeout=dt.timedelta(seconds=5),
    files=Path(),
    stopping=lambda: False,
)
# What the script asks of systemd: a unit starts at once; unit "bad" fails, and "long" goes on.
SYSTEMCTL = r"""#!/bin/sh
case $1 in
start) shift; for unit; do case $unit in -*) ;; *) echo "$unit" >> "$(dirname "$0")/started" ;; esac; done ;;
show) case $3/$5 in
    */long) echo activating ;;
    ActiveState/*) echo inactive ;;
    Result/bad) echo exit-code ;;
    *) echo success ;;
    esac ;;
esac
"""


class Host:
    """A host on which the script really runs, with another systemd. Its lists of jobs lie under ``place``."""

    def __init__(self, folder: Path) -> None:
        self.place, self.programs = folder / "lists", folder / "bin"
        self.place.mkdir(parents=True)
        self.programs.mkdir()
        for name, text in {"systemctl": SYSTEMCTL, "journalctl": "#!/bin/sh\necho disk\necho full\n"}.items():
            (self.programs / name).write_text(text)
            (self.programs / name).chmod(0o755)

    def jobs(self, jobs: Mapping[str, Sequence[str]], *, name: str = "role") -> None:
        lines = [f"{unit} {self.place.parent / mark}" for unit, marks in jobs.items() for mark in marks]
        (self.place / name).write_text("".join(f"{line}\n" for line in lines))

    def started(self) -> list[str]:
        path = self.programs / "started"
        return path.read_text().split() if path.exists() else []

    def run(self, argv: Sequence[str], stdin: str) -> CommandResult:
        assert argv[:6] == ["sudo", "-n", "/bin/sh", "-s", "--", PLACE]
        ended = subprocess.run(
            ["/bin/sh", "-s", "--", str(self.place), "0"],
            input=stdin,
            env={"PATH": f"{self.programs}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        if ended.returncode != 0:
            raise ActionError(ended.stderr, effect=Effect.UNKNOWN)
        return CommandResult(exit_code=0, stdout=ended.stdout, stderr=ended.stderr)


class Hosts:
    def __init__(self, **hosts: Host | None) -> None:
        self.hosts = hosts

    def run(self, host: str, argv: Sequence[str], *, stdin: str, timeout: dt.timedelta) -> CommandResult:
        assert timeout
        if (reached := self.hosts[host]) is None:
            raise Unreachable(f"{host} did not answer")
        return reached.run(argv, stdin)


def make(**hosts: Host | None) -> Outcome:
    step = FirstBackups(hands=cast("Hands", Hosts(**hosts)))
    action = step.registry().actions["first-backups"]
    return action.perform({"hosts": list(hosts)}, key="k", context=CONTEXT)


def test_what_has_its_mark_is_left_and_a_job_with_several_marks_begins_once(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.jobs({"names": ["there"], "files": ["a"]}, name="producer")
    host.jobs({"full": ["b", "c", "there"]}, name="target")
    (tmp_path / "there").touch()

    came = make(db=host)

    assert host.started() == ["files", "full"]
    assert (came.changed, came.detail["made"]) == (True, {"db": ["files", "full"]})


def test_where_all_was_made_nothing_begins(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.jobs({"files": ["there"]})
    (tmp_path / "there").touch()
    came = make(db=host)
    assert (came.changed, host.started()) == (False, [])
    assert "nothing to change" in str(came.detail["said"])


def test_a_job_that_takes_hours_goes_on_by_itself_and_is_not_called_made(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.jobs({"long": ["a"], "files": ["b"]})
    came = make(db=host)
    assert came.detail["runs"] == {"db": ["long"]}
    assert came.detail["made"] == {"db": ["files"]}


def test_a_job_that_fails_ends_the_run_with_its_last_words(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.jobs({"bad": ["a"], "files": ["b"]})
    with pytest.raises(ActionError, match="db: bad: disk full"):
        make(db=host)
    assert host.started() == ["bad", "files"]


def test_a_host_whose_jobs_nobody_laid_is_not_taken_for_one_without(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.place.rmdir()
    with pytest.raises(ActionError, match="db"):
        make(db=host)


def test_a_host_that_does_not_answer_is_named_with_what_failed_for_want_of_it(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.jobs({"bad": ["a"], "files": ["b"]})
    came = make(db=host, vault=None)
    assert came.detail["unreachable"] == {
        "vault": "vault did not answer",
        "db": "its first backup failed: bad: disk full",
    }
    assert came.detail["made"] == {"db": ["files"]}


@pytest.mark.parametrize("estate", ["lab", "small"])
def test_whoever_makes_or_keeps_backups_makes_the_first_once_nobody_is_asked_anything_else(estate: str) -> None:
    read = load_estate(ROOT / "inventories" / estate)
    plan = load_plan("provision", directory=ROOT / "runbooks", root=ROOT, estate=read, origin=None, target=None)
    steps = {step.name: step for step in plan.steps}
    due = {str(host.name) for host in read.hosts.values() if {"producer", "repository"} & set(host.groups)}
    if not due:
        assert "first-backups" not in steps
        return
    assert set(steps["first-backups"].hosts) == due
    assert set(steps["first-backups"].after) == {
        "note-machines", "hand-over-keys", "keep-kit", "keep-procedures", "open-escrow",
    }  # fmt: skip
    assert "first-backups" in steps["first-verifications"].after
    assert "first-verifications" in steps["require-all-hosts"].after
    assert steps["first-verifications"].after == ("first-backups",)
    assert "first-verifications" in steps["require-all-hosts"].after
