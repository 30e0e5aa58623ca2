"""Faults: power cuts of hosts, cuts of links. Each is remembered before it is brought about, and proven by silence."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from ..drill.ports import PowerCut, Silence
from ..errors import ActionError, Effect, UsageError
from . import boot, listen, machines, netns, processes, wires
from .load import load_topology
from .model import LINK_CUT, POWER_CUT, FaultInForce, LabHost, LabSettings, LinkCut, Phase, Topology, Wire
from .rules import hosts_meant, leg_of, outsider, wires_of
from .state import begin_faults, end_faults, exclusively, read_state

_DEAD_WITHIN_S = 10.0
_REPAIRED_WITHIN_S = 5.0


class LabInjector:
    """Brings faults about in a lab and takes them back; implements the drill room's ``Injector``."""

    def __init__(self, settings: LabSettings) -> None:
        """Only keep which lab is meant."""
        self._settings = settings

    def cut_power(self, hosts: Sequence[str]) -> PowerCut:
        """Drop every wire of the hosts from outside, all at once, then end their machines and freeze their disks.

        Raises:
            UsageError: the lab is not up, or a host is unknown or has no power already.
        """
        with exclusively(self._settings):
            topology = _standing(self._settings)
            chosen = hosts_meant(topology, hosts)
            _refuse_already_cut(self._settings, chosen)
            names = [host.name for host in chosen]
            running = {name: pid for name, pid in processes.inits(self._settings).items() if name in names}
            ends = [wire.outer_name for host in chosen for wire in wires_of(host, topology)]
            now = time.monotonic()
            begin_faults(self._settings, (FaultInForce(kind=POWER_CUT, target=name, since=now) for name in names))
            first, last = wires.drop(self._settings, ends)
            killed = machines.kill(self._settings, running, freeze_disks=True)
            processes.wait_until_gone(running.values(), within_s=_DEAD_WITHIN_S)
        return PowerCut(
            hosts=tuple(names), first_wire_dropped_at=first, last_wire_dropped_at=last, last_init_killed_at=killed
        )

    def prove_silence(self, hosts: Sequence[str], *, seconds: float) -> Silence:
        """Listen on all wires for any frame of the hosts, ask them by ARP, and ping them from two places."""
        topology = _standing(self._settings)
        chosen = hosts_meant(topology, hosts)
        legs = [wire for host in chosen for wire in wires_of(host, topology)]
        pings = {self._settings.control: {host.name: str(host.management.ip) for host in chosen}}
        asker = outsider(topology, chosen, running=processes.inits(self._settings))
        if asker is not None:
            pings[self._settings.namespace(asker.name)] = {
                host.name: str(address.ip) for host in chosen for address in list(host.addresses.values())[:1]
            }
        names = tuple(host.name for host in chosen)
        return listen.watch(self._settings, names, legs, seconds=seconds, pings=pings)

    def restore_power(self, hosts: Sequence[str]) -> None:
        """Join the wires again and start the machines on the disks as the cut left them; all answer SSH then."""
        with exclusively(self._settings):
            topology = _standing(self._settings)
            chosen = hosts_meant(topology, hosts)
            running = processes.inits(self._settings)
            faults = {fault.target for fault in read_state(self._settings).faults if fault.kind == POWER_CUT}
            dead = [host for host in chosen if host.name in faults or host.name not in running]
            boot.power_on(self._settings, topology, dead)
            end_faults(self._settings, POWER_CUT, [host.name for host in dead])

    def cut_link(self, carrier: str, site: str) -> LinkCut:
        """Drop the wire that joins a carrier to a site."""
        with exclusively(self._settings):
            leg = self._leg(carrier, site)
            target = f"{carrier} {site}"
            begin_faults(self._settings, [FaultInForce(kind=LINK_CUT, target=target, since=time.monotonic())])
            _, dropped = wires.drop(self._settings, [leg.outer_name])
        return LinkCut(carrier=carrier, site=site, dropped_at=dropped)

    def prove_link_silence(self, carrier: str, site: str, *, seconds: float) -> Silence:
        """Listen for any frame of the carrier's leg on the site's network, and ask it by ARP."""
        leg = self._leg(carrier, site)
        return listen.watch(self._settings, (f"{carrier} {site}",), [leg], seconds=seconds, pings={}, by_address=False)

    def repair_link(self, carrier: str, site: str) -> None:
        """Join the wire again; return when the carrier's leg is heard at the site.

        Raises:
            ActionError: it is joined and nothing is heard; the fault stays on record.
        """
        with exclusively(self._settings):
            leg = self._leg(carrier, site)
            wires.join(self._settings, [leg.outer_name])
            if not listen.hears(self._settings, leg, within_s=_REPAIRED_WITHIN_S):
                raise ActionError(
                    f"{carrier} is not heard at {site} though its wire is joined", effect=Effect.APPLIED,
                    next_step="secondsite lab status",
                )  # fmt: skip
            end_faults(self._settings, LINK_CUT, [f"{carrier} {site}"])

    def leftovers(self) -> tuple[str, ...]:
        """Name every injected fault that is still in force, and every wire that is down without one."""
        faults = [str(fault) for fault in read_state(self._settings).faults]
        return (*faults, *(f"wire down: {end}" for end in self._unexplained_ends()))

    def _unexplained_ends(self) -> Iterator[str]:
        if not netns.exists(self._settings.wires):
            return
        topology = load_topology(self._settings.topology)
        faults = read_state(self._settings).faults
        explained = {
            wire.outer_name
            for host in topology.hosts.values()
            for wire in wires_of(host, topology)
            if any(fault.target in (host.name, f"{host.name} {wire.network}") for fault in faults)
        }
        for end, is_up in wires.outer_ends(self._settings).items():
            if not is_up and end != "lo" and end not in explained:
                yield end

    def _leg(self, carrier: str, site: str) -> Wire:
        return leg_of(_standing(self._settings), carrier, site)


def _standing(settings: LabSettings) -> Topology:
    topology = load_topology(settings.topology)
    if read_state(settings).phase is not Phase.UP or not netns.exists(settings.wires):
        raise UsageError(
            f"the lab {settings.instance!r} is not up", not_done="nothing was attempted", next_step="secondsite lab up"
        )
    return topology


def _refuse_already_cut(settings: LabSettings, hosts: Sequence[LabHost]) -> None:
    cut = {fault.target for fault in read_state(settings).faults if fault.kind == POWER_CUT}
    again = [host.name for host in hosts if host.name in cut]
    if again:
        raise UsageError(
            f"{', '.join(again)} has no power already", not_done="nothing was attempted",
            next_step="secondsite lab fault restore-power",
        )  # fmt: skip
