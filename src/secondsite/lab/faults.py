"""Faults: power cuts of hosts, cuts of links. Each is remembered before it is brought about, and proven by silence."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..drill.model import FaultKind
from ..drill.ports import FaultBegun, LinksCut, PowerCut, Silence
from ..errors import ActionError, Effect, UsageError
from . import boot, listen, machines, netns, partial, processes, wires
from .image import unpack_archive
from .keys import ensure_keys
from .load import load_topology
from .model import (
    DUCT_CUT,
    ENDPOINT_LIES,
    ENDPOINT_SILENT,
    LAID_ASTRAY,
    LINK_CUT,
    OUTLET_OFF,
    OUTLETS_CROSSED,
    POWER_CUT,
    DuctCut,
    FaultInForce,
    LabHost,
    LabSettings,
    Link,
    LinkCut,
    Phase,
    Topology,
    Wire,
)
from .rules import ends_held_down, hosts_meant, leg_of, links_in, outsider, wire_of, wires_of
from .state import begin_faults, end_faults, exclusively, read_state, write_whole

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
            return self._take_power(topology, chosen, kind=POWER_CUT)

    def switch_off(self, hosts: Sequence[str]) -> None:
        """Take power from the hosts as ``cut_power`` does, at their outlets: they stay dark until it is on again.

        Harmless for those whose outlet is off already. What becomes of the site's power changes nothing about it.
        """
        with exclusively(self._settings):
            topology = _standing(self._settings)
            off = _targets(self._settings, OUTLET_OFF)
            chosen = [host for host in hosts_meant(topology, hosts) if host.name not in off]
            if chosen:
                self._take_power(topology, chosen, kind=OUTLET_OFF)

    def switch_on(self, hosts: Sequence[str]) -> None:
        """Switch the hosts' outlets on. Those whose site has power start; they answer SSH when this returns."""
        with exclusively(self._settings):
            topology = _standing(self._settings)
            off = _targets(self._settings, OUTLET_OFF)
            chosen = [host for host in hosts_meant(topology, hosts) if host.name in off]
            cut, running = _targets(self._settings, POWER_CUT), processes.inits(self._settings)
            dead = [host for host in chosen if host.name not in cut and host.name not in running]
            if dead:
                boot.power_on(self._settings, topology, dead)
            end_faults(self._settings, OUTLET_OFF, [host.name for host in chosen])
            self._hold(topology)

    def _take_power(self, topology: Topology, chosen: Sequence[LabHost], *, kind: str) -> PowerCut:
        names = [host.name for host in chosen]
        running = {name: pid for name, pid in processes.inits(self._settings).items() if name in names}
        ends = [wire.outer_name for host in chosen for wire in wires_of(host, topology)]
        now = time.monotonic()
        begin_faults(self._settings, (FaultInForce(kind=kind, target=name, since=now) for name in names))
        first, last = wires.drop(self._settings, ends)
        killed = machines.kill(self._settings, running, freeze_disks=True)
        self._hold(topology)  # an endpoint that stood on this power is gone with it
        processes.wait_until_gone(running.values(), within_s=_DEAD_WITHIN_S)
        return PowerCut(
            hosts=tuple(names), first_wire_dropped_at=first, last_wire_dropped_at=last, last_init_killed_at=killed
        )

    def _hold(self, topology: Topology) -> None:
        """Cut what a fault in force cuts: fresh wires come up joined. Join the endpoints' that nothing cuts now."""
        held = self._held(topology)
        wires.drop(self._settings, list(held))
        ours = [wire_of(endpoint).outer_name for endpoint in topology.endpoints.values()]
        wires.join(self._settings, [end for end in ours if end not in held])

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
        return listen.watch(self._settings, names, legs, seconds=seconds, how=listen.How(pings=pings))

    def restore_power(self, hosts: Sequence[str]) -> None:
        """Join the wires again and start the machines on the disks as the cut left them; all answer SSH then.

        A host whose outlet is off stays dark: its site has power again, and it has none.
        """
        with exclusively(self._settings):
            topology = _standing(self._settings)
            chosen = hosts_meant(topology, hosts)
            running = processes.inits(self._settings)
            cut, off = _targets(self._settings, POWER_CUT), _targets(self._settings, OUTLET_OFF)
            dead = [host for host in chosen if host.name in cut or host.name not in running]
            starting = [host for host in dead if host.name not in off]
            if starting:
                boot.power_on(self._settings, topology, starting)
            end_faults(self._settings, POWER_CUT, [host.name for host in dead])
            self._hold(topology)

    def deliver(self, hosts: Sequence[str], *, image: str = "") -> tuple[str, ...]:
        """Put new machines in the place of hosts that have no power, fresh from the image: nothing is left of the old.

        They answer SSH, as bare as on the first day, when this returns. Return their names. With ``image`` they are
        made from that file, and from nothing that this machine has kept.

        Raises:
            UsageError: a host still has its power: what stands there is not thrown away.
        """
        with exclusively(self._settings):
            topology = _standing(self._settings)
            chosen = hosts_meant(topology, hosts)
            running, cut = processes.inits(self._settings), _targets(self._settings, POWER_CUT)
            alive = [host.name for host in chosen if host.name in running or host.name not in cut]
            if alive:
                raise UsageError(
                    f"{', '.join(alive)} still has power", not_done="nothing was thrown away",
                    next_step=f"secondsite lab fault cut-power {' '.join(alive)}",
                )  # fmt: skip
            machines.wait_until_dead(self._settings, [host.name for host in chosen])
            for host in chosen:
                machines.wait_until_released(self._settings, host.name)
                machines.scrap(self._settings, host)
            if image:
                rootfs = unpack_archive(Path(image), self._settings.home / machines.DELIVERED)
                for host in chosen:
                    write_whole(self._settings.host_dir(host.name) / machines.MADE_FROM, f"{rootfs}\n")
            ensure_keys(self._settings, topology.hosts.values())
            boot.power_on(self._settings, topology, chosen)
            end_faults(self._settings, POWER_CUT, [host.name for host in chosen])
            self._hold(topology)
            return tuple(host.name for host in chosen)

    def trouble_endpoint(self, endpoint: str, kind: str, *, crossed: tuple[str, str] | None = None) -> None:
        """Make a power endpoint lie (say that it did, and do nothing), fall silent, or switch another host's outlet.

        Raises:
            UsageError: there is no such endpoint, or no such trouble.
        """
        with exclusively(self._settings):
            topology = _standing(self._settings)
            if endpoint not in topology.endpoints or kind not in (ENDPOINT_LIES, ENDPOINT_SILENT, OUTLETS_CROSSED):
                raise UsageError(
                    f"the lab has no power endpoint {endpoint!r}, or no trouble {kind!r} for it",
                    not_done="nothing was attempted",
                    next_step=f"power endpoints: {', '.join(topology.endpoints) or 'none'}",
                )
            target = " ".join(crossed) if crossed is not None else endpoint
            begin_faults(self._settings, [FaultInForce(kind=kind, target=target, since=time.monotonic())])
            self._hold(topology)

    def mend_endpoints(self) -> None:
        """Take every trouble with power endpoints back; outlets stay as they are."""
        with exclusively(self._settings):
            for kind in (ENDPOINT_LIES, ENDPOINT_SILENT, OUTLETS_CROSSED):
                end_faults(self._settings, kind, _targets(self._settings, kind))
            self._hold(_standing(self._settings))

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
        return listen.watch(
            self._settings, (f"{carrier} {site}",), [leg], seconds=seconds, how=listen.How(by_address=False)
        )

    def repair_link(self, carrier: str, site: str) -> None:
        """Join the wire again; return when the carrier's leg is heard at the site.

        Raises:
            ActionError: it is joined and nothing is heard; the fault stays on record.
        """
        with exclusively(self._settings):
            self._join(LINK_CUT, f"{carrier} {site}", (Link(carrier=carrier, site=site),))

    def cut_links(self, site: str) -> LinksCut:
        """Drop the wires that join every carrier to a site, all at once."""
        with exclusively(self._settings):
            carriers = [host.name for host in _standing(self._settings).carriers]
            legs = [self._leg(carrier, site).outer_name for carrier in carriers]
            now = time.monotonic()
            cuts = [FaultInForce(kind=LINK_CUT, target=f"{carrier} {site}", since=now) for carrier in carriers]
            begin_faults(self._settings, cuts)
            first, last = wires.drop(self._settings, legs)
        return LinksCut(site=site, carriers=tuple(carriers), first_wire_dropped_at=first, last_wire_dropped_at=last)

    def prove_links_silent(self, site: str, *, seconds: float) -> Silence:
        """Listen for any frame of a carrier at the site, and ping the site's hosts from another site."""
        topology = _standing(self._settings)
        hosts = [host for host in topology.hosts.values() if host.site == site and not host.carrier]
        legs = [self._leg(carrier.name, site) for carrier in topology.carriers]
        asker = outsider(topology, hosts, running=processes.inits(self._settings))
        pings = {}
        if asker is not None:
            pings[self._settings.namespace(asker.name)] = {
                host.name: str(address.ip) for host in hosts for address in list(host.addresses.values())[:1]
            }
        names = tuple(host.name for host in hosts)
        return listen.watch(self._settings, names, legs, seconds=seconds, how=listen.How(pings=pings, by_address=False))

    def repair_links(self, site: str) -> None:
        """Join the wires of all carriers to the site again; return when each is heard there.

        Raises:
            ActionError: one is joined and nothing is heard; that fault stays on record.
        """
        with exclusively(self._settings):
            cut = {fault.target for fault in read_state(self._settings).faults if fault.kind == LINK_CUT}
            for carrier in _standing(self._settings).carriers:
                if (target := f"{carrier.name} {site}") in cut:
                    self._join(LINK_CUT, target, (Link(carrier=carrier.name, site=site),))

    def cut_duct(self, duct: str) -> DuctCut:
        """Drop the wires of all links that lie in a duct, as a digger does: all at once."""
        with exclusively(self._settings):
            links = self._lying_in(duct)
            begin_faults(self._settings, [FaultInForce(kind=DUCT_CUT, target=duct, since=time.monotonic())])
            _, dropped = wires.drop(self._settings, [self._leg(link.carrier, link.site).outer_name for link in links])
        return DuctCut(duct=duct, links=links, dropped_at=dropped)

    def prove_duct_silence(self, duct: str, *, seconds: float) -> Silence:
        """Listen for any frame of the carriers' legs on the links in the duct, and ask them by ARP."""
        legs = [self._leg(link.carrier, link.site) for link in self._lying_in(duct)]
        return listen.watch(self._settings, (duct,), legs, seconds=seconds, how=listen.How(by_address=False))

    def repair_duct(self, duct: str) -> None:
        """Join the wires of all links in the duct again; return when each carrier is heard.

        Raises:
            ActionError: one is joined and nothing is heard; the fault stays on record.
        """
        with exclusively(self._settings):
            self._join(DUCT_CUT, duct, self._lying_in(duct))

    def lay(self, carrier: str, site: str, duct: str) -> None:
        """Move a link into another duct than planned, as a careless provider does; it goes on working."""
        with exclusively(self._settings):
            topology, link = _standing(self._settings), f"{carrier} {site}"
            leg_of(topology, carrier, site)
            links_in(topology, duct, ())
            self._lay_back(link)
            astray = FaultInForce(kind=LAID_ASTRAY, target=f"{link} {duct}", since=time.monotonic())
            begin_faults(self._settings, [astray])

    def lay_back(self, carrier: str, site: str) -> None:
        """Move a link back into the duct it was planned in."""
        with exclusively(self._settings):
            self._lay_back(f"{carrier} {site}")

    def _lay_back(self, link: str) -> None:
        faults = read_state(self._settings).faults
        cut = [fault.target for fault in faults if fault.kind == DUCT_CUT]
        if cut:
            raise UsageError(
                f"a duct is cut now: {', '.join(cut)}", not_done="nothing was moved",
                next_step="secondsite lab fault repair-duct",
            )  # fmt: skip
        astray = [
            fault.target for fault in faults
            if fault.kind == LAID_ASTRAY and fault.target.rpartition(" ")[0] == link
        ]  # fmt: skip
        end_faults(self._settings, LAID_ASTRAY, astray)

    def _lying_in(self, duct: str) -> tuple[Link, ...]:
        return links_in(_standing(self._settings), duct, read_state(self._settings).faults)

    def _held(self, topology: Topology) -> Mapping[str, FaultInForce]:
        return ends_held_down(topology, read_state(self._settings).faults)

    def _join(self, kind: str, target: str, links: Sequence[Link]) -> None:
        """Join the links' wires but for those that another fault keeps down, hear each, and forget the fault."""
        topology = _standing(self._settings)
        others = [fault for fault in read_state(self._settings).faults if (fault.kind, fault.target) != (kind, target)]
        held = ends_held_down(topology, others)
        legs = {link: self._leg(link.carrier, link.site) for link in links}
        free = {link: leg for link, leg in legs.items() if leg.outer_name not in held}
        wires.join(self._settings, [leg.outer_name for leg in free.values()])
        for link, leg in free.items():
            if not listen.hears(self._settings, leg, within_s=_REPAIRED_WITHIN_S):
                raise ActionError(
                    f"{link.carrier} is not heard at {link.site} though its wire is joined", effect=Effect.APPLIED,
                    next_step="secondsite lab status",
                )  # fmt: skip
        end_faults(self._settings, kind, [target])

    def begin(self, fault: FaultKind, targets: Sequence[str]) -> FaultBegun:
        """Bring about a fault that leaves hosts powered and links joined."""
        return partial.begin(self._settings, _standing(self._settings), fault, targets)

    def prove(self, fault: FaultKind, targets: Sequence[str], *, seconds: float) -> Silence:
        """Look and listen for what the fault must have silenced."""
        return partial.prove(self._settings, _standing(self._settings), fault, targets, seconds=seconds)

    def end(self, fault: FaultKind, targets: Sequence[str]) -> None:
        """Take the fault back; return when what it silenced is heard again."""
        partial.end(self._settings, _standing(self._settings), fault, targets)

    def begin_lying(self, carrier: str) -> None:
        """Let the carrier's isolation answer success and drop nothing."""
        partial.begin_lying(self._settings, _standing(self._settings), carrier)

    def end_lying(self, carrier: str) -> None:
        """Let it drop again what it was told to."""
        partial.end_lying(self._settings, carrier)

    def leftovers(self) -> tuple[str, ...]:
        """Name every injected fault that is still in force, and every wire that is down without one."""
        faults = [str(fault) for fault in read_state(self._settings).faults]
        return (*faults, *(f"wire down: {end}" for end in self._unexplained_ends()))

    def _unexplained_ends(self) -> Iterator[str]:
        if not netns.exists(self._settings.wires):
            return
        explained = self._held(load_topology(self._settings.topology))
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


def _targets(settings: LabSettings, kind: str) -> frozenset[str]:
    return frozenset(fault.target for fault in read_state(settings).faults if fault.kind == kind)


def _refuse_already_cut(settings: LabSettings, hosts: Sequence[LabHost]) -> None:
    cut = _targets(settings, POWER_CUT)
    again = [host.name for host in hosts if host.name in cut]
    if again:
        raise UsageError(
            f"{', '.join(again)} has no power already", not_done="nothing was attempted",
            next_step="secondsite lab fault restore-power",
        )  # fmt: skip
