"""Bad words and poisoned inventories end with 2 and a sentence, before anything is attempted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from secondsite.cli.main import main

INVENTORIES = Path(__file__).resolve().parents[3] / "inventories"
LAB, SMALL = INVENTORIES / "lab", INVENTORIES / "small"
DRILL = ("drill", "run", "site-loss")
PLAN = ("plan", "failover", "--from", "dc1", "--to", "dc2")


@pytest.fixture
def estate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SECONDSITE_STATE", str(tmp_path / "state"))
    shutil.copytree(LAB, tmp_path / "estate")
    return tmp_path / "estate"


def poison(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        pytest.param("hosts.yml", "web-dc1:", "-oProxyCommand=touch$IFS/x:", "hosts.yml:", id="option as host"),
        pytest.param("hosts.yml", "198.19.0.21", "'$(touch /x)'", "'$('", id="shell"),
        pytest.param("hosts.yml", "198.19.0.21", '\'{{ lookup("pipe", "id") }}\'', "'{{'", id="template"),
        pytest.param("hosts.yml", "198.19.0.21", '"198.19.0.21\\nx"', "line break", id="newline"),
        pytest.param("hosts.yml", "ansible_user: root", "ansible_ssh_executable: /x", "run a program", id="program"),
        pytest.param("estate.yml", "rto: 60s", "rto: 4:00", "durations need a unit", id="base 60"),
        pytest.param("estate.yml", "name: lab", "name: lab\nname: lab", "second time", id="duplicate key"),
        pytest.param("estate.yml", "name: lab", "name: &a lab", "anchor", id="anchor"),
        pytest.param("estate.yml", "name: lab", 'name: "\\e]0;gone\\a"', "invisible character", id="escape"),
    ],
)
def test_a_poisoned_inventory_is_refused_with_file_line_and_hint(
    file: str, old: str, new: str, says: str, estate: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    poison(estate / file, old, new)

    assert main([*PLAN, "--estate", str(estate)]) == 2

    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"{estate / file}:" in shown.err
    assert says in shown.err
    assert "not done: nothing was attempted" in shown.err
    assert "Traceback" not in shown.err
    assert "\x1b" not in shown.err
    assert list(estate.parent.glob("state/*")) == []


def test_with_json_a_poisoned_inventory_is_a_document(estate: Path, capsys: pytest.CaptureFixture[str]) -> None:
    poison(estate / "estate.yml", "rto: 60s", "rto: 4:00")

    assert main([*PLAN, "--estate", str(estate), "--json"]) == 2

    (problem,) = json.loads(capsys.readouterr().out)["error"]["problems"]
    assert problem["pointer"] == "/workloads/billing/objectives/rto"
    assert problem["line"] > 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        pytest.param(["plan", "prayer", "--from", "dc1", "--to", "dc2"], "prayer", id="unknown runbook"),
        pytest.param(["plan", "../../etc/passwd", "--from", "dc1", "--to", "dc2"], "passwd", id="path as runbook"),
        pytest.param(["plan", "failover", "--from", "dc1", "--to", "dc9"], "dc9", id="unknown site"),
        pytest.param(["plan", "failover", "--from", "dc1", "--to", "dc1"], "dc1", id="same origin and target"),
        pytest.param(["plan", "failover", "--from", "dc1"], "", id="no direction"),
        pytest.param(["plan", "failover", "--frm", "dc1"], "--frm", id="unknown option"),
        pytest.param(["drill", "run", "moon-loss"], "moon-loss", id="unknown scenario"),
        pytest.param([*DRILL, "--from", "dc2"], "--from SITE and --to SITE", id="half a direction"),
        pytest.param([*DRILL, "--from", "dc2", "--to", "mars"], "there are: dc1, dc2", id="drill to an unknown site"),
        pytest.param([*DRILL, "--from", "vault", "--to", "dc1"], "no datacenter", id="drill of what is no datacenter"),
        pytest.param([*DRILL, "--from", "dc2", "--to", "dc2"], "both dc2", id="drill from a site to itself"),
        pytest.param([*PLAN, "--estate", "/nowhere"], "/nowhere/estate.yml", id="no estate"),
    ],
)
def test_a_wrong_word_on_the_command_line_is_refused(
    words: list[str], says: str, estate: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2

    shown = capsys.readouterr()
    assert shown.out == ""
    assert says in shown.err
    assert "Traceback" not in shown.err
    assert shown.err.startswith("error: ")


def test_a_plan_is_printed_and_performs_nothing(estate: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PLAN, "--estate", str(estate)]) == 0

    assert "dc2" in capsys.readouterr().out
    assert list(estate.parent.glob("state/*")) == []


def test_checks_that_concern_no_host_of_the_estate_are_told_not_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SECONDSITE_STATE", str(tmp_path / "state"))

    assert main(["check", "--tags", "NET-BFD", "--estate", str(SMALL)]) == 2

    shown = capsys.readouterr()
    assert "no hosts that NET-BFD could look at" in shown.err
    assert "not done: nothing was checked" in shown.err
