"""Saves: provisioned states of the lab, kept in the cache, bound to the image they stand on."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UsageError
from . import boot, machines, netns, wires
from .commands import run
from .image import image_key, image_path
from .keys import ensure_keys
from .load import load_topology
from .model import LabHost, LabSettings, Phase, Topology
from .packages import require_system_packages
from .rules import wires_of
from .state import LabState, exclusively, owner_file, read_state, set_phase, write_state, write_whole

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_KEPT = ("upper", "identity", "disk.img")
_COPY_TIMEOUT_S = 300
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveReport:
    """A save that was made or restored, and how long it took until the hosts answered SSH."""

    name: str
    seconds: float


def saved_names(cache: Path) -> tuple[str, ...]:
    """Return the names of the saves that are whole."""
    return tuple(sorted(path.parent.name for path in (cache / "saves").glob("*/save.json")))


def can_restore(settings: LabSettings, name: str) -> bool:
    """Say whether a save of that name exists and fits today's image and topology."""
    try:
        _fitting(settings, load_topology(settings.topology), name)
    except UsageError:
        return False
    return True


def save(settings: LabSettings, name: str, *, say: Say) -> SaveReport:
    """Keep the lab's present state under a name, replacing an older save of it; the lab is up again when this returns.

    All hosts are stopped at one instant, wires first, so that what is kept is one moment of the whole estate.

    Raises:
        UsageError: the name is not one, the lab is not up, or faults are in force.
    """
    _checked(name)
    topology = load_topology(settings.topology)
    with exclusively(settings):
        _refuse_unless_whole(settings)
        begun = time.monotonic()
        set_phase(settings, Phase.SAVING)
        wires.drop(settings, [end for host in topology.hosts.values() for end in _ends(host, topology)])
        machines.kill(settings, freeze_disks=False)
        boot.stop_all(settings)
        try:
            _keep(settings, topology, name)
        finally:  # also a save that failed, for instance on a full disk, gives the lab back
            say("starting the hosts again")
            boot.start_all(settings, topology, image_path(settings.cache, read_state(settings).image_key))
            set_phase(settings, Phase.UP)
        return SaveReport(name=name, seconds=time.monotonic() - begun)


def restore(settings: LabSettings, name: str, *, say: Say) -> SaveReport:
    """Put the lab into a saved state, whatever it is in now; services that were enabled come up by themselves.

    Raises:
        UsageError: there is no such save, or it stands on another image or topology; the lab is as it was.
    """
    require_system_packages(settings.cache)
    topology = load_topology(settings.topology)
    with exclusively(settings):
        rootfs = _fitting(settings, topology, name)
        begun = time.monotonic()
        if read_state(settings).phase is not Phase.DOWN:
            say("stopping the lab as it is")
        set_phase(settings, Phase.RESTORING, image_key=rootfs.parent.name)
        boot.stop_all(settings)
        write_state(
            settings,
            LabState(phase=Phase.RESTORING, image_key=rootfs.parent.name, topology=str(settings.topology)),
        )
        write_whole(owner_file(settings), f"{settings.home}\n")
        _bring_back(settings, topology, name)
        boot.start_all(settings, topology, rootfs)
        set_phase(settings, Phase.UP)
        return SaveReport(name=name, seconds=time.monotonic() - begun)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a name for a save", not_done="nothing was attempted",
            next_step="use lower-case letters, digits, '.', '_' and '-'",
        )  # fmt: skip
    return name


def _refuse_unless_whole(settings: LabSettings) -> None:
    state = read_state(settings)
    if state.phase is not Phase.UP or not netns.exists(settings.wires):
        raise UsageError(
            f"the lab {settings.instance!r} is not up", not_done="nothing was saved", next_step="secondsite lab up"
        )
    if state.faults:
        raise UsageError(
            f"faults are in force: {', '.join(map(str, state.faults))}", not_done="nothing was saved",
            next_step="take them back first: secondsite lab fault list",
        )  # fmt: skip


def _fitting(settings: LabSettings, topology: Topology, name: str) -> Path:
    """Return the image a save stands on; refuse a save that is missing, broken, or made for something else."""
    path = settings.cache / "saves" / _checked(name) / "save.json"
    known = ", ".join(saved_names(settings.cache)) or "there are none"
    try:
        raw: Any = json.loads(path.read_text(encoding="utf-8"))
        image, shape = str(raw["image_key"]), str(raw["topology"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"there is no usable save {name!r}: {error}", not_done="nothing was restored", next_step=f"saves: {known}"
        ) from error
    rootfs = image_path(settings.cache, image)
    if image != image_key() or not rootfs.is_dir():
        raise UsageError(
            f"the save {name!r} stands on image {image}, and the lab's image is {image_key()}",
            not_done="nothing was restored", next_step="provision a fresh lab and save it again",
        )  # fmt: skip
    if shape != _shape(topology):
        raise UsageError(
            f"the save {name!r} was made of another topology than {settings.topology}",
            not_done="nothing was restored", next_step="provision a fresh lab and save it again",
        )  # fmt: skip
    return rootfs


def _shape(topology: Topology) -> str:
    return hashlib.sha256(repr(topology).encode()).hexdigest()[:16]


def _keep(settings: LabSettings, topology: Topology, name: str) -> None:
    fresh, target = settings.cache / "saves" / f".{name}.new", settings.cache / "saves" / name
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True, mode=0o700)

    def copy(host: LabHost) -> None:
        (fresh / host.name).mkdir()
        _copy([path for part in _KEPT if (path := settings.host_dir(host.name) / part).exists()], fresh / host.name)

    machines.in_parallel(copy, topology.hosts.values())
    _copy([settings.home / "keys", settings.known_hosts], fresh)
    document = {"image_key": read_state(settings).image_key, "topology": _shape(topology)}
    write_whole(fresh / "save.json", json.dumps(document) + "\n")
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)


def _bring_back(settings: LabSettings, topology: Topology, name: str) -> None:
    source = settings.cache / "saves" / name
    for old in ("hosts", "keys"):
        if (settings.home / old).exists():
            shutil.rmtree(settings.home / old)

    def copy(host: LabHost) -> None:
        settings.host_dir(host.name).mkdir(parents=True)
        kept = [path for part in _KEPT if (path := source / host.name / part).exists()]
        _copy(kept, settings.host_dir(host.name))

    machines.in_parallel(copy, topology.hosts.values())
    _copy([source / "keys"], settings.home)
    ensure_keys(settings, topology.hosts.values())


def _ends(host: LabHost, topology: Topology) -> list[str]:
    return [wire.outer_name for wire in wires_of(host, topology)]


def _copy(sources: list[Path], target: Path) -> None:
    """Copy with everything an overlay keeps in its files' attributes; share blocks where the file system can."""
    run(
        ["cp", "--archive", "--reflink=auto", "--sparse=always", "--", *map(str, sources), str(target)],
        timeout_s=_COPY_TIMEOUT_S,
    )
