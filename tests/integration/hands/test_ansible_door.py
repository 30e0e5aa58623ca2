"""The door to ansible-runner, on this machine: what it lets through, what it keeps out, and what it leaves behind."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tests.unit.hands.hosts import DATABASE, WEB

from secondsite.errors import ActionError, ActionTimeout, ConfigError, Effect
from secondsite.hands.ansible import AnsibleDoor, Converged, Play
from secondsite.hands.keys import Trust

SECRET = "-".join(("must", "not", "be", "kept", "7f3a"))
NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)

HERE = """\
- name: Here
  hosts: all
  connection: local
  gather_facts: false
  become: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  tasks:
"""


def door(directory: Path, variables: Mapping[str, object] | None = None) -> AnsibleDoor:
    trust = Trust(directory / "keys", [WEB, DATABASE])
    trust.prepare(now=NOW)
    given = {"estate_secrets": {"shop": SECRET}} if variables is None else variables
    return AnsibleDoor([WEB, DATABASE], trust=trust, variables=lambda: given, use_mitogen=False)


def play(directory: Path, tasks: str) -> Play:
    playbook = directory / "roles" / "site.yml"
    playbook.parent.mkdir(exist_ok=True)
    playbook.write_text(HERE + "".join(f"    {line}\n" for line in tasks.splitlines()))
    return Play(playbook=playbook)


def run(directory: Path, tasks: str, *, timeout_s: float = 150) -> Converged:
    return door(directory).converge(
        play(directory, tasks), directory=directory / "run", timeout=dt.timedelta(seconds=timeout_s)
    )


def is_running(command: str) -> bool:
    words = command.split()
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            lines.append(path.read_bytes().split(b"\0")[:2])
    return [word.encode() for word in words] in lines


def wait_until(holds: Callable[[], bool], *, within_s: float = 90) -> None:
    until = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


def kept(directory: Path) -> dict[str, str]:
    files = [path for path in (directory / "run").rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): path.read_text(errors="replace") for path in files}


def test_the_second_run_of_a_role_says_that_there_is_nothing_to_change(tmp_path: Path) -> None:
    tasks = f"""\
- name: Place a file
  ansible.builtin.copy: {{content: "x", dest: "{tmp_path}/{{{{ inventory_hostname }}}}", mode: "0600"}}
"""
    first, second = run(tmp_path, tasks), run(tmp_path, tasks)
    assert (first.changed, first.changed_tasks) == (2, {"Place a file": 2})
    assert second.sentence() == "nothing to change: 0 of 2 tasks changed something on 2 hosts"


def test_a_secret_reaches_the_task_and_no_file_of_the_run(tmp_path: Path) -> None:
    tasks = f"""\
- name: Use the secret
  ansible.builtin.copy: {{content: "{{{{ estate_secrets.shop }}}}", dest: "{tmp_path}/used", mode: "0600"}}
  no_log: true
  run_once: true
- name: Fail beside it
  ansible.builtin.command: /bin/false
"""
    came = run(tmp_path, tasks)
    assert (tmp_path / "used").read_text() == SECRET
    assert len(came.failures) == 2
    assert [name for name, text in kept(tmp_path).items() if SECRET in text] == []


def test_ansible_sees_nothing_of_the_controllers_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTROLLER_TOKEN", "t0ken")
    monkeypatch.setenv("ANSIBLE_FORKS", "nonsense")
    tasks = f"""\
- name: Write down the environment
  ansible.builtin.shell: env > {tmp_path}/environment
  run_once: true
"""
    assert run(tmp_path, tasks).failures == ()
    assert "t0ken" not in (tmp_path / "environment").read_text()
    assert [name for name, text in kept(tmp_path).items() if "t0ken" in text] == []


def test_a_failed_task_is_named_with_its_host_and_words(tmp_path: Path) -> None:
    tasks = """\
- name: Break on the database
  ansible.builtin.command: sh -c 'echo disk is full >&2; exit 3'
  when: inventory_hostname == 'db-dc1'
"""
    came = run(tmp_path, tasks)
    (failure,) = came.failures
    assert (failure.host, failure.task) == ("db-dc1", "Break on the database")
    assert "disk is full" in failure.said
    assert came.hosts["web-dc1"].failed == 0


def test_a_host_that_answers_with_escapes_and_megabytes_is_cut_and_plain(tmp_path: Path) -> None:
    code = "import sys; sys.stdout.write('\\\\x1b[2J\\\\x1b]0;owned\\\\x07' + 'x' * 2_000_000); sys.exit(1)"
    tasks = f"""\
- name: Answer with too much
  ansible.builtin.command: {{argv: [python3, -c, "{code}"]}}
  run_once: true
"""
    came = run(tmp_path, tasks)
    (failure,) = came.failures
    assert len(failure.said) < 1000
    left = kept(tmp_path)
    assert sum(map(len, left.values())) < 1 << 20
    assert [name for name, text in left.items() if "\x1b" in text] == []
    assert "\x1b" not in failure.said


def test_a_broken_playbook_is_an_error_and_nothing_was_changed(tmp_path: Path) -> None:
    with pytest.raises(ActionError) as caught:
        run(tmp_path, "- no_such_module:\n")
    assert caught.value.effect is Effect.NONE
    assert "no_such_module" in caught.value.what


def test_a_run_that_takes_too_long_is_ended_and_its_effect_unknown(tmp_path: Path) -> None:
    with pytest.raises(ActionTimeout) as caught:
        run(tmp_path, "- name: Wait\n  ansible.builtin.command: sleep 555.5\n", timeout_s=4)
    assert caught.value.effect is Effect.UNKNOWN
    assert not is_running("sleep 555.5")


def test_what_a_killed_controller_left_running_is_ended_before_its_successor_begins(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        run(tmp_path, "- name: Wait\n  ansible.builtin.command: sleep 555.7\n")
        os._exit(0)
    wait_until(lambda: is_running("sleep 555.7"))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert is_running("sleep 555.7")

    run(tmp_path, "- name: Look\n  ansible.builtin.command: pgrep -f 'sleep 555[.]7'\n  failed_when: false\n")

    assert not is_running("sleep 555.7")


def test_a_variable_that_is_a_template_is_refused_before_anything_starts(tmp_path: Path) -> None:
    poisoned = door(tmp_path, {"estate_name": "{{ lookup('pipe', 'touch " + str(tmp_path / "poisoned") + "') }}"})
    with pytest.raises(ConfigError):
        poisoned.converge(
            play(tmp_path, "- ansible.builtin.debug: {msg: x}"),
            directory=tmp_path / "run",
            timeout=dt.timedelta(seconds=150),
        )
    assert not (tmp_path / "poisoned").exists()
