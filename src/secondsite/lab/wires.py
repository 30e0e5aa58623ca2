"""The cabling: bridges and wires in a namespace of their own, never in the machine's root namespace."""

from __future__ import annotations

import fcntl
import socket
import struct
import time
from collections.abc import Iterable, Sequence

from . import netns
from .model import LabHost, LabSettings, Topology
from .rules import (
    bridge_commands,
    control_commands,
    guest_commands,
    kernel_settings,
    outer_commands,
    wires_of,
)

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1
_IFREQ = "16sh14x"


def lay_bridges(settings: LabSettings, topology: Topology) -> None:
    """Make the namespaces of the bridges and of the controller, and join them out of band."""
    for namespace in (settings.wires, settings.control):
        netns.add(namespace)
        netns.write_settings(
            namespace,
            {"ipv6/conf/all/disable_ipv6": "1", "ipv6/conf/default/disable_ipv6": "1", "ipv4/ip_forward": "0"},
        )
    netns.batch(settings.wires, bridge_commands(topology, settings))
    netns.batch(settings.control, control_commands(topology))


def plug_in(settings: LabSettings, topology: Topology, hosts: Iterable[LabHost]) -> None:
    """Give each host a fresh namespace, its wires, addresses and routes; what its old one held is gone."""
    chosen = list(hosts)
    unplug(settings, topology, chosen)
    lines: list[str] = []
    for host in chosen:
        netns.add(settings.namespace(host.name))
        netns.write_settings(
            settings.namespace(host.name), {"ipv6/conf/all/disable_ipv6": "1", "ipv6/conf/default/disable_ipv6": "1"}
        )
        lines += outer_commands(wires_of(host, topology), settings.namespace(host.name))
    netns.batch(settings.wires, lines)
    for host in chosen:
        netns.batch(settings.namespace(host.name), guest_commands(host, wires_of(host, topology), topology))
        netns.write_settings(settings.namespace(host.name), kernel_settings(host))


def unplug(settings: LabSettings, topology: Topology, hosts: Iterable[LabHost]) -> None:
    """Remove each host's wires and namespace, if they are there."""
    present = outer_ends(settings)
    ends = [(host, wire.outer_name) for host in hosts for wire in wires_of(host, topology)]
    netns.batch(settings.wires, [f"link delete {end}" for _, end in ends if end in present])
    for host in {host.name for host, _ in ends}:
        netns.delete(settings.namespace(host))


def outer_ends(settings: LabSettings) -> dict[str, bool]:
    """Return every interface of the wires namespace and whether it is set up."""
    found = {}
    for line in netns.run_ip(["-n", settings.wires, "-o", "link", "show"]).splitlines():
        name = line.split(": ", 2)[1].partition("@")[0]
        flags = line.partition("<")[2].partition(">")[0].split(",")
        found[name] = "UP" in flags
    return found


def drop(settings: LabSettings, ends: Sequence[str]) -> tuple[float, float]:
    """Set the outer ends of wires down, one right after the other; return the first and the last instant.

    The first is taken before the first wire goes, the last after the last one is gone.
    """
    return _set(settings, ends, up=False)


def join(settings: LabSettings, ends: Sequence[str]) -> tuple[float, float]:
    """Set the outer ends of wires up again."""
    return _set(settings, ends, up=True)


def _set(settings: LabSettings, ends: Sequence[str], *, up: bool) -> tuple[float, float]:
    """Ask the kernel directly: a process for it would blur the instants by milliseconds."""
    with socket_in(settings.wires) as door:
        first = time.monotonic()
        for end in ends:
            name, flags = struct.unpack(_IFREQ, fcntl.ioctl(door, _SIOCGIFFLAGS, struct.pack(_IFREQ, end.encode(), 0)))
            wanted = flags | _IFF_UP if up else flags & ~_IFF_UP
            fcntl.ioctl(door, _SIOCSIFFLAGS, struct.pack(_IFREQ, name, wanted))
        return first, time.monotonic()


def socket_in(namespace: str) -> socket.socket:
    """Return a socket that stands in a namespace, whichever this process is in."""
    return netns.in_namespace(
        netns.path_of(namespace), lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    )
