"""What is not real about this lab, in sentences for the report."""

from __future__ import annotations

from pathlib import Path

from . import disks
from .load import load_topology
from .model import LabSettings

_ALWAYS = (
    "hosts boot from a golden image: their packages were on disk before the first step",
    "all hosts share this machine's kernel, clock and processors",
    "root file systems of lab hosts keep un-synced writes over a power cut; only the disks that hold data lose them",
)
_NO_ROUTING = "carriers run no routing protocol: a cut link is avoided only by the hosts next to it"
_IN_USER_SPACE = "tunnels between datacenters run in user space: this machine's kernel has no WireGuard"
_NO_TUNNELS = "there are no tunnels between datacenters: this machine has no /dev/net/tun"
NOT_TESTED = "write cache survived: power-loss durability not tested"


def limitations(settings: LabSettings) -> tuple[str, ...]:
    """Return what a report about this lab must say was not real or not tested."""
    said = [*_ALWAYS, *_about_routing(settings)]
    survived = sorted(path.parent.name for path in settings.home.glob("hosts/*/write-cache-survived"))
    if survived:
        said.append(f"{NOT_TESTED} (on {', '.join(survived)})")
    if any(not disks.direct_io(device) for device in disks.devices_of(settings.home)):
        said.append("data disks go through this machine's page cache: no direct I/O on the file system below")
    return tuple(said)


def _about_routing(settings: LabSettings) -> tuple[str, ...]:
    if not load_topology(settings.topology).transits:
        return (_NO_ROUTING,)
    if not Path("/dev/net/tun").exists():
        return (_NO_TUNNELS,)
    return () if Path("/sys/module/wireguard").exists() else (_IN_USER_SPACE,)
