"""Try the whole matrix: from every host at once, each with all its connections at once."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TypeVar

from ...errors import MeasurementError, SecondsiteError, Unreachable
from ...estate.firewall.model import Answer, Matrix, Trial, Tried
from ...estate.firewall.passages.rules import edge_hosts
from ...estate.firewall.rules import trials
from ...estate.model import Estate, HostName, Protocol
from ...run.ports import Hands
from ..remote import flows
from ..ship import ship
from . import witness
from .witness import Witnessed

PATIENCE = dt.timedelta(milliseconds=1300)  # a SYN that was lost is sent again after one second
_MARGIN = dt.timedelta(seconds=15)

Who = TypeVar("Who", bound=HostName | None)
Came = TypeVar("Came")


class FlowMatrix:
    """Tries every trial of an estate; leaves nothing behind on its hosts."""

    def __init__(self, hands: Hands, estate: Estate) -> None:
        """Try nothing yet."""
        self._hands, self._estate = hands, estate

    def try_all(self) -> Matrix:
        """Try everything once, and what should have worked a second time, for a packet may be lost.

        Raises:
            Unreachable: no host could say what it saw; nothing was decided.
        """
        hosts = tuple(self._estate.hosts)
        with ThreadPoolExecutor(max_workers=len(hosts) + 1) as pool:
            begun, blind = _each(pool, hosts, partial(witness.begin, self._hands))
            try:
                tried = self._try(pool, trials(self._estate), PATIENCE)
                tried |= self._try(pool, [trial for trial, one in tried.items() if _worth_another(one)], PATIENCE)
            finally:
                seen, untold = _each(pool, tuple(begun), partial(witness.end, self._hands))
        if not seen:
            reasons = "; ".join(sorted({*blind.values(), *untold.values()}))[:400]
            raise Unreachable(f"no host could say what it saw: {reasons}", not_done="nothing was decided")
        edges = edge_hosts(self._estate)
        return Matrix(tried=tuple(_with(one, seen, edges) for one in tried.values()), blind={**blind, **untold})

    def _try(self, pool: ThreadPoolExecutor, wanted: Sequence[Trial], patience: dt.timedelta) -> dict[Trial, Tried]:
        """Try from every source at once."""
        by_source: dict[HostName | None, list[Trial]] = {}
        for trial in wanted:
            by_source.setdefault(trial.source, []).append(trial)
        told, untold = _each(pool, tuple(by_source), lambda source: self._from(source, by_source[source], patience))
        tried: dict[Trial, Tried] = {}
        for source, listed in by_source.items():
            none = [(Answer.UNTOLD, untold.get(source, ""))] * len(listed)
            for trial, (answer, by) in zip(listed, told.get(source, none), strict=True):
                tried[trial] = Tried(trial=trial, answer=answer, by=by)
        return tried

    def _from(
        self, source: HostName | None, listed: Sequence[Trial], patience: dt.timedelta
    ) -> list[tuple[Answer, str]]:
        """Try from one host; without a name from here, where the controller is."""
        packets = [_order(one) for one in listed]
        timeout_s = patience.total_seconds()
        if source is None:
            tries = [flows.Try(source=s, target=t, protocol=protocol, port=port) for s, t, protocol, port, _ in packets]
            answers: object = flows.try_all(tries, timeout_s=timeout_s, mark=witness.MARK)
        else:
            order = {"tries": packets, "timeout_s": timeout_s, "mark": witness.MARK}
            argv = ship(self._hands, source, "flows")
            said = self._hands.run(source, argv, stdin=json.dumps(order) + "\n", timeout=patience + _MARGIN)
            answers = json.loads(said.stdout) if said.stdout.startswith("[") else None
        return _answers(answers, len(listed), source)


def _order(trial: Trial) -> tuple[str, str, str, int, str]:
    packet, neighbour = trial.packet, "" if trial.next_hop is None else str(trial.next_hop)
    return str(packet.source), str(packet.target), packet.protocol.value, packet.port, neighbour


def _answers(answers: object, number: int, source: HostName | None) -> list[tuple[Answer, str]]:
    if not isinstance(answers, list) or len(answers) != number:
        raise MeasurementError(f"{source} did not say what came of its tries")
    try:
        return [(Answer(answer), str(by)) for answer, by in answers]
    except (TypeError, ValueError) as error:
        raise MeasurementError(f"{source} did not say what came of its tries: {error!r}") from error


def _each(
    pool: ThreadPoolExecutor, names: Iterable[Who], do: Callable[[Who], Came]
) -> tuple[dict[Who, Came], dict[Who, str]]:
    """Do something for each at once; return what came of it, and why nothing came."""
    under_way = {name: pool.submit(do, name) for name in names}
    came: dict[Who, Came] = {}
    troubles: dict[Who, str] = {}
    for name, one in under_way.items():
        try:
            came[name] = one.result()
        except (SecondsiteError, ValueError) as error:
            troubles[name] = str(error)
    return came, troubles


def _worth_another(one: Tried) -> bool:
    """Say whether a lost packet may explain it. Datagrams were sent twice, and need no answer: the target saw them."""
    expected = one.trial.flow is not None and one.trial.packet.protocol is Protocol.TCP
    return expected and one.answer is Answer.SILENT


def _with(one: Tried, seen: Mapping[HostName, Witnessed], edges: Collection[HostName]) -> Tried:
    """Add what hosts on the way saw."""
    packet = one.trial.packet
    key = (str(packet.source), str(packet.target), packet.protocol.value, packet.port)
    crossed = frozenset(host for host in edges if host in seen and key in seen[host].crossed)
    target = seen.get(one.trial.target)
    if target is None:
        return replace(one, crossed=crossed)
    return replace(one, arrived=key in target.arrived, entered=key in target.entered, crossed=crossed)
