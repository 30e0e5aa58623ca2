"""What the tests of first contact look at: done in a process of its own, inside the lab's control namespace.

Arguments: project, state, cache, lab instance. The last line printed is what was seen, as JSON.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

from secondsite.estate.load import load_estate
from secondsite.estate.model import Host, HostName
from secondsite.hands.ansible import AnsibleDoor, Play
from secondsite.hands.keys import Trust
from secondsite.hands.processes import Ended, run_process
from secondsite.hands.pyinfra import Bootstrap, PyinfraDoor
from secondsite.lab.model import LabSettings
from secondsite.lab.netns import enter_control

LIMIT = dt.timedelta(seconds=120)
PLAYBOOK = """\
- name: Ask
  hosts: all
  gather_facts: false
  tasks:
    - name: Become root
      ansible.builtin.command: id -un
      register: who
      failed_when: who.stdout != 'root'
      changed_when: false
"""


class Story:
    def __init__(self, root: Path, state: Path, cache: Path, instance: str) -> None:
        lab = LabSettings(instance=instance, state=state, cache=cache, topology=root / "inventories/small/lab.yml")
        enter_control(lab)
        self.state = state
        self.hosts = list(load_estate(root / "inventories/small").hosts.values())
        self.ghost = replace(self.hosts[0], name=HostName("ghost"), management=IPv4Address("198.19.0.99"))
        known = lab.known_hosts.read_text()
        pins = state / "pins"
        pins.write_text(f"{known}198.19.0.99 {known.split(maxsplit=1)[1]}")
        self.trust = Trust(state / "keys", [*self.hosts, self.ghost])
        executable = root / ".venv-pyinfra" / "bin" / "pyinfra"
        self.door = PyinfraDoor(executable, trust=self.trust, bootstrap=Bootstrap(pins=pins, key=lab.key))

    def contact(self, hosts: Sequence[Host], name: str) -> dict[str, object]:
        now = dt.datetime.now(dt.UTC)
        came = self.door.first_contact(hosts, directory=self.state / name, now=now, timeout=LIMIT)
        reasons = {"failed": dict(came.failed), "unreachable": dict(came.unreachable)}
        return {"made": came.made, "already": came.already, **reasons}

    def ssh(self, host: str, *options: str, command: str = "id -un", config: Path | None = None) -> Ended:
        argv = ["ssh", "-F", str(config or self.trust.ssh_config), *options, "--", host, command]
        return run_process(argv, timeout_s=20, limit=4096)

    def strangers(self) -> dict[str, object]:
        """Try another site's certificate on the vault, and another site's word for it."""
        text, keys = self.trust.ssh_config.read_text(), self.trust.ssh_config.parent
        (keys / "stranger").write_text(text.replace(str(self.trust.identity("vault")), str(self.trust.identity("dc1"))))
        (keys / "elsewhere").write_text(f"@cert-authority vault {self.trust.authority('dc1')}\n")
        word = ("-o", f"UserKnownHostsFile={keys / 'elsewhere'}")
        return {
            "another_sites_certificate": self.ssh("vault", config=keys / "stranger").stderr,
            "another_sites_word": self.ssh("vault", *word).stderr,
        }

    def converge(self, name: str, *, use_mitogen: bool) -> dict[str, object]:
        playbook = self.state / "site.yml"
        playbook.write_text(PLAYBOOK)
        some = [*self.hosts[:2], self.ghost]
        door = AnsibleDoor(some, trust=self.trust, variables=dict, use_mitogen=use_mitogen)
        came = door.converge(Play(playbook=playbook), directory=self.state / name, timeout=LIMIT)
        left = run_process(["pgrep", "-f", f"{self.state / name}/"], timeout_s=5).stdout
        counts = {"tasks": came.tasks, "failures": len(came.failures), "unreachable": came.unreachable}
        return {**counts, "said": came.sentence(), "left": left}

    def tell(self) -> dict[str, object]:
        seen: dict[str, object] = {
            "first": self.contact([*self.hosts, self.ghost], "first"),
            "again": self.contact(self.hosts, "again"),
            "refused": dict(self.door.bootstrap_refused(self.hosts)),
            "login": {host.name: self.ssh(host.name).stdout.strip() for host in self.hosts},
            "root": self.ssh("vault", command="sudo -n id -un").stdout.strip(),
            **self.strangers(),
        }
        self.ssh("console", command="sudo -n rm /etc/ssh/secondsite/first-contact")
        seen["repaired"] = self.contact(self.hosts, "repaired")
        seen["mitogen"] = self.converge("mitogen", use_mitogen=True)
        seen["plain"] = self.converge("plain", use_mitogen=False)
        return seen


if __name__ == "__main__":
    _, project, states, caches, lab_instance = sys.argv
    story = Story(Path(project), Path(states), Path(caches), lab_instance)
    sys.stdout.write(f"{json.dumps(story.tell())}\n")
