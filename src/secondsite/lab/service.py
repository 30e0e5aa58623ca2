"""The lab's verbs: up, down, status. Each can be called again after any unclean end."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import ActionTimeout, Unreachable
from . import cgroups, disks, leftovers, machines, netns, processes, ready, wires
from .image import ensure_image, image_key, image_path
from .keys import ensure_keys
from .load import load_topology
from .model import HostStatus, LabHost, LabSettings, LabStatus, Leftover, Phase, Topology
from .packages import require_system_packages
from .state import (
    boot_id,
    exclusively,
    owner_file,
    read_state,
    require_root,
    set_phase,
    write_state,
    write_whole,
    LabState,
)

SSH_WITHIN_S = 60.0
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpReport:
    """What ``up`` found and how long the hosts took to answer SSH."""

    already_up: bool
    recovered: bool
    seconds: float
    hosts: int


def up(settings: LabSettings, *, say: Say) -> UpReport:
    """Start every host of the lab and return when all answer SSH; a lab left over from a crash is cleared first.

    Raises:
        UsageError: not root, a package is missing, or the image can be neither found nor built.
        LockHeld: another process is changing this lab.
        Unreachable: a host did not answer SSH in time.
    """
    require_root()
    require_system_packages(settings.cache)
    topology = load_topology(settings.topology)
    with exclusively(settings):
        state = read_state(settings)
        standing = leftovers.leftovers(settings, topology)
        if state.phase is Phase.UP and state.boot_id == boot_id() and netns.exists(settings.control):
            return _up_again(settings, topology, state, say)
        recovered = bool(standing)
        if recovered:
            say(f"clearing what an earlier lab left: {len(standing)} things")
        _clear(settings, topology)
        rootfs = ensure_image(settings.cache, mirror=settings.mirror, say=say)
        seconds = _start_fresh(settings, topology, rootfs)
        return UpReport(already_up=False, recovered=recovered, seconds=seconds, hosts=len(topology.hosts))


def _up_again(settings: LabSettings, topology: Topology, state: LabState, say: Say) -> UpReport:
    """Start the hosts that died without a fault of ours saying so."""
    cut = {fault.target for fault in state.faults if fault.kind == "power cut"}
    running = processes.inits(settings)
    dead = [host for host in topology.hosts.values() if host.name not in running and host.name not in cut]
    begun = time.monotonic()
    if dead:
        say(f"starting again: {', '.join(host.name for host in dead)}")
        power_on(settings, topology, dead)
    return UpReport(
        already_up=not dead, recovered=bool(dead), seconds=time.monotonic() - begun, hosts=len(topology.hosts)
    )


def _start_fresh(settings: LabSettings, topology: Topology, rootfs: Path) -> float:
    begun = time.monotonic()
    write_whole(owner_file(settings), f"{settings.home}\n")
    set_phase(settings, Phase.STARTING, image_key=rootfs.parent.name)
    ensure_keys(settings, topology.hosts.values())
    start_all(settings, topology, rootfs)
    set_phase(settings, Phase.UP)
    return time.monotonic() - begun


def start_all(settings: LabSettings, topology: Topology, rootfs: Path) -> None:
    """Lay the cabling, start every host on the files it has, and return when all answer SSH."""
    wires.lay_bridges(settings, topology)
    _boot(settings, topology, list(topology.hosts.values()), rootfs)


def power_on(settings: LabSettings, topology: Topology, hosts: Iterable[LabHost]) -> None:
    """Start dead hosts on the files and disks they had, with fresh wires; return when they answer SSH."""
    chosen = list(hosts)
    rootfs = image_path(settings.cache, read_state(settings).image_key)
    machines.wait_until_dead(settings, [host.name for host in chosen])
    for host in chosen:
        machines.take_apart(settings, host.name)
    _boot(settings, topology, chosen, rootfs)


def _boot(settings: LabSettings, topology: Topology, hosts: list[LabHost], rootfs: Path) -> None:
    wires.plug_in(settings, topology, hosts)

    def prepare_and_start(host: LabHost) -> None:
        machines.prepare(settings, host, rootfs)
        machines.start(settings, host)

    machines.in_parallel(prepare_and_start, hosts)
    wait_for_ssh(settings, hosts)


def wait_for_ssh(settings: LabSettings, hosts: Iterable[LabHost], *, within_s: float = SSH_WITHIN_S) -> None:
    """Return when all the hosts answer SSH on their management addresses.

    Raises:
        Unreachable: some did not; they are named, with where their console output is.
    """
    addresses = {host.name: str(host.management.ip) for host in hosts}
    silent = sorted(set(addresses) - set(ready.wait_for_ssh(settings, addresses, within_s=within_s)))
    if silent:
        raise Unreachable(
            f"no SSH answer in {within_s:.0f} s from {', '.join(silent)}",
            not_done="the lab is not ready",
            next_step=f"read {settings.host_dir(silent[0])}/console.log, then: secondsite lab down",
        )


def down(settings: LabSettings) -> tuple[Leftover, ...]:
    """Remove the lab from the machine; return what could not be removed (keys and saves stay on disk)."""
    require_root()
    topology = load_topology(settings.topology)
    with exclusively(settings):
        _clear(settings, topology)
        return leftovers.leftovers(settings, topology)


def _clear(settings: LabSettings, topology: Topology) -> None:
    """End every process, mount, device, namespace and group of the lab, and remove the hosts' files."""
    if read_state(settings).phase is not Phase.DOWN:
        set_phase(settings, Phase.STOPPING)
    stop_all(settings)
    hosts = settings.home / "hosts"
    if hosts.is_dir() and not leftovers.mounts_below(hosts):
        shutil.rmtree(hosts)
    if settings.home.is_dir():
        write_state(settings, LabState())
    owner_file(settings).unlink(missing_ok=True)
    del topology


