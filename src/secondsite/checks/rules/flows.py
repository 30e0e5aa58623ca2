"""What passes between real hosts, against what the estate declares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ...estate.firewall.model import Answer, Matrix, Tried
from ...estate.firewall.passages.rules import declared as declared_by
from ...estate.firewall.passages.rules import edge_hosts
from ...estate.model import Estate, HostName, Protocol
from ..model import Facts, Finding, Section, World
from .frame import bad, estate_check, good, unclear

FLOWS = "flows"
EXAMPLES = 3


def works(tried: Tried) -> bool:
    """Say whether a declared flow came through. A datagram need not be answered: its target saw it behind its rules.

    What was handed to one edge must have crossed that edge; which way it goes from there is not this try's matter.
    """
    if tried.trial.via is not None:
        return tried.trial.via in tried.crossed
    answered = tried.answer in {Answer.OPEN, Answer.REFUSED}
    return answered or (tried.trial.packet.protocol is Protocol.UDP and tried.entered is True)


def leaks(tried: Tried) -> bool:
    """Say whether a packet that nothing declares came through its target's rules, or through an edge's on the way."""
    return tried.answer in {Answer.OPEN, Answer.REFUSED} or tried.entered is True or bool(tried.crossed)


def is_told(tried: Tried) -> bool:
    """Say whether enough is known; silence alone does not prove that nothing was let in."""
    return tried.answer is not Answer.UNTOLD and (tried.trial.flow is not None or tried.entered is not None)


@estate_check(
    "FW-FLOWS",
    reads="",
    outside=FLOWS,
    expected="every declared flow works, and every other pair of hosts and service ports meets silence",
    fix="secondsite run provision",
    commitments="C01",
    controls="DR-25",
    tags="firewall network flows",
)
def flows_are_as_declared(world: World, _: Mapping[HostName, Facts]) -> Iterator[Finding]:
    """What passes between real hosts is what is declared, and nothing else."""
    section = world.outside.get(FLOWS, Section(trouble="nothing was tried"))
    if not isinstance(section.value, Matrix):
        yield unclear(section.trouble or "nothing was tried")
        return
    matrix = section.value
    for host, why in matrix.blind.items():
        yield unclear(f"{host} could not say what it saw: {why}", host)
    untold = [one for one in matrix.tried if not is_told(one)]
    if untold:
        yield unclear(f"{len(untold)} tries came to nothing that can be told: {_examples(untold)}", *_targets(untold))
    wrong = [*_not_working(matrix.tried), *_leaking(matrix.tried)]
    yield from wrong
    if matrix.tried and not wrong:
        yield good(_count(matrix.tried, world.estate))


def _not_working(tried: Iterable[Tried]) -> Iterator[Finding]:
    """Yield a finding for each flow and target where it does not work."""
    groups: dict[tuple[HostName, str], list[Tried]] = {}
    for one in tried:
        if one.trial.flow is not None and is_told(one) and not works(one):
            groups.setdefault((one.trial.target, one.trial.flow), []).append(one)
    for (target, flow), failing in groups.items():
        yield bad(f"{target}: does not work: {flow}: {_examples(failing)}", target)


def _leaking(tried: Iterable[Tried]) -> Iterator[Finding]:
    """Yield a finding for each host that lets in, or across, what nothing declares."""
    let_in: dict[HostName, list[Tried]] = {}
    let_across: dict[HostName, list[Tried]] = {}
    for one in tried:
        if one.trial.flow is not None or not leaks(one):
            continue
        for edge in one.crossed:
            let_across.setdefault(edge, []).append(one)
        if one.entered is True or one.answer in {Answer.OPEN, Answer.REFUSED}:
            let_in.setdefault(one.trial.target, []).append(one)
    for edge, some in let_across.items():
        yield bad(f"{edge} lets across what nothing declares: {_examples(some)}", edge)
    for target, some in let_in.items():
        yield bad(f"{target} lets in what nothing declares: {_examples(some)}", target)


def _examples(tried: list[Tried]) -> str:
    shown = ", ".join(_words(one) for one in tried[:EXAMPLES])
    return shown + (f", and {len(tried) - EXAMPLES} more" if len(tried) > EXAMPLES else "")


def _words(one: Tried) -> str:
    trial, packet = one.trial, one.trial.packet
    way = " over management" if packet.by_management and trial.source is not None else ""
    line = f"{trial.source or 'controller'} to {trial.target} {packet.protocol.value} {packet.port}{way}"
    if trial.via is not None:
        line = f"{line} from {packet.source} through {trial.via}"
    if trial.flow is None or one.answer is Answer.UNTOLD:
        return f"{line} ({one.by})" if one.answer is Answer.UNTOLD and one.by else line
    if trial.via is not None:
        return f"{line} ({trial.via} drops it)"
    where = {False: "it does not arrive", True: f"{trial.target} drops it", None: "silence"}
    return f"{line} ({where[one.arrived] if not one.entered else 'no answer comes back'})"


def _targets(tried: Iterable[Tried]) -> tuple[HostName, ...]:
    return tuple(dict.fromkeys(one.trial.target for one in tried))


def _count(tried: Iterable[Tried], estate: Estate) -> str:
    listed = list(tried)
    declared = sum(one.trial.flow is not None for one in listed)
    said = f"{declared} tries of declared flows work, and {len(listed) - declared} others meet silence"
    through = {edge: sum(edge in one.crossed for one in listed) for edge in sorted(edge_hosts(estate))}
    ways = ", ".join(f"{edge} {number}" for edge, number in through.items())
    said += f"; through edges: {ways}" if through else ""
    left = [flow.name for flow in declared_by(estate).flows if flow.name not in {one.trial.flow for one in listed}]
    return said + (f"; not tried, for no two hosts speak so: {', '.join(left)}" if left else "")


CHECKS = (flows_are_as_declared,)
