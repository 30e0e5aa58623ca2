"""What reaches Ansible, and how its events are added up."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.hands.hosts import DATABASE, POISON, VAULT, WEB, host

from secondsite.errors import ConfigError, UsageError
from secondsite.hands import ansible
from secondsite.hands.ansible import Converged, HostTasks, Play, in_memory, inventory_of, require_inert

PLAYBOOK = Path("roles/estate.yml")


def test_the_inventory_says_where_hosts_are_and_in_which_groups() -> None:
    inventory = inventory_of([WEB, DATABASE, VAULT], python="/usr/bin/python3")
    everything = inventory["all"]
    assert isinstance(everything, dict)
    assert everything["hosts"]["db-dc1"]["ansible_host"] == "198.19.0.22"
    assert everything["hosts"]["db-dc1"]["site"] == "dc1"
    assert sorted(everything["children"]["etcd"]["hosts"]) == ["db-dc1", "vault"]
    assert "vars" not in everything  # the controller itself would be given them too


@pytest.mark.parametrize("word", POISON)
def test_a_poisoned_word_reaches_neither_inventory_nor_arguments(word: str) -> None:
    with pytest.raises(ConfigError):
        inventory_of([host(word)], python="python3")
    with pytest.raises(ConfigError):
        inventory_of([host(groups=(word,))], python="python3")
    with pytest.raises(ConfigError):
        inventory_of([host(site=word)], python="python3")
    with pytest.raises(ConfigError):
        Play(playbook=PLAYBOOK, hosts=(word,))
    with pytest.raises(ConfigError):
        Play(playbook=PLAYBOOK, tags=(word,))


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("{{ lookup('pipe', 'id') }}", id="expression"),
        pytest.param("{% for a in b %}", id="statement"),
        pytest.param("a{#", id="comment"),
        pytest.param("a\x1b[2J", id="terminal escape"),
        pytest.param({"deep": ["in", {"side": "{{ x }}"}]}, id="deep inside"),
        pytest.param({"{{ key }}": "x"}, id="in a key"),
    ],
)
def test_a_value_that_ansible_would_evaluate_is_refused(value: object) -> None:
    with pytest.raises(ConfigError):
        require_inert(value)


def test_plain_values_pass_as_they_are() -> None:
    value = {"a": ["b", 1, True, None, {"c": "p4ss_-w0rd=="}]}
    assert require_inert(value) == value


def tasks(*, ok: int = 10, changed: int = 0, failed: int = 0, unreachable: bool = False) -> HostTasks:
    return HostTasks(ok=ok, changed=changed, failed=failed, unreachable=unreachable)


def converged(**hosts: HostTasks) -> Converged:
    return Converged(hosts=hosts, failures=(), changed_tasks={}, strategy="linear")


def test_nothing_to_change_is_said_with_the_number_of_tasks_that_looked() -> None:
    assert converged(a=tasks(), b=tasks()).sentence() == (
        "nothing to change: 0 of 20 tasks changed something on 2 hosts"
    )


def test_one_change_is_not_nothing() -> None:
    assert converged(a=tasks(changed=1), b=tasks()).sentence() == "1 of 20 tasks changed something on 2 hosts"


def test_nothing_to_change_is_not_claimed_while_a_host_did_not_answer() -> None:
    sentence = converged(a=tasks(), b=tasks(ok=0, unreachable=True)).sentence()
    assert "nothing to change" not in sentence
    assert "b" in sentence


def test_nothing_to_change_is_not_claimed_when_no_task_ran_or_one_failed() -> None:
    assert "nothing to change" not in converged(a=tasks(ok=0)).sentence()
    assert "nothing to change" not in converged(a=tasks(failed=1)).sentence()


SLOWLY = "import sys, time; file = open(sys.argv[1]); time.sleep(0.3); print(file.read(), end='')"


def test_who_reads_the_variables_slowly_or_again_gets_them_once() -> None:
    with in_memory('{"a": 1}\n', mark="slowly") as told:
        slowly = subprocess.run([sys.executable, "-c", SLOWLY, told], capture_output=True, text=True, check=True)
        again = told.read_text(encoding="utf-8")
        assert told.stat().st_mode & 0o777 == 0o600
    assert slowly.stdout == again == '{"a": 1}\n'
    assert not told.exists()


def test_what_a_killed_run_left_of_its_variables_is_removed_and_anothers_is_not() -> None:
    with in_memory("{}", mark="other") as anothers:
        left = anothers.with_name(anothers.name.replace(anothers.name.split("-")[1], in_memory_name("killed")))
        left.write_text("secret", encoding="utf-8")
        with in_memory("{}", mark="killed"):
            assert not left.exists()
        assert anothers.exists()


def in_memory_name(mark: str) -> str:
    return hashlib.sha256(mark.encode()).hexdigest()[:10]


def test_variables_are_not_handed_over_on_a_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ansible, "_IN_MEMORY", (tmp_path,))
    with pytest.raises(UsageError, match="in memory"), in_memory("{}", mark="no memory"):
        pass
    assert list(tmp_path.iterdir()) == []
