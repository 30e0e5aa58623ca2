"""The lab's verbs: up, down, status. Each can be called again after any unclean end."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import JournalError, UsageError
from . import boot, endpoints, leftovers, netns, processes, ready
from .image import ensure_archive, ensure_image, image_key, image_path
from .keys import ensure_keys
from .limits import limitations
from .load import load_topology
from .machines import DELIVERED
from .model import OUTLET_OFF, POWER_CUT, FaultInForce, HostStatus, LabSettings, LabStatus, Leftover, Phase, Topology
from .packages import require_system_packages
from .saves import saved_names
from .state import (
    LabState,
    boot_id,
    exclusively,
    forget_state,
    owner_file,
    read_state,
    require_root,
    set_phase,
    write_whole,
)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpReport:
    """What ``up`` found, and how long the hosts took to answer SSH."""

    already_up: bool
    recovered: bool
    seconds: float
    hosts: int
    faults: tuple[FaultInForce, ...] = ()
    is_fresh: bool = False
    """Whether the hosts are new ones, on which nothing was done yet."""


def up(settings: LabSettings, *, say: Say) -> UpReport:
    """Start every host of the lab and return when all answer SSH; what an unclean end left is cleared first.

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
        _refuse_another_topology(settings, state)
        if state.boot_id == boot_id() and state.phase is Phase.UP and _cabled(settings, topology):
            return _up_again(settings, topology, state, say)
        if state.boot_id == boot_id() and state.phase is Phase.SAVING:
            return _up_after_broken_save(settings, topology, state, say)
        standing = leftovers.leftovers(settings, topology)
        if standing:
            say(f"clearing what an unclean end of this lab left: {len(standing)} things")
        _clear(settings)
        rootfs = ensure_image(settings.cache, mirror=settings.mirror, say=say)
        if any(host.keeps_image for host in topology.hosts.values()):
            ensure_archive(rootfs, say=say)
        seconds = _start_fresh(settings, topology, rootfs)
        return UpReport(
            already_up=False, recovered=bool(standing), seconds=seconds, hosts=len(topology.hosts), is_fresh=True
        )


def _refuse_another_topology(settings: LabSettings, state: LabState) -> None:
    stands = state.boot_id == boot_id() and state.phase is Phase.UP
    if stands and state.topology not in ("", str(settings.topology)):
        raise UsageError(
            f"the lab {settings.instance!r} stands with the topology {state.topology}, not {settings.topology}",
            not_done="nothing was attempted",
            next_step="secondsite lab down, then start the other one; or give it another name (SECONDSITE_LAB)",
        )


def _cabled(settings: LabSettings, topology: Topology) -> bool:
    needed = {settings.wires, settings.control, *(settings.namespace(host) for host in topology.hosts)}
    return all(netns.exists(namespace) for namespace in needed)


def _up_again(settings: LabSettings, topology: Topology, state: LabState, say: Say) -> UpReport:
    """Start the hosts that died without a fault of ours saying so."""
    cut = {fault.target for fault in state.faults if fault.kind in (POWER_CUT, OUTLET_OFF)}
    endpoints.start(settings, topology)
    running = processes.inits(settings)
    dead = [host for host in topology.hosts.values() if host.name not in running and host.name not in cut]
    begun = time.monotonic()
    if dead:
        say(f"starting again: {', '.join(host.name for host in dead)}")
        boot.power_on(settings, topology, dead)
    return UpReport(
        already_up=not dead, recovered=bool(dead), seconds=time.monotonic() - begun,
        hosts=len(topology.hosts) - len(cut), faults=state.faults,
    )  # fmt: skip


def _up_after_broken_save(settings: LabSettings, topology: Topology, state: LabState, say: Say) -> UpReport:
    """A save stopped the hosts and did not come to start them again: their files are whole, so start them."""
    say("a save was interrupted: starting the hosts again on the files they had")
    begun = time.monotonic()
    boot.stop_all(settings)
    boot.start_all(settings, topology, image_path(settings.cache, state.image_key))
    set_phase(settings, Phase.UP)
    return UpReport(already_up=False, recovered=True, seconds=time.monotonic() - begun, hosts=len(topology.hosts))


def _start_fresh(settings: LabSettings, topology: Topology, rootfs: Path) -> float:
    begun = time.monotonic()
    write_whole(owner_file(settings), f"{settings.home}\n")
    set_phase(settings, Phase.STARTING, image_key=rootfs.parent.name)
    ensure_keys(settings, topology.hosts.values())
    boot.start_all(settings, topology, rootfs)
    set_phase(settings, Phase.UP)
    return time.monotonic() - begun


def down(settings: LabSettings) -> tuple[Leftover, ...]:
    """Remove the lab from the machine; return what could not be removed (keys and saves stay on disk)."""
    require_root()
    topology = load_topology(settings.topology)
    with exclusively(settings):
        _clear(settings)
        return leftovers.leftovers(settings, topology)


def _clear(settings: LabSettings) -> None:
    """End every process, mount, device, namespace and group of the lab, and remove the hosts' files."""
    with contextlib.suppress(JournalError):  # a full disk or a broken state file must not stop the way out of it
        if settings.home.is_dir():
            set_phase(settings, Phase.STOPPING)
    boot.stop_all(settings)
    hosts = settings.home / "hosts"
    if hosts.is_dir() and not leftovers.mounts_below(hosts):
        shutil.rmtree(hosts)
        shutil.rmtree(settings.home / DELIVERED, ignore_errors=True)
    forget_state(settings)
    owner_file(settings).unlink(missing_ok=True)


def status(settings: LabSettings) -> LabStatus:
    """Return what stands now; looks only, and needs no lock."""
    require_root()
    topology = load_topology(settings.topology)
    state = read_state(settings)
    found = leftovers.leftovers(settings, topology)
    whole = state.phase is Phase.UP and state.boot_id == boot_id()
    return LabStatus(
        instance=settings.instance, phase=state.phase, image=state.image_key or image_key(),
        hosts=_hosts(settings, topology), faults=state.faults, standing=found, leftovers=() if whole else found,
        limitations=limitations(settings), memory_mib=processes.memory_mib(settings) if found else 0,
        saves=saved_names(settings.cache),
    )  # fmt: skip


def _hosts(settings: LabSettings, topology: Topology) -> tuple[HostStatus, ...]:
    running = processes.inits(settings)
    answering: dict[str, float] = {}
    if running and netns.exists(settings.control):
        addresses = {host.name: str(host.management.ip) for host in topology.hosts.values() if host.name in running}
        answering = ready.wait_for_ssh(settings, addresses, within_s=1.0)
    return tuple(
        HostStatus(
            name=host.name, site=host.site, management=str(host.management.ip),
            running=host.name in running, answers_ssh=host.name in answering,
        )
        for host in topology.hosts.values()
    )  # fmt: skip
