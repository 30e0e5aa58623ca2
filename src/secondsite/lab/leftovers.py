"""What of a lab is on the machine, one look for each kind of thing it makes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from . import cgroups, disks, netns, processes
from .model import LabSettings, Leftover, Topology
from .rules import OOB, bridge, wires_of


def leftovers(settings: LabSettings, topology: Topology) -> tuple[Leftover, ...]:
    """Return every process, namespace, mount, loop device, interface, route and control group of the lab."""
    return tuple(_all(settings, topology))


def _all(settings: LabSettings, topology: Topology) -> Iterator[Leftover]:
    found = {process.pid: process for process in processes.inhabitants(settings)}
    found |= {process.pid: process for process in processes.supervisors(settings)}
    for process in found.values():
        yield Leftover(kind="process", what=f"{process.pid} ({process.role} of {process.host})")
    for name in netns.named(f"{settings.instance}-"):
        yield Leftover(kind="namespace", what=name)
    for mount in mounts_below(settings.home):
        yield Leftover(kind="mount", what=str(mount))
    for device in disks.devices_of(settings.home):
        yield Leftover(kind="loop device", what=device)
    yield from _in_root_namespace(topology)
    for group in cgroups.groups(settings):
        yield Leftover(kind="control group", what=str(group))
    for path in supervisor_files(settings):
        yield Leftover(kind="file", what=str(path))


def _in_root_namespace(topology: Topology) -> Iterator[Leftover]:
    """The root namespace is never given anything of a lab; look all the same."""
    names = {wire.outer_name for host in topology.hosts.values() for wire in wires_of(host, topology)}
    names |= {bridge(network) for network in (*topology.networks, OOB)}

    def look() -> list[Leftover]:
        found = [
            Leftover(kind="interface", what=line.split(": ", 2)[1].partition("@")[0])
            for line in netns.run_ip(["-o", "link", "show"]).splitlines()
        ]
        found = [item for item in found if item.what in names]
        for network in (*topology.networks.values(), topology.control.network):
            routes = netns.run_ip(["-4", "route", "show", "table", "all", "root", str(network)]).splitlines()
            found += [Leftover(kind="route", what=line.strip()) for line in routes if line.strip()]
        return found

    yield from netns.in_namespace(netns.machine_namespace(), look)


def mounts_below(folder: Path) -> list[Path]:
    """Return every mount point at or below a folder, the deepest first."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        point = Path(line.split()[4].encode().decode("unicode_escape"))
        if folder == point or folder in point.parents:
            found.append(point)
    return sorted(found, key=lambda point: len(point.parts), reverse=True)


def supervisor_files(settings: LabSettings) -> list[Path]:
    """Return what killed supervisors leave under ``/run/systemd/nspawn``."""
    found: list[Path] = []
    for kind in ("propagate", "unix-export", "fsmount"):
        with contextlib.suppress(OSError):
            found += sorted(Path("/run/systemd/nspawn", kind).glob(f"{settings.instance}-*"))
    return found
