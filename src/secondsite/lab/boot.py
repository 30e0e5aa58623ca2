"""Starting and stopping machines together: what the lab's verbs and its faults share."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import ActionError, ActionTimeout, Unreachable
from . import cgroups, disks, endpoints, leftovers, machines, netns, processes, ready, wires
from .commands import run
from .image import image_path
from .model import LabHost, LabSettings, Topology
from .state import read_state

SSH_WITHIN_S = 60.0
_BACK_AT_ONCE = 2
_STARTED_WITHIN_S = 15.0
_LOOK_EVERY_S = 2.0
_INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
_INOTIFY_NEEDED = 1024


def start_all(settings: LabSettings, topology: Topology, rootfs: Path) -> None:
    """Lay the cabling, start every host on the files it has, and return when all answer SSH."""
    _make_room_for_watches()
    wires.lay_bridges(settings, topology)
    _boot(settings, topology, list(topology.hosts.values()), rootfs)
    endpoints.start(settings, topology)


def _make_room_for_watches() -> None:
    """Raise the machine's limit of inotify instances: each guest's systemd takes four of root's 128."""
    with contextlib.suppress(OSError):  # a machine that forbids it may still have enough: the hosts' answer decides
        if int(_INOTIFY.read_text(encoding="ascii")) < _INOTIFY_NEEDED:
            _INOTIFY.write_text(f"{_INOTIFY_NEEDED}\n", encoding="ascii")


def power_on(settings: LabSettings, topology: Topology, hosts: Iterable[LabHost]) -> None:
    """Start dead hosts on the files and disks they had, with fresh wires; return when they answer SSH.

    Several boots at once take all of this machine's processors. A site that comes back takes none from the other site,
    so these hosts step back behind those that run until their services were started, and only few boot at a time.
    """
    chosen = list(hosts)
    rootfs = image_path(settings.cache, read_state(settings).image_key)
    machines.wait_until_dead(settings, [host.name for host in chosen])
    for host in chosen:
        machines.wait_until_released(settings, host.name)
        cgroups.remove_groups(settings, host.name)
    try:
        for few in batched(chosen, _BACK_AT_ONCE):
            _boot(settings, topology, few, rootfs, stepping_back=True)
        _wait_until_started(settings, chosen)
    finally:
        cgroups.step_forward(settings, [host.name for host in chosen])
        processes.step_forward(settings, [host.name for host in chosen])


def _wait_until_started(settings: LabSettings, hosts: list[LabHost]) -> None:
    """Give the hosts time to start what they start at boot. One that takes longer starts the rest like any other."""
    running = processes.inits(settings)

    def wait(host: LabHost) -> None:
        with contextlib.suppress(ActionError, ActionTimeout):  # a degraded host has started too
            ask = ["systemctl", "is-system-running", "--wait"]
            inside = ["--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wdns=/"]
            run(["nsenter", f"--target={running[host.name]}", *inside, "--", *ask], timeout_s=_STARTED_WITHIN_S)

    machines.in_parallel(wait, [host for host in hosts if host.name in running])


def batched(hosts: list[LabHost], size: int) -> Iterator[list[LabHost]]:
    """Yield the hosts in their order, so many at a time."""
    yield from (hosts[first : first + size] for first in range(0, len(hosts), size))


def _boot(
    settings: LabSettings, topology: Topology, hosts: list[LabHost], rootfs: Path, *, stepping_back: bool = False
) -> None:
    wires.plug_in(settings, topology, hosts)

    def prepare_and_start(host: LabHost) -> None:
        made_from = machines.made_from(settings, host, rootfs)
        machines.prepare(settings, host, made_from)
        machines.start(settings, host, made_from, stepping_back=stepping_back)

    machines.in_parallel(prepare_and_start, hosts)
    wait_for_ssh(settings, hosts)


def wait_for_ssh(settings: LabSettings, hosts: Iterable[LabHost], *, within_s: float = SSH_WITHIN_S) -> None:
    """Return when all the hosts answer SSH on their management addresses.

    Raises:
        Unreachable: some did not, or their machines ended; they are named, with where their console output is.
    """
    waiting = {host.name: str(host.management.ip) for host in hosts}
    until = time.monotonic() + within_s
    while waiting and time.monotonic() < until:
        look = min(_LOOK_EVERY_S, until - time.monotonic())
        answered = ready.wait_for_ssh(settings, waiting, within_s=look)
        waiting = {name: address for name, address in waiting.items() if name not in answered}
        if waiting and not waiting.keys() & {process.host for process in processes.supervisors(settings)}:
            break
    if waiting:
        first = min(waiting)
        raise Unreachable(
            f"no SSH answer from {', '.join(sorted(waiting))}{_last_words(settings, first)}",
            not_done="the lab is not ready",
            next_step=f"read {settings.host_dir(first)}/console.log, then: secondsite lab down",
        )


def _last_words(settings: LabSettings, host: str) -> str:
    """Return the end of what a host said on its console."""
    try:
        said = (settings.host_dir(host) / "console.log").read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    words = [line.strip() for line in said if line.strip()][-1:]
    return f"; {host} last said: {words[0][:200]}" if words else ""


def stop_all(settings: LabSettings) -> None:
    """End everything that runs, is mounted or is plugged in; the hosts' files stay.

    Raises:
        ActionTimeout: a process, a mount or a loop device does not go away.
    """
    processes.end(process.pid for process in processes.helpers(settings))
    machines.kill(settings, freeze_disks=False)
    machines.wait_until_dead(settings)
    for mount in leftovers.mounts_below(settings.home):
        with contextlib.suppress(ActionError):  # what stays is found by `leftovers`, and told
            run(["umount", str(mount)])
    for device in disks.devices_of(settings.home):  # of a supervisor killed before it had mounted it
        with contextlib.suppress(ActionError):  # its last user may have let go of it meanwhile
            run(["losetup", "--detach", device])
    for name in netns.named(f"{settings.instance}-"):
        netns.delete(name)
    cgroups.remove_groups(settings)
    for path in leftovers.supervisor_files(settings):
        with contextlib.suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()
    machines.wait_until_released(settings)
