"""Faults in the lab: what a power cut and a link cut do, and that their proof can fail."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from secondsite.drill.model import FaultKind
from secondsite.errors import UsageError
from secondsite.lab import machines, netns
from secondsite.lab.faults import LabInjector
from secondsite.lab.image import ensure_archive, image_key, image_path
from secondsite.lab.limits import NOT_TESTED, limitations
from secondsite.lab.load import load_topology
from secondsite.lab.model import LabSettings

from .conftest import On, Secondsite, environment

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
DC1 = ("web-dc1", "db-dc1")
DC2 = ("web-dc2", "db-dc2")


@pytest.fixture
def injector(standing: LabSettings) -> Iterator[LabInjector]:
    injector = LabInjector(standing)
    yield injector
    for left in injector.leftovers():
        kind, _, target = left.partition(": ")
        if kind == "power cut":
            injector.restore_power([target])
        elif kind == "links deaf":
            injector.end(FaultKind.CUT_LINK_INWARD, [target])
        elif kind == "controller cut off":
            injector.end(FaultKind.CUT_CONTROLLER, [target])
        else:
            injector.repair_link(*target.split())


def connection_from_customers(settings: LabSettings, address: str, port: int) -> socket.socket:
    return netns.in_namespace(
        netns.path_of(settings.namespace("customers")), lambda: socket.create_connection((address, port), timeout=5)
    )


def heard_within(connection: socket.socket, seconds: float) -> bytes | None:
    connection.settimeout(seconds)
    with contextlib.suppress(TimeoutError):
        return connection.recv(1)
    return None


def test_a_power_cut_is_silent_at_once_for_everyone_outside(standing: LabSettings, injector: LabInjector) -> None:
    with connection_from_customers(standing, "198.18.1.10", 22) as open_before:
        open_before.recv(100)
        cut = injector.cut_power(DC1)
        assert heard_within(open_before, 2.0) is None  # neither data nor the end of the connection
    proof = injector.prove_silence(DC1, seconds=1.5)
    assert proof.proven
    assert proof.watched_until - proof.watched_from >= 1.5
    assert cut.hosts == DC1
    assert cut.first_wire_dropped_at <= cut.last_wire_dropped_at <= cut.last_init_killed_at
    assert injector.leftovers() == ("power cut: web-dc1", "power cut: db-dc1")
    injector.restore_power(DC1)
    assert injector.leftovers() == ()


def test_a_deaf_site_hears_nobody_and_is_heard(standing: LabSettings, injector: LabInjector) -> None:
    injector.begin(FaultKind.CUT_LINK_INWARD, ["dc2"])
    proof = injector.prove(FaultKind.CUT_LINK_INWARD, ["dc2"], seconds=1.5)
    assert proof.proven, proof
    assert set(proof.hosts) == set(DC2)
    assert injector.leftovers() == ("links deaf: dc2",)
    injector.end(FaultKind.CUT_LINK_INWARD, ["dc2"])
    assert injector.leftovers() == ()
    connection_from_customers(standing, "198.18.2.10", 22).close()


def test_a_site_that_hears_is_not_proven_deaf(injector: LabInjector) -> None:
    proof = injector.prove(FaultKind.CUT_LINK_INWARD, ["dc2"], seconds=1.0)
    assert not proof.proven
    assert proof.packets_heard > 0 or proof.answers


def test_a_controller_that_is_cut_off_reaches_nobody_and_is_no_unexplained_wire(injector: LabInjector) -> None:
    assert not injector.prove(FaultKind.CUT_CONTROLLER, ["the controller"], seconds=0.5).proven
    injector.begin(FaultKind.CUT_CONTROLLER, ["the controller"])
    assert injector.prove(FaultKind.CUT_CONTROLLER, ["the controller"], seconds=0.5).proven
    assert injector.leftovers() == ("controller cut off: the controller",)
    injector.end(FaultKind.CUT_CONTROLLER, ["the controller"])
    assert injector.leftovers() == ()


def test_what_was_not_synced_is_lost_in_a_power_cut_and_what_was_is_kept(
    standing: LabSettings, injector: LabInjector, on: On
) -> None:
    on("db-dc1", "cd /srv/postgresql && dd if=/dev/zero of=synced bs=8k count=100 conv=fsync status=none")
    on("db-dc1", "cd /srv/postgresql && echo new > unsynced && dd if=/dev/zero of=synced2 bs=8k count=1 status=none")
    injector.cut_power(["db-dc1"])
    injector.restore_power(["db-dc1"])
    assert on("db-dc1", "ls /srv/postgresql; stat -c %s /srv/postgresql/synced").split() == ["synced", "819200"]
    assert not any(NOT_TESTED in sentence for sentence in limitations(standing))
    on("db-dc1", "rm /srv/postgresql/synced; sync")


def test_the_proof_fails_while_a_host_still_has_power(injector: LabInjector) -> None:
    proof = injector.prove_silence(["web-dc2"], seconds=1.0)
    assert not proof.proven
    assert proof.packets_heard > 0
    assert proof.answers == (
        "web-dc2 answered a ping from control",
        "web-dc2 answered a ping from customers",
    )


def test_the_proof_fails_when_only_the_machine_was_ended_and_the_wires_were_left(
    standing: LabSettings, injector: LabInjector, secondsite: Secondsite
) -> None:
    machines.kill(standing, ["web-dc2"], freeze_disks=False)
    proof = injector.prove_silence(["web-dc2"], seconds=1.0)
    secondsite("lab", "up")
    assert not proof.proven


def test_a_host_without_power_cannot_lose_it_again(injector: LabInjector) -> None:
    injector.cut_power(["console"])
    with pytest.raises(UsageError, match="console has no power already"):
        injector.cut_power(["console"])


def test_up_leaves_a_host_without_power_alone_and_names_the_fault(
    injector: LabInjector, secondsite: Secondsite
) -> None:
    injector.cut_power(["console"])
    assert "fault in force: power cut: console" in secondsite("lab", "up").stderr
    assert injector.prove_silence(["console"], seconds=1.0).proven


def test_power_can_be_restored_by_a_controller_inside_the_control_namespace(
    standing: LabSettings, injector: LabInjector, on: On
) -> None:
    injector.cut_power(["web-dc1"])
    script = (
        "import os, sys; from pathlib import Path\n"
        "from secondsite.lab.model import LabSettings; from secondsite.lab.netns import enter_control\n"
        "from secondsite.lab.faults import LabInjector\n"
        "s = LabSettings(instance=sys.argv[1], state=Path(sys.argv[2]), cache=Path(sys.argv[3]),"
        " topology=Path(sys.argv[4]))\n"
        "enter_control(s); LabInjector(s).restore_power(['web-dc1'])\n"
    )
    arguments = [standing.instance, *map(str, (standing.state, standing.cache, standing.topology))]
    subprocess.run([sys.executable, "-c", script, *arguments], env=environment(standing), check=True, timeout=60)
    assert on("web-dc1", "hostname").strip() == "web-dc1"
    assert injector.leftovers() == ()


def test_a_link_cut_is_silent_and_its_repair_is_heard(injector: LabInjector, on: On) -> None:
    injector.cut_link("carrier-a", "dc1")
    assert injector.prove_link_silence("carrier-a", "dc1", seconds=1.0).proven
    assert injector.leftovers() == ("link cut: carrier-a dc1",)
    injector.repair_link("carrier-a", "dc1")
    assert injector.leftovers() == ()
    assert not injector.prove_link_silence("carrier-a", "dc1", seconds=1.0).proven
    on("web-dc1", "ping -c1 -W2 198.18.1.1")


def test_a_wire_that_is_down_without_a_fault_on_record_is_named(standing: LabSettings, injector: LabInjector) -> None:
    subprocess.run(["ip", "-n", standing.wires, "link", "set", "vault.lan", "down"], check=True)
    named = injector.leftovers()
    subprocess.run(["ip", "-n", standing.wires, "link", "set", "vault.lan", "up"], check=True)
    assert named == ("wire down: vault.lan",)


@pytest.mark.parametrize("where", ["dc9", "../dc1", "-x", "$(reboot)"])
def test_an_unknown_place_is_refused_before_anything_happens(
    standing: LabSettings, secondsite: Secondsite, where: str
) -> None:
    refused = secondsite("lab", "fault", "cut-power", "--", where)
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    assert secondsite("lab", "fault", "list").stdout == ""


def test_a_whole_site_loses_its_power_and_every_host_of_it_answers_again(injector: LabInjector, on: On) -> None:
    cut = injector.cut_power(["dc2"])
    assert cut.hosts == DC2
    injector.restore_power(["dc2"])
    assert [on(host, "hostname").strip() for host in DC2] == list(DC2)
    assert injector.leftovers() == ()


def test_a_new_machine_holds_nothing_of_the_old_one_and_is_made_from_the_file_that_was_given(
    standing: LabSettings, injector: LabInjector, on: On
) -> None:
    host = "web-dc2"
    on(host, "echo old > /root/old && sync")
    before = on(host, "cat /etc/machine-id")
    rootfs = image_path(standing.cache, image_key())
    with pytest.raises(UsageError, match="still has power"):
        injector.deliver([host])
    injector.cut_power([host])

    delivered = injector.deliver([host], image=str(ensure_archive(rootfs, say=print)))

    assert delivered == (host,)
    assert on(host, "ls /root/old || echo gone").strip().endswith("gone")
    assert on(host, "cat /etc/machine-id") != before
    made_from = machines.made_from(standing, load_topology(standing.topology).hosts[host], rootfs)
    assert made_from != rootfs, "nothing that this machine has kept"
    assert (made_from / "usr").is_dir()
    assert injector.leftovers() == ()
