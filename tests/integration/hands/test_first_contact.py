"""First contact with the lab's bare hosts: afterwards certificates open them, and nothing else does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
INSTANCE = "tcontact"
pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

STORY = """
import datetime as dt, json, sys
from pathlib import Path
from secondsite.estate.load import load_estate
from secondsite.hands.keys import Trust
from secondsite.hands.processes import run_process
from secondsite.hands.pyinfra import Bootstrap, PyinfraDoor
from secondsite.lab.model import LabSettings
from secondsite.lab.netns import enter_control

root, state, cache, instance = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
lab = LabSettings(instance=instance, state=state, cache=cache, topology=root / "inventories/lab/lab.yml")
enter_control(lab)
hosts = list(load_estate(root / "inventories/lab").hosts.values())
trust = Trust(state / "keys", hosts)
bootstrap = Bootstrap(pins=lab.known_hosts, key=lab.key)
door = PyinfraDoor(root / ".venv-pyinfra/bin/pyinfra", trust=trust, bootstrap=bootstrap)

def contact(some, name):
    now = dt.datetime.now(dt.UTC)
    came = door.first_contact(some, directory=state / name, now=now, timeout=dt.timedelta(seconds=120))
    return {"made": came.made, "already": came.already, "failed": came.failed, "unreachable": came.unreachable}

def ssh(host, *options, command="id -un", config=trust.ssh_config):
    return run_process(["ssh", "-F", str(config), *options, "--", host, command], timeout_s=20, limit=4096)

seen = {"first": contact(hosts, "first"), "again": contact(hosts, "again")}
seen["refused"] = door.bootstrap_refused(hosts)
seen["login"] = {host.name: ssh(host.name).stdout.strip() for host in hosts}
seen["root"] = ssh("vault", command="sudo -n id -un").stdout.strip()
stranger = trust.ssh_config.with_name("stranger")
text = trust.ssh_config.read_text()
stranger.write_text(text.replace(str(trust.identity("vault")), str(trust.identity("dc1"))))
seen["another_sites_certificate"] = ssh("vault", config=stranger).stderr
elsewhere = trust.known_hosts.with_name("another-authority")
elsewhere.write_text(f"@cert-authority vault {trust.authority('dc1')}\\n")
seen["another_sites_word"] = ssh("vault", "-o", f"UserKnownHostsFile={elsewhere}").stderr
run_process(["ssh", "-F", str(trust.ssh_config), "--", "console",
    "sudo -n sh -c 'rm /etc/ssh/secondsite/first-contact'"], timeout_s=20)
seen["repaired"] = contact(hosts, "repaired")
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Any]]:
    state = tmp_path_factory.mktemp("contact")
    cache = os.environ.get("SECONDSITE_CACHE", "/var/cache/secondsite")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "SECONDSITE_LAB": INSTANCE}
    environment |= {"SECONDSITE_STATE": str(state), "SECONDSITE_CACHE": cache}

    def run(*argv: str) -> str:
        ended = subprocess.run(
            [sys.executable, *argv], env=environment, cwd=ROOT, check=False, capture_output=True, text=True, timeout=250
        )
        assert ended.returncode == 0, ended.stderr[-3000:]
        return ended.stdout

    try:
        run("-m", "secondsite", "lab", "up")
        yield json.loads(run("-c", STORY, str(ROOT), str(state), cache, INSTANCE).splitlines()[-1])
    finally:
        run("-m", "secondsite", "lab", "down")


def test_nine_bare_hosts_are_contacted_and_then_left_alone(seen: Mapping[str, Any]) -> None:
    assert len(seen["first"]["made"]) == 9
    assert seen["first"]["failed"] == seen["first"]["unreachable"] == {}
    assert seen["again"]["made"] == []
    assert len(seen["again"]["already"]) == 9


def test_the_bootstrap_key_is_refused_everywhere(seen: Mapping[str, Any]) -> None:
    assert len(seen["refused"]) == 9
    assert all(seen["refused"].values())


def test_ops_logs_in_by_certificate_and_may_become_root(seen: Mapping[str, Any]) -> None:
    assert set(seen["login"].values()) == {"ops"}
    assert seen["root"] == "root"


def test_another_sites_certificate_opens_nothing(seen: Mapping[str, Any]) -> None:
    assert "Permission denied (publickey)" in seen["another_sites_certificate"]


def test_a_host_that_only_another_site_vouches_for_is_not_believed(seen: Mapping[str, Any]) -> None:
    assert "Host key verification failed" in seen["another_sites_word"]


def test_a_host_that_lost_its_marker_is_repaired_through_its_certificate(seen: Mapping[str, Any]) -> None:
    assert seen["repaired"]["made"] == ["console"]
