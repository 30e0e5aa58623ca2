"""Clean and unclean ends of the lab: nothing is left, and `up` works after each."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from secondsite.errors import UsageError
from secondsite.lab import leftovers, netns, processes, saves, service
from secondsite.lab.model import LabSettings, Phase, Topology
from secondsite.lab.state import read_state

from .conftest import BeginCommand, On, Secondsite, environment

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


def wait_for(settings: LabSettings, phase: Phase) -> None:
    until = time.monotonic() + 30
    while read_state(settings).phase is not phase:
        assert time.monotonic() < until, f"the lab never became {phase.value}"
        time.sleep(0.005)


def test_down_leaves_nothing_and_can_be_said_twice(
    standing: LabSettings, topology: Topology, secondsite: Secondsite
) -> None:
    assert secondsite("lab", "down").returncode == 0
    assert leftovers.leftovers(standing, topology) == ()
    assert secondsite("lab", "down").returncode == 0
    shown = secondsite("lab", "status")
    assert shown.returncode == 0
    assert "nothing of the lab is left" in shown.stdout


@pytest.mark.parametrize(
    "after", [0.0, 0.3, *(pytest.param(late, marks=pytest.mark.nightly) for late in (0.05, 0.15, 0.6, 1.2))]
)
def test_up_works_after_the_one_before_was_killed_on_its_way(
    settings: LabSettings, topology: Topology, begin: BeginCommand, secondsite: Secondsite, on: On, after: float
) -> None:
    service.down(settings)
    killed = begin("lab", "up")
    wait_for(settings, Phase.STARTING)
    time.sleep(after)
    killed.kill()
    killed.wait()
    assert secondsite("lab", "up").returncode == 0
    assert on("db-dc1", "hostname").strip() == "db-dc1"
    inits = [process for process in processes.inhabitants(settings) if process.role == "init"]
    assert len(inits) == len(topology.hosts)
    assert service.down(settings) == ()


def test_down_works_after_up_was_killed_on_its_way(
    settings: LabSettings, topology: Topology, begin: BeginCommand, secondsite: Secondsite
) -> None:
    killed = begin("lab", "up")
    wait_for(settings, Phase.STARTING)
    time.sleep(0.4)
    killed.kill()
    killed.wait()
    assert secondsite("lab", "down").returncode == 0
    assert leftovers.leftovers(settings, topology) == ()


def test_ctrl_c_during_up_ends_without_a_traceback_and_up_works_again(
    settings: LabSettings, secondsite: Secondsite
) -> None:
    service.down(settings)
    # tests that a shell started in its background ignore Ctrl-C, and so would all that they start
    stopped = subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-m", "secondsite", "lab", "up"],
        env=environment(settings), stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    wait_for(settings, Phase.STARTING)
    stopped.send_signal(signal.SIGINT)
    _, said = stopped.communicate(timeout=60)
    assert stopped.returncode == 130
    assert "Traceback" not in said
    assert secondsite("lab", "up").returncode == 0


def test_down_works_when_the_state_file_is_broken(
    standing: LabSettings, topology: Topology, secondsite: Secondsite
) -> None:
    (standing.home / "lab.json").write_text("{", encoding="utf-8")
    assert "cannot be understood" in secondsite("lab", "up").stderr
    assert secondsite("lab", "down").returncode == 0
    assert leftovers.leftovers(standing, topology) == ()
    assert secondsite("lab", "up").returncode == 0


def test_up_works_after_every_guest_was_killed_and_half_the_namespaces_were_removed(
    standing: LabSettings, topology: Topology, secondsite: Secondsite
) -> None:
    processes.end(processes.inits(standing).values())
    for name in netns.named(f"{standing.instance}-")[::2]:
        netns.delete(name)
    assert secondsite("lab", "up").returncode == 0
    assert len(processes.inits(standing)) == len(topology.hosts)


def test_two_at_once_do_not_collide_and_the_second_names_the_first(
    settings: LabSettings, begin: BeginCommand, secondsite: Secondsite
) -> None:
    service.down(settings)
    first = begin("lab", "up")
    wait_for(settings, Phase.STARTING)
    first.send_signal(signal.SIGSTOP)
    second = secondsite("lab", "up")
    first.send_signal(signal.SIGCONT)
    assert second.returncode == 6
    assert f"process {first.pid} " in second.stderr
    assert first.wait(timeout=60) == 0


def test_a_saved_lab_comes_back_with_its_files_its_disks_and_its_services(
    standing: LabSettings, on: On, secondsite: Secondsite
) -> None:
    pins = standing.known_hosts.read_text(encoding="utf-8")
    on("web-dc1", "echo saved > /root/mark && rm /root/.profile && systemctl enable --now nginx")
    on("db-dc1", "echo saved > /srv/postgresql/mark")
    assert secondsite("lab", "save", "labtest-state").returncode == 0
    assert on("web-dc1", "cat /root/mark").strip() == "saved"
    on("web-dc1", "echo later > /root/mark && systemctl disable --now nginx")
    on("db-dc1", "echo later > /srv/postgresql/mark; sync")
    service.down(standing)
    assert secondsite("lab", "restore", "labtest-state").returncode == 0
    assert on("web-dc1", "cat /root/mark; test ! -e /root/.profile") == "saved\n"
    assert on("web-dc1", "systemctl is-system-running --wait; systemctl is-active nginx") == "running\nactive\n"
    assert on("db-dc1", "cat /srv/postgresql/mark").strip() == "saved"
    assert standing.known_hosts.read_text(encoding="utf-8") == pins


def test_a_save_that_is_killed_half_way_costs_no_host_its_files(
    standing: LabSettings, begin: BeginCommand, on: On, secondsite: Secondsite
) -> None:
    on("db-dc2", "echo precious > /srv/postgresql/mark; echo precious > /root/mark")
    for _ in range(10):  # a save may be quicker than its killer, and then it is whole
        killed = begin("lab", "save", "labtest-broken")
        wait_for(standing, Phase.SAVING)
        killed.kill()
        killed.wait()
        assert secondsite("lab", "up").returncode == 0
        if "labtest-broken" not in saves.saved_names(standing.cache):
            break
        shutil.rmtree(standing.cache / "saves" / "labtest-broken")
    else:
        pytest.fail("no save was killed half-way")
    assert on("db-dc2", "cat /srv/postgresql/mark /root/mark").split() == ["precious", "precious"]


def test_a_save_that_does_not_exist_or_has_another_image_is_refused_and_the_lab_stays(
    standing: LabSettings, secondsite: Secondsite, on: On
) -> None:
    folder = standing.cache / "saves" / "labtest-old"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "save.json").write_text('{"image_key": "0123", "topology": "x"}', encoding="utf-8")
    for name, said in (("labtest-none", "no usable save"), ("labtest-old", "stands on image 0123")):
        refused = secondsite("lab", "restore", name)
        assert refused.returncode == 2
        assert said in refused.stderr
        assert not saves.can_restore(standing, name)
    (folder / "save.json").unlink()
    folder.rmdir()
    assert on("vault", "hostname").strip() == "vault"


@pytest.mark.parametrize("name", ["../up", "", "a/b", ".hidden"])
def test_a_name_that_is_no_name_is_refused(standing: LabSettings, name: str) -> None:
    with pytest.raises(UsageError, match="not a name for a save"):
        saves.save(standing, name, say=print)


def test_without_root_the_verbs_say_so(settings: LabSettings, secondsite: Secondsite) -> None:
    service.down(settings)
    for verb in (["up"], ["down"], ["status"], ["restore", "x"]):
        done = subprocess.run(
            ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
             sys.executable, "-c", NOT_ROOT, *verb],
            env=environment(settings), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if "cannot read the project" in done.stderr:
            pytest.skip("this checkout is readable for root only")
        assert done.returncode == 2, done.stderr
        assert "root" in done.stderr
        assert "Traceback" not in done.stderr


NOT_ROOT = """
import sys
try:
    from secondsite.cli.main import main
except (ImportError, PermissionError):
    sys.exit("cannot read the project")
sys.exit(main(["lab", *sys.argv[1:]]))
"""


def test_entering_the_control_namespace_of_a_lab_that_is_down_is_refused(settings: LabSettings) -> None:
    service.down(settings)
    inside = netns.identity(netns.path_of(settings.control))
    with pytest.raises(UsageError, match="is not up"):
        netns.enter_control(settings)
    assert inside is None


def test_a_full_disk_under_the_state_stops_up_with_a_sentence_and_down_cleans(
    settings: LabSettings, topology: Topology, secondsite: Secondsite
) -> None:
    small = replace(settings, instance="labfull", state=settings.state / "full")
    small.state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small.state)], check=True)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "secondsite", "lab", "up"],
            env=environment(small), capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode in (3, 4, 75), done.stderr
        assert "Traceback" not in done.stderr
        service.down(small)
        assert leftovers.leftovers(small, topology) == ()
    finally:
        subprocess.run(["umount", str(small.state)], check=True)
    assert os.path.ismount(small.state) is False
