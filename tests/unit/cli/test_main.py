"""What the person at the terminal, and the program that reads `--json`, get from every kind of end."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import rich_click as click

from secondsite import errors
from secondsite.cli import main as cli_main
from secondsite.cli.terminal import clean

ROOT = Path(__file__).resolve().parents[3]


def end_with(error: BaseException, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    @click.command()
    @click.option("--json", "as_json", is_flag=True)
    def broken(*, as_json: bool) -> None:
        raise error

    monkeypatch.setattr(cli_main, "cli", broken)
    return cli_main.main(words)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(errors.UsageError("no such scenario: moon-loss"), 2, id="usage"),
        pytest.param(errors.Refused("the target is the origin"), 5, id="refused"),
        pytest.param(errors.Unreachable("db-dc2 does not answer"), 4, id="unreachable"),
        pytest.param(errors.LockHeld("run 7 holds the lock"), 6, id="lock"),
        pytest.param(errors.ActionTimeout("no answer in 60 s"), 3, id="timeout"),
        pytest.param(errors.MeasurementError("no clock"), 8, id="measurement"),
        pytest.param(errors.JournalError("the disk is full"), 75, id="journal"),
        pytest.param(errors.EvidenceError("the digest differs"), 7, id="evidence"),
        pytest.param(KeyboardInterrupt(), 130, id="ctrl-c"),
        pytest.param(cli_main.Terminated(), 143, id="sigterm"),
        pytest.param(ZeroDivisionError("secret"), 1, id="our bug"),
    ],
)
def test_every_error_ends_the_command_with_its_exit_code_and_without_a_traceback(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert end_with(error, monkeypatch) == code

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.lstrip("\n").startswith("error: ")
    assert "Traceback" not in shown.err


def test_an_error_says_what_happened_what_was_not_done_and_what_to_do_next(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = errors.UsageError("no site dc9", not_done="nothing was attempted", next_step="name dc1 or dc2")

    end_with(error, monkeypatch)

    assert capsys.readouterr().err.splitlines() == [
        "error: no site dc9",
        "not done: nothing was attempted",
        "next: name dc1 or dc2",
    ]


def test_with_json_an_error_is_a_document_on_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = errors.Problem(file="estate.yml", line=7, pointer="/name", what="twice", hint="keep one")

    end_with(errors.ConfigError([problem]), monkeypatch, "--json")

    document = json.loads(capsys.readouterr().out)
    assert document["schema_version"] == 1
    assert document["exit_code"] == 2
    assert document["error"]["kind"] == "ConfigError"
    assert document["error"]["problems"] == [
        {"file": "estate.yml", "line": 7, "pointer": "/name", "what": "twice", "hint": "keep one"}
    ]


def test_a_bug_leaves_its_traceback_in_a_file_that_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    end_with(ZeroDivisionError("in a rule"), monkeypatch)

    (log,) = tmp_path.iterdir()
    assert str(log) in capsys.readouterr().err
    assert "ZeroDivisionError: in a rule" in log.read_text(encoding="utf-8")


def test_an_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli_main.main(["moon"]) == 2
    assert "No such command 'moon'" in capsys.readouterr().err


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\x9b31m", "a\rb", "\u202e", "\x07"])
def test_nothing_that_drives_a_terminal_is_printed(hostile: str) -> None:
    assert all(char.isprintable() for char in clean(hostile))


def test_help_imports_no_command() -> None:
    script = (
        "import sys; from secondsite.cli.main import main; code = main(['--help']);"
        "print(code, [m for m in sys.modules if m.startswith('secondsite.') and 'cli' not in m], file=sys.stderr)"
    )

    shown = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )

    assert shown.stderr.strip() == "0 ['secondsite.errors']"


@pytest.mark.parametrize("name", [name for name in cli_main.COMMANDS if cli_main._exists(cli_main.COMMANDS[name][0])])
def test_every_listed_command_can_be_loaded_and_helps(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli_main.main([name, "--help"]) == 0
    assert f"secondsite {name}" in capsys.readouterr().out


def test_a_termination_signal_ends_the_command_with_143() -> None:
    script = (
        "import os, signal, sys, rich_click as click; from secondsite.cli import main as m\n"
        "@click.command()\ndef slow(): os.kill(os.getpid(), signal.SIGTERM)\n"
        "m.cli = slow; sys.exit(m.main([]))"
    )

    ended = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 128 + signal.SIGTERM
    assert "error: terminated" in ended.stderr


HANGS_UP = """
import fcntl, signal, sys, termios, time, rich_click as click
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGHUP, signal.SIG_IGN if sys.argv[2] else signal.SIG_DFL)
from secondsite.cli import main as m
from secondsite.cli.terminal import emit, say
from secondsite.run.stop import Stop

@click.command()
def slow():
    stop = Stop()
    with stop.on_signals():
        say("waiting")
        while not stop.asked():
            time.sleep(0.01)
        for _ in range(3):
            say("still at work: " + "x" * 5000)
        open(sys.argv[1], "w").write("came to its end")
        emit("a result")
    return stop.exit_code
m.cli = slow
sys.exit(m.main([]))
"""


@pytest.mark.parametrize("ignored", [False, True], ids=["", "nohup"])
def test_a_run_whose_terminal_goes_away_comes_to_an_orderly_end(tmp_path: Path, *, ignored: bool) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", HANGS_UP, str(tmp_path / "end"), "nohup" if ignored else ""],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    assert b"waiting" in os.read(ours, 100)
    os.close(ours)

    if ignored:
        assert not_ended(process), "nohup means to go on"
        process.send_signal(signal.SIGTERM)
    code = process.wait(timeout=20)

    assert (tmp_path / "end").read_text() == "came to its end"
    assert code == 128 + signal.SIGHUP


def not_ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(timeout=0.5)
    except subprocess.TimeoutExpired:
        return True
    return False


@pytest.mark.parametrize("estate", ["small", "lab"])
def test_the_list_of_drills_names_all_and_says_which_can_not_be_run_here(
    estate: str, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = str(ROOT / "inventories" / estate)

    assert cli_main.main(["drill", "list", "--estate", directory, "--json"]) == 0
    listed = {one["name"]: one["not_here"] for one in json.loads(capsys.readouterr().out)["scenarios"]}
    assert cli_main.main(["drill", "list", "--estate", directory]) == 0
    shown = capsys.readouterr().out

    assert set(listed) == {path.stem for path in (ROOT / "drtests" / "scenarios").glob("*.yml")}
    assert [name for name, reasons in listed.items() if reasons] == (
        ["cold-restart", "hq-loss"] if estate == "small" else []
    )
    assert ("not on small: consent_at is dc2" in shown) == (estate == "small")
