"""The cabling: bridges and wires in a namespace of their own, never in the machine's root namespace."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from . import netns
from .model import LabHost, LabSettings, Topology
from .rules import (
    bridge_commands, control_commands, guest_commands, kernel_settings, outer_commands, wires_of,
)  # fmt: skip


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
    """Set the outer ends of wires down, all with one process; return the instants before the first and after the last."""
    return _set(settings, ends, "down")


def join(settings: LabSettings, ends: Sequence[str]) -> tuple[float, float]:
    """Set the outer ends of wires up again."""
    return _set(settings, ends, "up")


def _set(settings: LabSettings, ends: Sequence[str], state: str) -> tuple[float, float]:
    begun = time.monotonic()
    netns.batch(settings.wires, [f"link set {end} {state}" for end in ends])
    return begun, time.monotonic()
