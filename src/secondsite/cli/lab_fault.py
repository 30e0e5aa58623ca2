"""``secondsite lab fault``: break the lab on purpose, and take it back."""

from __future__ import annotations

import rich_click as click

from ..drill.model import FaultKind
from ..drill.ports import Silence
from ..errors import UsageError
from ..lab.faults import LabInjector
from ..lab.model import ENDPOINT_LIES, ENDPOINT_SILENT, OUTLET_OFF, OUTLETS_CROSSED, POWER_CUT, LabSettings
from ..lab.partial import CONTROLLER
from ..lab.state import read_state
from .terminal import emit, say

_FAILED = 3
_TROUBLES = {"lies": ENDPOINT_LIES, "silent": ENDPOINT_SILENT, "crossed": OUTLETS_CROSSED}
_seconds = click.option(
    "--prove-for", type=click.FloatRange(0.5, 60), default=2.0, show_default=True, help="Seconds to listen for silence."
)


@click.group()
def fault() -> None:
    """Break the lab on purpose, and take it back. Each fault is proven by silence from outside."""


@fault.command("cut-power")
@click.argument("where", nargs=-1, required=True)
@_seconds
@click.pass_obj
def cut_power(settings: LabSettings, where: tuple[str, ...], prove_for: float) -> int:
    """Pull the plug of every host of a SITE, or of single hosts."""
    injector = LabInjector(settings)
    cut = injector.cut_power(where)
    wires = (cut.last_wire_dropped_at - cut.first_wire_dropped_at) * 1000
    say(f"power cut of {', '.join(cut.hosts)}: all wires dropped within {wires:.1f} ms")
    return _verdict(injector.prove_silence(cut.hosts, seconds=prove_for))


@fault.command("restore-power")
@click.argument("where", nargs=-1)
@click.pass_obj
def restore_power(settings: LabSettings, where: tuple[str, ...]) -> None:
    """Give power back to the hosts named, or to all that lost it; returns when they answer SSH."""
    names = where or tuple(item.target for item in read_state(settings).faults if item.kind == POWER_CUT)
    if not names:
        say("no host is without power")
        return
    LabInjector(settings).restore_power(names)
    off = [item.target for item in read_state(settings).faults if item.kind == OUTLET_OFF]
    lit = [name for name in names if name not in off]
    say(f"power is back: {', '.join(lit)} answer SSH" if lit else "power is back")
    if off:
        say(f"stay dark, their outlets are off: {', '.join(off)}; secondsite lab fault switch-on HOST")


@fault.command("deliver")
@click.argument("where", nargs=-1, required=True)
@click.pass_obj
def deliver(settings: LabSettings, where: tuple[str, ...]) -> None:
    """Throw hosts without power away, and put new, bare machines in their place. Nothing is left of the old ones.

    WHERE are sites or hosts whose power was cut. This can't be taken back.
    """
    say(f"new machines: {', '.join(LabInjector(settings).deliver(where))} answer SSH")


@fault.command("switch-on")
@click.argument("hosts", nargs=-1, required=True)
@click.pass_obj
def switch_on(settings: LabSettings, hosts: tuple[str, ...]) -> None:
    """Switch the outlets of HOSTS on again, as at the power endpoint; returns when those with power answer SSH."""
    LabInjector(settings).switch_on(hosts)
    say(f"outlets are on: {', '.join(hosts)}")


@fault.command("trouble-endpoint")
@click.argument("endpoint")
@click.argument("trouble", type=click.Choice(sorted(_TROUBLES)))
@click.argument("hosts", nargs=-1)
@click.pass_obj
def trouble_endpoint(settings: LabSettings, endpoint: str, trouble: str, hosts: tuple[str, ...]) -> None:
    """Make a power ENDPOINT lie, fall silent, or switch the outlets of two HOSTS the wrong way round (crossed)."""
    match hosts, trouble:
        case ((one, other), "crossed") if one != other:
            crossed: tuple[str, str] | None = (one, other)
        case ((), "lies" | "silent"):
            crossed = None
        case _:
            raise UsageError(
                "crossed needs two hosts; lies and silent need none",
                not_done="nothing was attempted",
                next_step=f"secondsite lab fault trouble-endpoint {endpoint} crossed HOST OTHER-HOST",
            )
    LabInjector(settings).trouble_endpoint(endpoint, _TROUBLES[trouble], crossed=crossed)
    say(f"{endpoint}: {trouble}")


@fault.command("mend-endpoints")
@click.pass_obj
def mend_endpoints(settings: LabSettings) -> None:
    """Take every trouble with power endpoints back. Outlets stay as they are."""
    LabInjector(settings).mend_endpoints()
    say("every power endpoint does what it says")


