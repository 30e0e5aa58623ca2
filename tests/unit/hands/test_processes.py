"""What a command answers is bounded in size and time, and shown as plain text."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from secondsite.errors import UsageError
from secondsite.hands.processes import plain, run_process, scrubbed_environment


def asleep(seconds: str) -> bool:
    return subprocess.run(["pgrep", "-fx", f"sleep {seconds}"], check=False, capture_output=True).returncode == 0


def test_a_gigabyte_of_answer_is_cut_and_read_to_its_end() -> None:
    ended = run_process(["head", "-c", "1G", "/dev/zero"], timeout_s=60, limit=1000)
    assert ended.exit_code == 0
    assert len(ended.stdout) == 1000
    assert ended.truncated


def test_a_command_that_does_not_end_is_ended_with_its_children() -> None:
    ended = run_process(["sh", "-c", "sleep 3971 & sleep 3972"], timeout_s=0.3)
    assert ended.exit_code is None
    until = time.monotonic() + 20
    while asleep("3971") or asleep("3972"):
        assert time.monotonic() < until, "a child went on"
        time.sleep(0.05)


def test_a_command_that_is_not_installed_is_named() -> None:
    with pytest.raises(UsageError, match="no-such-command is not installed"):
        run_process(["no-such-command"], timeout_s=1)


def test_a_child_sees_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_TOKEN", "s3cret")
    code = "import os; print(sorted(os.environ))"
    ended = run_process([sys.executable, "-c", code], timeout_s=20)
    assert "OUR_TOKEN" not in ended.stdout
    assert set(scrubbed_environment()) == {"PATH", "LANG", "LC_ALL", "TZ"}


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        pytest.param("\x1b[2J\x1b[31mred\x1b[0m", "red", id="colours and a cleared screen"),
        pytest.param("\x1b]0;title\x07after", "after", id="window title"),
        pytest.param("a\x00b\x07c\rd", "abcd", id="control characters"),
        pytest.param("\x9b31mred", "31mred", id="eight-bit introducer"),
        pytest.param("safe\u202etxt.exe", "safetxt.exe", id="right-to-left override"),
        pytest.param("two\nlines\tand a tab", "two\nlines\tand a tab", id="plain"),
    ],
)
def test_what_hosts_say_can_command_no_terminal(said: str, shown: str) -> None:
    assert plain(said) == shown


def test_long_words_are_cut_and_say_so() -> None:
    assert plain("x" * 50, limit=10) == "xxxxxxxxxx [cut]"