def stop_all(settings: LabSettings) -> None:
    """End everything that runs, is mounted or is plugged in; the hosts' files stay."""
    machines.kill(settings, freeze_disks=False)
    machines.wait_until_dead(settings)
    for folder in sorted((settings.home / "hosts").glob("*")):
        machines.take_apart(settings, folder.name)
    for mount in leftovers.mounts_below(settings.home):
        subprocess.run(["umount", str(mount)], check=False, capture_output=True, timeout=30)
    for device in disks.devices_of(settings.home):
        subprocess.run(["losetup", "--detach", device], check=False, capture_output=True, timeout=30)
    for name in netns.named(f"{settings.instance}-"):
        netns.delete(name)
    cgroups.remove_groups(settings)
    for path in leftovers.supervisor_files(settings):
        with contextlib.suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()
    _wait_until_released(settings)


def _wait_until_released(settings: LabSettings) -> None:
    until = time.monotonic() + 10.0
    while disks.devices_of(settings.home):
        if time.monotonic() > until:
            raise ActionTimeout("a loop device of the lab is not released", next_step="losetup --list")
        time.sleep(0.02)


def status(settings: LabSettings) -> LabStatus:
    """Return what stands now; looks only, and needs no lock."""
    require_root()
    topology = load_topology(settings.topology)
    state = read_state(settings)
    running = processes.inits(settings)
    answering: dict[str, float] = {}
    if netns.exists(settings.control):
        addresses = {host.name: str(host.management.ip) for host in topology.hosts.values() if host.name in running}
        answering = ready.wait_for_ssh(settings, addresses, within_s=1.0)
    hosts = tuple(
        HostStatus(
            name=host.name, site=host.site, management=str(host.management.ip),
            running=host.name in running, answers_ssh=host.name in answering,
        )
        for host in topology.hosts.values()
    )  # fmt: skip
    return LabStatus(
        instance=settings.instance, phase=state.phase, image=state.image_key or image_key(), hosts=hosts,
        faults=state.faults, leftovers=leftovers.leftovers(settings, topology), limitations=(),
        memory_mib=None, saves=(),
    )  # fmt: skip