@fault.command("cut-link")
@click.argument("carrier")
@click.argument("site")
@_seconds
@click.pass_obj
def cut_link(settings: LabSettings, carrier: str, site: str, prove_for: float) -> int:
    """Cut the link between a CARRIER and a SITE."""
    injector = LabInjector(settings)
    injector.cut_link(carrier, site)
    say(f"link cut: {carrier} to {site}")
    return _verdict(injector.prove_link_silence(carrier, site, seconds=prove_for))


@fault.command("repair-link")
@click.argument("carrier")
@click.argument("site")
@click.pass_obj
def repair_link(settings: LabSettings, carrier: str, site: str) -> None:
    """Join the link again; returns when the carrier is heard at the site."""
    LabInjector(settings).repair_link(carrier, site)
    say(f"link repaired: {carrier} is heard at {site}")


@fault.command("cut-duct")
@click.argument("duct")
@_seconds
@click.pass_obj
def cut_duct(settings: LabSettings, duct: str, prove_for: float) -> int:
    """Cut a DUCT: every link that lies in it, at once."""
    injector = LabInjector(settings)
    cut = injector.cut_duct(duct)
    say(f"duct cut: {duct}, with the links {', '.join(map(str, cut.links)) or 'none'}")
    return _verdict(injector.prove_duct_silence(duct, seconds=prove_for)) if cut.links else _FAILED


@fault.command("repair-duct")
@click.argument("duct")
@click.pass_obj
def repair_duct(settings: LabSettings, duct: str) -> None:
    """Join every link in the DUCT again; returns when their carriers are heard."""
    LabInjector(settings).repair_duct(duct)
    say(f"duct repaired: {duct}")


@fault.command("lay")
@click.argument("carrier")
@click.argument("site")
@click.argument("duct", required=False)
@click.pass_obj
def lay(settings: LabSettings, carrier: str, site: str, duct: str | None) -> None:
    """Move the link between CARRIER and SITE into another DUCT than planned; without one, back where it belongs."""
    injector = LabInjector(settings)
    if duct is None:
        injector.lay_back(carrier, site)
        say(f"{carrier} to {site} lies as planned")
    else:
        injector.lay(carrier, site, duct)
        say(f"{carrier} to {site} lies in {duct} now; it goes on working")


_PARTIAL = {
    "cut-link-inward": "WHERE is a site: it hears nobody, and is heard",
    "stop-etcd": "WHERE are hosts: their members of the quorum die, and nothing else",
    "cut-controller": "it reaches no host; no WHERE",
}
_kind = click.argument("kind", type=click.Choice(list(_PARTIAL)))


@fault.command("begin", epilog="; ".join(f"{kind}: {where}" for kind, where in _PARTIAL.items()) + ".")
@_kind
@click.argument("where", nargs=-1)
@_seconds
@click.pass_obj
def begin(settings: LabSettings, kind: str, where: tuple[str, ...], prove_for: float) -> int:
    """Break what leaves hosts powered and links joined."""
    injector, targets = LabInjector(settings), _targets(kind, where)
    injector.begin(FaultKind(kind), targets)
    say(f"{kind}: {', '.join(targets)}")
    return _verdict(injector.prove(FaultKind(kind), targets, seconds=prove_for))


@fault.command("end")
@_kind
@click.argument("where", nargs=-1)
@click.pass_obj
def end(settings: LabSettings, kind: str, where: tuple[str, ...]) -> None:
    """Take back what ``begin`` broke; returns when it is heard again."""
    targets = _targets(kind, where)
    LabInjector(settings).end(FaultKind(kind), targets)
    say(f"{kind} is taken back: {', '.join(targets)}")


def _targets(kind: str, where: tuple[str, ...]) -> tuple[str, ...]:
    if kind == FaultKind.CUT_CONTROLLER.value:
        return (CONTROLLER,)
    if not where or (kind == FaultKind.CUT_LINK_INWARD.value and len(where) > 1):
        raise UsageError(f"{kind}: {_PARTIAL[kind]}", not_done="nothing was attempted")
    return where


@fault.command("lie")
@click.argument("carrier")
@click.option("--stop", is_flag=True, help="Let it drop again what it was told to.")
@click.pass_obj
def lie(settings: LabSettings, carrier: str, *, stop: bool) -> None:
    """Let the isolation at CARRIER answer success and drop nothing."""
    injector = LabInjector(settings)
    (injector.end_lying if stop else injector.begin_lying)(carrier)
    say(f"the fence at {carrier} {'does what it is told' if stop else 'lies'}")


@fault.command("list")
@click.pass_obj
def list_faults(settings: LabSettings) -> None:
    """List what is broken now."""
    for item in LabInjector(settings).leftovers():
        emit(item)


def _verdict(proof: Silence) -> int:
    seconds = proof.watched_until - proof.watched_from
    if proof.proven:
        say(f"proven by {seconds:.1f} s of silence")
        return 0
    heard = "; ".join((f"{proof.packets_heard} packets heard", *proof.answers))
    say(f"NOT proven: {heard}", style="bold red")
    return _FAILED
