"""The commands around plans and runs, as processes, on the lab's estate without the lab."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.slow


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def secondsite(state: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "src"),
        "SECONDSITE_STATE": str(state),
        "NO_COLOR": "1",
    }
    command = [sys.executable, "-m", "secondsite", *words]
    return subprocess.run(
        command, env=environment, cwd=state.parent, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param(["plan", "nope"], "known runbooks: cold_restart, failback, failover", id="unknown-runbook"),
        pytest.param(["plan", "failover", "--from", "dc1", "--to", "dc1"], "both dc1", id="same-site"),
        pytest.param(["plan", "failover", "--from", "dc1", "--to", "mars"], "dc1, dc2", id="unknown-site"),
        pytest.param(["plan", "failover"], "needs --from SITE and --to SITE", id="no-direction"),
        pytest.param(["run", "failover", "--from", "dc2", "--to", "dc2"], "both dc2", id="run-same-site"),
        pytest.param(["runs", "resume"], "no run is open", id="nothing-to-resume"),
        pytest.param(["runs", "show", "7"], "there is no run '7'", id="unknown-run"),
        pytest.param(["approve", "7", "gate", "--yes", "--as", "ana"], "there is no run '7'", id="approve-unknown"),
        pytest.param(["approve", "7", "gate", "--as", "ana"], "--yes or --no", id="approve-says-nothing"),
    ],
)
def test_a_wrong_word_ends_with_2_and_says_what_to_do(state: Path, words: list[str], told: str) -> None:
    ended = secondsite(state, *words)
    assert ended.returncode == 2
    assert told in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_a_plan_is_printed_in_every_form_with_one_digest_and_nothing_is_performed(state: Path) -> None:
    words = ("plan", "failover", "--from", "dc1", "--to", "dc2", "--format")
    printed = {form: secondsite(state, *words, form) for form in ("text", "json", "md", "html")}
    document = json.loads(printed["json"].stdout)
    assert document["schema_version"] == 1
    assert document["critical_path"]["predicted_ms"] > 0
    for form, ended in printed.items():
        assert (ended.returncode, ended.stderr) == (0, ""), form
        assert document["digest"] in ended.stdout
        for step in document["steps"]:
            assert step["name"] in ended.stdout.replace("\\", "")
    assert not list(state.rglob("*")), "no run, no journal, no lock"


def test_runs_are_listed_where_there_are_none(state: Path) -> None:
    ended = secondsite(state, "runs", "list", "--json")
    assert ended.returncode == 0
    assert json.loads(ended.stdout) == {"schema_version": 1, "runs": [], "at_work": "", "stopped": None}


def test_a_stop_is_told_to_whoever_would_start_something_until_it_is_taken_back(state: Path) -> None:
    stopped = secondsite(state, "runs", "stop", "--reason", "the data looks wrong", "--as", "ana")
    assert stopped.returncode == 0
    assert "secondsite runs go" in stopped.stderr
    starts = (
        ("run", "failover", "--from", "dc1", "--to", "dc2"),
        ("runs", "resume"),
        ("drill", "run", "site-loss"),
    )
    for words in starts:
        refused = secondsite(state, *words)
        assert refused.returncode == 5, refused.stderr
        told = " ".join(refused.stderr.split())
        assert "ana stopped everything on this estate since" in told
        assert "the data looks wrong" in told
        assert "next: once it is safe to go on: secondsite runs go" in told
    assert sorted(path.name for path in state.iterdir()) == ["STOP", "stops.jsonl"], "nothing was begun"
    assert json.loads(secondsite(state, "runs", "list", "--json").stdout)["stopped"]["who"] == "ana"

    lifted = secondsite(state, "runs", "go", "--reason", "a false alarm", "--as", "bo", "--json")
    assert json.loads(lifted.stdout)["lifted"]["reason"] == "the data looks wrong"
    assert json.loads(secondsite(state, "runs", "list", "--json").stdout)["stopped"] is None


def estate_in(folder: Path, *, old: str = "", new: str = "") -> Path:
    estate = folder / "estate"
    shutil.copytree(ROOT / "inventories" / "small", estate)
    text = (estate / "estate.yml").read_text()
    assert old in text
    (estate / "estate.yml").write_text(text.replace(old, new, 1))
    return estate


def test_a_drill_that_disrupts_is_refused_on_an_estate_that_is_no_lab_before_anything_is_touched(
    state: Path, tmp_path: Path
) -> None:
    estate = estate_in(tmp_path)
    (estate / "lab.yml").unlink()

    refused = secondsite(state, "drill", "run", "site-loss", "--estate", str(estate))

    assert refused.returncode == 5
    assert "that takes the consent of two persons" in " ".join(refused.stderr.split())
    assert not state.exists()


def test_a_runbook_is_signed_beside_the_files_of_an_estate_and_on_a_lab_in_its_state(
    state: Path, tmp_path: Path
) -> None:
    estate, key = estate_in(tmp_path), tmp_path / "key"
    lab = secondsite(state, "sign", "failover", "--as", "lab-author", "--estate", str(estate), "--json")
    assert lab.returncode == 0, lab.stderr
    (signed,) = json.loads(lab.stdout)["signed"]
    assert len(list((state / "signed-runbooks").glob("failover-*.json"))) == 1
    assert secondsite(state, "sign", "failover", "--as", "lab-author", "--estate", str(estate)).returncode == 5
    refused = secondsite(state, "sign", "failback", "--as", "lab-approver-1", "--estate", str(estate))
    assert refused.returncode == 5
    assert "lab-approver-1 may not answer for a runbook with this key" in " ".join(refused.stderr.split())

    (estate / "lab.yml").unlink()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    words = ("sign", "failover", "--as", "ana", "--estate", str(estate))
    assert "name it with --key FILE" in secondsite(state, *words).stderr
    stranger = secondsite(state, *words, "--key", str(key))
    assert stranger.returncode == 5
    assert "nobody may sign a runbook yet: approvers is missing" in " ".join(stranger.stderr.split())
    public = " ".join(key.with_suffix(".pub").read_text().split()[:2])
    (estate / "approvers").write_text(f'ana namespaces="runbook@secondsite" {public}\n')
    ended = secondsite(state, *words, "--key", str(key))
    assert ended.returncode == 0, ended.stderr
    assert f"answers for failover, version {signed['version'][:12]}" in ended.stdout
    (kept,) = (estate / "signed-runbooks").iterdir()
    assert kept.name == f"failover-{signed['version'][:16]}.json"


def test_a_drill_outside_the_estates_windows_is_refused_with_the_windows(state: Path, tmp_path: Path) -> None:
    never = "  windows: [{days: [mon], begins: '00:00', ends: '00:01', zone: Europe/Berlin}]\n"
    estate = estate_in(tmp_path, old="  tenant: drill\n", new=f"  tenant: drill\n{never}")

    refused = secondsite(state, "drill", "run", "site-loss", "--estate", str(estate))

    assert refused.returncode == 5
    assert "in its windows only (mon from 00:00 to 00:01 Europe/Berlin)" in " ".join(refused.stderr.split())
    assert not list(state.glob("*/*"))


@pytest.mark.parametrize(
    ("window", "told"),
    [
        ("{days: [mon], begins: '22:00', ends: '04:00', zone: Mars/Base}", "'Mars/Base', which is not a time zone"),
        ("{days: [], begins: '22:00', ends: '04:00', zone: UTC}", "at least 1"),
        ("{days: [monday], begins: '22:00', ends: '04:00', zone: UTC}", "mon"),
        ("{days: [mon], begins: '24:00', ends: '04:00', zone: UTC}", "not a time of day"),
    ],
)
def test_a_window_that_is_none_is_refused_with_its_place(state: Path, tmp_path: Path, window: str, told: str) -> None:
    estate = estate_in(tmp_path, old="  tenant: drill\n", new=f"  tenant: drill\n  windows: [{window}]\n")
    refused = secondsite(state, "plan", "provision", "--estate", str(estate))
    assert refused.returncode == 2
    assert "/drills/windows/0" in refused.stderr
    assert told in " ".join(refused.stderr.split())


def test_a_failover_is_refused_while_a_check_is_red_and_says_how_to_pass_it(state: Path) -> None:
    words = ("run", "failover", "--from", "dc1", "--to", "dc2")
    never = secondsite(state, *words)
    assert never.returncode == 5
    assert "READINESS: no check of this estate was ever made" in " ".join(never.stderr.split())
    state.mkdir(exist_ok=True)
    red = {"id": "RDY-LOGIN", "state": "failed", "saw": "nobody gets in", "hosts": ["db-dc2"], "at": now()}
    (state / "checks.json").write_text(json.dumps({"schema_version": 1, "checks": [red]}))

    refused = secondsite(state, *words)
    assert refused.returncode == 5
    told = " ".join(refused.stderr.split())
    assert "RDY-LOGIN: failed at" in told
    assert "nobody gets in" in told
    assert "--override RDY-LOGIN=" in told
    assert not (state / "runs").exists()

    passed = secondsite(state, *words, "--override", "RDY-LOGIN=we know")
    assert passed.returncode == 2, "it goes on, to find that there is no lab"
    assert "RDY-LOGIN" not in passed.stderr
    wrong = secondsite(state, *words, "--override", "RDY-LOGIN")
    assert "gives no reason" in wrong.stderr


def now() -> str:
    return dt.datetime.now(dt.UTC).isoformat()
