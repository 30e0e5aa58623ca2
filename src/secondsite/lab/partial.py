"""Faults that leave hosts powered and links joined. Each is remembered before it is brought about.

A site that hears nothing, a member of the quorum that is gone, a controller that reaches nobody, a fence that lies.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from ..drill.model import FaultKind
from ..drill.ports import FaultBegun, Silence
from ..errors import ActionError, Effect, MeasurementError, UsageError
from . import listen, processes, ready, wires
from .commands import run
from .model import CONTROLLER_CUT, ETCD_STOPPED, FENCE_LIES, LINK_DEAF, FaultInForce, LabHost, LabSettings, Topology
from .rules import CONTROL_WIRE, hosts_meant, leg_of, outsider, wires_of
from .state import begin_faults, end_faults, exclusively

CONTROLLER = "the controller"
_KINDS = {
    FaultKind.CUT_LINK_INWARD: LINK_DEAF,
    FaultKind.STOP_ETCD: ETCD_STOPPED,
    FaultKind.CUT_CONTROLLER: CONTROLLER_CUT,
}
_ASK_EVERY_S = 0.25
_HEARD_WITHIN_S = 15.0
_HEARD_IN_S = 0.5
_STOP_ETCD = "systemctl mask --runtime --quiet etcd && systemctl kill --signal=KILL etcd"
_START_ETCD = "systemctl unmask --runtime --quiet etcd && systemctl reset-failed etcd && systemctl start etcd"
_ETCD_LISTENS = "ss --no-header --listening --numeric --tcp 'sport = :2379 or sport = :2380'"
_LIE = "nft flush chain inet secondsite_isolation prerouting"
_TRUTH = "nft -f /etc/secondsite/isolation.nft"


def begin(settings: LabSettings, topology: Topology, fault: FaultKind, targets: Sequence[str]) -> FaultBegun:
    """Bring the fault about at all targets, one right after the other."""
    works = [_beginning(settings, topology, fault, target) for target in targets]
    with exclusively(settings):
        now = time.monotonic()
        begin_faults(settings, [FaultInForce(kind=_KINDS[fault], target=target, since=now) for target in targets])
        first = time.monotonic()
        for work in works:
            work()
        return FaultBegun(targets=tuple(targets), first_at=first, last_at=time.monotonic())


def end(settings: LabSettings, topology: Topology, fault: FaultKind, targets: Sequence[str]) -> None:
    """Take the fault back and wait until what it silenced is heard.

    Raises:
        ActionError: it is taken back and nothing is heard; it stays on record.
    """
    with exclusively(settings):
        for target in targets:
            _ending(settings, fault, target)
        until = time.monotonic() + _HEARD_WITHIN_S
        while silent := [target for target in targets if not _is_heard(settings, topology, fault, target)]:
            if time.monotonic() > until:
                raise ActionError(
                    f"{fault.value} was taken back and nothing is heard of {', '.join(silent)}", effect=Effect.APPLIED,
                    next_step="secondsite lab status",
                )  # fmt: skip
            time.sleep(_ASK_EVERY_S)
        end_faults(settings, _KINDS[fault], targets)


def prove(
    settings: LabSettings, topology: Topology, fault: FaultKind, targets: Sequence[str], *, seconds: float
) -> Silence:
    """Look, for so long, for what the fault must have silenced.

    Raises:
        MeasurementError: nothing could be looked at, so that silence proves nothing.
    """
    if fault is FaultKind.CUT_LINK_INWARD:
        return _deafness(settings, topology, targets, seconds=seconds)
    if fault is FaultKind.STOP_ETCD:
        names = tuple(f"etcd of {host}" for host in targets)
        return _asked(names, lambda: _etcds_listening(settings, targets), seconds=seconds)
    return _asked(tuple(targets), lambda: _hosts_reached(settings, topology), seconds=seconds)


def begin_lying(settings: LabSettings, topology: Topology, carrier: str) -> None:
    """Let a carrier's isolation take every word and drop nothing."""
    _carrier(topology, carrier)
    with exclusively(settings):
        begin_faults(settings, [FaultInForce(kind=FENCE_LIES, target=carrier, since=time.monotonic())])
        _inside(settings, carrier, _LIE)


def end_lying(settings: LabSettings, carrier: str) -> None:
    """Let it drop again what it was told to."""
    with exclusively(settings):
        _inside(settings, carrier, _TRUTH)
        end_faults(settings, FENCE_LIES, [carrier])


def _beginning(settings: LabSettings, topology: Topology, fault: FaultKind, target: str) -> Callable[[], object]:
    """Return the work, having looked first whether it can be done."""
    match fault:
        case FaultKind.CUT_LINK_INWARD:
            rules = "\n".join(_deaf_rules(topology, target))
            return lambda: _nft(settings, rules)
        case FaultKind.STOP_ETCD:
            (host,) = hosts_meant(topology, [target])
            if not _etcds_listening(settings, [host.name]):
                raise UsageError(f"no member of the quorum runs on {target}", not_done="nothing was attempted")
            return lambda: _inside(settings, host.name, _STOP_ETCD)
        case FaultKind.CUT_CONTROLLER:
            return lambda: wires.drop(settings, [CONTROL_WIRE])
        case _:
            raise UsageError(f"{fault.value} is no fault of this kind", not_done="nothing was attempted")


