"""Our strategy does with tasks what Ansible's own does: what it does without a worker, too."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
from tests.unit.hands.hosts import DATABASE, WEB

from secondsite.hands.ansible import AnsibleDoor, Converged, Play
from secondsite.hands.keys import Trust

NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)

PLAYBOOK = """\
- name: Here
  hosts: all
  connection: local
  gather_facts: false
  become: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
    ours: "{{ inventory_hostname == groups['all'] | first }}"
  tasks:
    - name: Done by one host only
      ansible.builtin.command: echo done
      changed_when: false
      register: by_one
      when:
        - true
        - ours
    - name: Done by none
      ansible.builtin.command: /bin/false
      register: by_none
      no_log: true
      when: not ansible_check_mode and 'x' in []
    - name: Done for some items
      ansible.builtin.command: "echo {{ item }}"
      changed_when: false
      register: by_item
      loop: [1, 2, 3]
      when: item != 2 and ours
    - name: Done for no items
      ansible.builtin.command: "echo {{ item }}"
      register: no_items
      loop: []
      when: ours
    - name: Done elsewhere
      ansible.builtin.command: echo there
      changed_when: false
      register: elsewhere
      delegate_to: "{{ groups['all'] | last }}"
      when: ours
    - name: Once
      ansible.builtin.command: echo once
      changed_when: false
      register: once
      run_once: true
      when: not ours
    - name: Never included
      ansible.builtin.include_tasks: no_such_file.yml
      when: by_none is not skipped
    - name: Ask for what nobody knows
      ansible.builtin.command: echo x
      register: unknown
      ignore_errors: true
      when: nobody_knows_this
    - name: Tell
      ansible.builtin.command: echo told
      changed_when: by_one is not skipped
      notify: [Heard, Not heard]
    - name: Write down what was registered
      ansible.builtin.copy:
        content: "{{ [by_one, by_none, by_item, no_items, elsewhere, once, unknown] | to_json }}"
        dest: "{{ told }}/{{ inventory_hostname }}.json"
        mode: "0600"
  handlers:
    - name: Heard
      ansible.builtin.command: echo heard
    - name: Not heard
      ansible.builtin.command: /bin/false
      when: by_one is skipped
"""
DIFFERS = {"start", "end", "delta", "exception", "warnings", "ansible_facts", "invocation"}


def run(directory: Path, *, use_mitogen: bool) -> tuple[Converged, dict[str, object]]:
    directory.mkdir()
    playbook = directory / "roles" / "site.yml"
    playbook.parent.mkdir()
    playbook.write_text(PLAYBOOK)
    trust = Trust(directory / "keys", [WEB, DATABASE])
    trust.prepare(now=NOW)
    given = {"told": str(directory)}
    door = AnsibleDoor([WEB, DATABASE], trust=trust, variables=lambda: given, use_mitogen=use_mitogen)
    came = door.converge(Play(playbook=playbook), directory=directory / "run", timeout=dt.timedelta(seconds=150))
    told = {path.stem: without(json.loads(path.read_text())) for path in directory.glob("*.json")}
    return came, told


def without(told: object) -> object:
    """Leave out instants, and what a module tells of its own call."""
    if isinstance(told, dict):
        return {name: without(value) for name, value in told.items() if name not in DIFFERS}
    return [without(value) for value in told] if isinstance(told, list) else told


@pytest.mark.slow
def test_tasks_come_to_the_same_as_with_ansibles_own_strategy(tmp_path: Path) -> None:
    theirs, they_told = run(tmp_path / "theirs", use_mitogen=False)
    ours, we_told = run(tmp_path / "ours", use_mitogen=True)
    assert (theirs.strategy, ours.strategy) == ("linear", "secondsite_linear")
    assert set(we_told) == {WEB.name, DATABASE.name}
    assert we_told == they_told
    assert ours.hosts == theirs.hosts
    assert ours.changed_tasks == theirs.changed_tasks == {"Tell": 1, "Heard": 1, "Write down what was registered": 2}
    assert [(one.host, one.task) for one in ours.failures] == [(one.host, one.task) for one in theirs.failures]
