"""A lab that stands: nine real hosts, joined as the topology says, and nothing of it in the root namespace."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from secondsite.errors import UsageError
from secondsite.lab import leftovers, service
from secondsite.lab.model import LabSettings, Phase, Topology

from .conftest import On, Secondsite

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


def test_all_hosts_answer_ssh_under_pinned_keys(standing: LabSettings, topology: Topology, on: On) -> None:
    assert {name: on(name, "hostname").strip() for name in topology.hosts} == {name: name for name in topology.hosts}


def test_every_host_has_its_own_machine_id_and_all_share_one_clock(
    standing: LabSettings, topology: Topology, on: On
) -> None:
    seen = {on(name, "cat /etc/machine-id").strip() for name in topology.hosts}
    clocks = {on(name, "cat /run/secondsite/kernel-boot-id") for name in topology.hosts}
    assert len(seen) == len(topology.hosts)
    assert clocks == {Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")}


def test_up_when_up_says_so(standing: LabSettings, secondsite: Secondsite) -> None:
    again = secondsite("lab", "up")
    assert again.returncode == 0
    assert "up already" in again.stderr


def test_nothing_of_the_lab_is_in_the_root_namespace(standing: LabSettings, topology: Topology) -> None:
    kinds = {item.kind for item in leftovers.leftovers(standing, topology)}
    assert {"process", "namespace", "loop device"} <= kinds
    assert not kinds & {"interface", "route", "mount"}
    route = subprocess.run(["ip", "-4", "route", "get", "198.18.1.10"], capture_output=True, text=True, check=False)
    assert "oob" not in route.stdout
    assert "lan" not in route.stdout


def test_the_controller_reaches_hosts_out_of_band_only(standing: LabSettings) -> None:
    enter = ["nsenter", f"--net=/run/netns/{standing.control}"]
    routes = subprocess.run([*enter, "ip", "-4", "route"], capture_output=True, text=True, check=True).stdout
    assert routes.splitlines() == ["198.19.0.0/24 dev oob proto kernel scope link src 198.19.0.1 "]


def test_hosts_do_not_reach_each_other_out_of_band(standing: LabSettings, on: On) -> None:
    on("web-dc1", "ping -c1 -W1 198.19.0.31", accept=(1,))
    on("customers", "ping -c1 -W1 198.19.0.1")


def test_every_site_reaches_every_other_over_both_carriers(standing: LabSettings, topology: Topology, on: On) -> None:
    targets = [str(host.addresses[host.site].ip) for host in topology.hosts.values() if not host.carrier]
    for name in ("web-dc1", "vault", "customers", "console"):
        on(name, " && ".join(f"ping -c1 -W2 {target} >/dev/null" for target in targets))
    hops = on("customers", "for p in $(seq 1 40); do ip route get 198.18.1.10 ipproto tcp sport $p dport 443; done")
    assert "via 198.18.4.1 " in hops
    assert "via 198.18.4.2 " in hops


def test_no_service_but_the_base_runs_on_a_fresh_host(standing: LabSettings, on: On) -> None:
    running = on("db-dc1", "systemctl list-units --type=service --state=running --no-legend --plain")
    names = {line.split()[0] for line in running.splitlines()}
    assert names <= {"dbus.service", "ssh.service", "systemd-journald.service"}
    assert on("db-dc1", "systemctl is-system-running").strip() == "running"


def test_a_database_host_sees_its_durable_disk(standing: LabSettings, on: On) -> None:
    assert on("db-dc1", "stat -f -c %T /srv/postgresql; stat -c %U /srv/postgresql /var/lib/etcd").split() == [
        "ext2/ext3", "postgres", "etcd",
    ]  # fmt: skip


def test_a_lab_of_the_same_name_with_another_state_is_refused(standing: LabSettings, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="stands already") as refusal:
        service.up(replace(standing, state=tmp_path), say=print)
    assert f"SECONDSITE_STATE={standing.state}" in refusal.value.next_step
    assert service.status(standing).phase is Phase.UP


def test_status_counts_hosts_memory_and_faults_as_json(standing: LabSettings, secondsite: Secondsite) -> None:
    shown = secondsite("lab", "status", "--json")
    document = json.loads(shown.stdout)
    assert document["schema_version"] == 1
    assert [host["answers_ssh"] for host in document["lab"]["hosts"]] == [True] * 9
    assert document["lab"]["phase"] == "up"
    assert document["lab"]["faults"] == []
    assert 0 < document["lab"]["memory_mib"] < 3072
    assert document["lab"]["limitations"]


def test_a_host_that_died_by_itself_is_started_again(standing: LabSettings, on: On, secondsite: Secondsite) -> None:
    on("console", "echo kept > /root/kept && systemctl --no-block halt --force --force", accept=(0, 255))
    again = secondsite("lab", "up")
    assert again.returncode == 0
    assert on("console", "cat /root/kept").strip() == "kept"
    assert service.status(standing).phase is Phase.UP


def test_a_shell_needs_neither_network_nor_key(standing: LabSettings, secondsite: Secondsite, on: On) -> None:
    on("console", "mv /root/.ssh /root/.ssh-away")
    try:
        said = secondsite("lab", "shell", "console", "--", "sh", "-c", "hostname; pwd")
        assert (said.returncode, said.stdout) == (0, "console\n/root\n"), said.stderr
        assert secondsite("lab", "shell", "console", "--", "sh", "-c", "exit 7").returncode == 7
    finally:
        secondsite("lab", "shell", "console", "--", "mv", "/root/.ssh-away", "/root/.ssh")