def _ending(settings: LabSettings, fault: FaultKind, target: str) -> None:
    match fault:
        case FaultKind.CUT_LINK_INWARD:
            _nft(settings, f"table netdev {_table(target)} {{}}\ndelete table netdev {_table(target)}")
        case FaultKind.STOP_ETCD:
            _inside(settings, target, _START_ETCD)
        case _:
            wires.join(settings, [CONTROL_WIRE])


def _is_heard(settings: LabSettings, topology: Topology, fault: FaultKind, target: str) -> bool:
    match fault:
        case FaultKind.CUT_LINK_INWARD:
            return _deafness(settings, topology, [target], seconds=_HEARD_IN_S).packets_heard > 0
        case FaultKind.STOP_ETCD:
            return bool(_etcds_listening(settings, [target]))
        case _:
            return bool(_hosts_reached(settings, topology))


def _table(site: str) -> str:
    return f"secondsite_deaf_{site.replace('-', '_')}"


def _deaf_rules(topology: Topology, site: str) -> Iterator[str]:
    """Drop every frame where it comes from a carrier's end of a link; what goes to that end passes."""
    if site not in topology.sites:
        raise UsageError(f"the lab has no site {site!r}", not_done="nothing was attempted")
    yield f"table netdev {_table(site)} {{"
    for index, carrier in enumerate(topology.carriers):
        leg = leg_of(topology, carrier.name, site).outer_name
        yield f"chain from_{index} {{"
        yield f'type filter hook ingress device "{leg}" priority -300; policy drop;'
        yield "}"
    yield "}"


def _deafness(settings: LabSettings, topology: Topology, targets: Sequence[str], *, seconds: float) -> Silence:
    (site,) = targets
    legs = [leg_of(topology, carrier.name, site) for carrier in topology.carriers]
    hosts = [host for host in topology.at(site) if not host.carrier]
    networks = {leg.network for leg in legs}
    inside = [settings.namespace(host.name) for host in hosts if networks & set(host.addresses)]
    own = [wire for host in hosts for wire in wires_of(host, topology) if wire.network in networks]
    if not any(listen.hears(settings, leg, within_s=1.0) for leg in own):
        raise MeasurementError(f"{site} itself is not heard, so that nobody can tell that it is only deaf")
    asker = _asker(settings, topology, site)
    pings = {} if asker is None else {settings.namespace(asker.name): _addresses(hosts)}
    names = tuple(host.name for host in hosts)
    return listen.watch(
        settings, names, legs, seconds=seconds, how=listen.How(pings=pings, by_address=False, ears=inside)
    )


def _asker(settings: LabSettings, topology: Topology, site: str) -> LabHost | None:
    return outsider(topology, list(topology.at(site)), running=processes.inits(settings))


def _addresses(hosts: Sequence[LabHost]) -> dict[str, str]:
    return {host.name: str(address.ip) for host in hosts for address in list(host.addresses.values())[:1]}


def _etcds_listening(settings: LabSettings, hosts: Sequence[str]) -> list[str]:
    return [f"etcd of {host} listens" for host in hosts if _inside(settings, host, _ETCD_LISTENS).strip()]


def _hosts_reached(settings: LabSettings, topology: Topology) -> list[str]:
    addresses = {host.name: str(host.management.ip) for host in topology.hosts.values()}
    answered = ready.wait_for_ssh(settings, addresses, within_s=_HEARD_IN_S)  # firewalls let nothing else through
    return [f"{name} answered the controller" for name in answered]


def _asked(names: tuple[str, ...], ask: Callable[[], list[str]], *, seconds: float) -> Silence:
    """Ask again and again; what answers is kept. No packet is listened for here: it is asked, at the thing itself."""
    begun, answers = time.monotonic(), dict[str, None]()
    while time.monotonic() < begun + seconds:
        answers |= dict.fromkeys(ask())
        time.sleep(_ASK_EVERY_S)
    return Silence(
        hosts=names, watched_from=begun, watched_until=time.monotonic(), packets_heard=0, answers=tuple(answers)
    )


def _carrier(topology: Topology, name: str) -> None:
    if name not in {carrier.name for carrier in topology.carriers}:
        raise UsageError(f"the lab has no carrier {name!r}", not_done="nothing was attempted")


def _nft(settings: LabSettings, rules: str) -> str:
    return run(["ip", "netns", "exec", settings.wires, "nft", "-f", "-"], stdin=rules + "\n")


def _inside(settings: LabSettings, host: str, script: str) -> str:
    """Run a script as root on a host, from outside of it: no network and no key is needed."""
    running = processes.inits(settings)
    if host not in running:
        raise UsageError(f"{host} does not run", not_done="nothing was attempted", next_step="secondsite lab status")
    entering = ["nsenter", f"--target={running[host]}", "--mount", "--uts", "--ipc", "--net", "--pid", "--root"]
    return run([*entering, "--", "/bin/sh", "-c", script])
