"""Try the whole matrix: from every host at once, each with all its connections at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TypeVar

from ...checks.model import Section
from ...errors import SecondsiteError, Unreachable
from ...estate.firewall.model import Answer, Matrix, Trial, Tried
from ...estate.firewall.passages.rules import edge_hosts
from ...estate.firewall.rules import trials
from ...estate.model import Estate, HostName
from ...run.ports import Hands
from ..remote.collectors import tries
from . import witness
from .witness import Witnessed

PATIENCE = dt.timedelta(milliseconds=1300)  # a SYN that was lost is sent again after one second
_ANSWERS = frozenset(answer.value for answer in Answer)

Order = Mapping[str, object]
"""What a host is to try, as its collector ``tries`` reads it."""
Who = TypeVar("Who", bound=HostName | None)
Came = TypeVar("Came")


class FlowMatrix:
    """Tries every trial of an estate. Whatever it makes on hosts is gone when it is left."""

    def __init__(self, hands: Hands, estate: Estate) -> None:
        """Try nothing yet."""
        self._hands, self._estate = hands, estate
        self._pool = ThreadPoolExecutor(max_workers=len(estate.hosts) + 1)
        self._trials: Sequence[Trial] = ()
        self._begun: set[HostName] = set()
        self._blind: dict[HostName, str] = {}

    def __enter__(self) -> FlowMatrix:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let every host forget that still remembers."""
        _each(self._pool, self._begun, partial(witness.end, self._hands))
        self._pool.shutdown()

    def begin(self, first: Mapping[HostName, str] = MappingProxyType({})) -> None:
        """Let hosts begin to remember, each after its shell did what comes ``first``."""
        trying = self._pool.submit(trials, self._estate)
        begun, self._blind = _each(
            self._pool,
            tuple(self._estate.hosts),
            lambda host: witness.begin(self._hands, host, first=first.get(host, "")),
        )
        self._begun, self._trials = set(begun), trying.result()

    def try_all(self, ask: Callable[[Mapping[HostName, Order]], Mapping[HostName, Section]]) -> Matrix:
        """Try everything once, and what should have worked a second time, for a packet may be lost.

        Hosts must have begun to remember, and forget then. ``ask`` has hosts do what they are ordered to do, all at
        once, and returns what each told of it.

        Raises:
            Unreachable: no host could say what it saw; nothing was decided.
        """
        by_source: dict[HostName | None, list[Trial]] = {}
        for trial in self._trials:
            by_source.setdefault(trial.source, []).append(trial)
        here = self._pool.submit(_from_here, by_source.pop(None, []))
        told = ask({source: _order(listed) for source, listed in by_source.items() if source is not None})
        tried = list(here.result())
        for source, listed in by_source.items():
            tried += _told(listed, told.get(source) if source is not None else None)
        seen, untold = _each(self._pool, tuple(self._begun), partial(witness.end, self._hands))
        self._begun -= seen.keys()
        blind = {**self._blind, **untold}
        if not seen:
            reasons = "; ".join(sorted(set(blind.values())))[:400]
            raise Unreachable(f"no host could say what it saw: {reasons}", not_done="nothing was decided")
        edges = edge_hosts(self._estate)
        return Matrix(tried=tuple(_with(one, seen, edges) for one in tried), blind=blind)


def _from_here(listed: Sequence[Trial]) -> list[Tried]:
    """Try where the controller is."""
    wanted = [tries.Try(*_words(trial)) for trial in listed]
    answers = tries.try_twice(wanted, timeout_s=PATIENCE.total_seconds(), mark=witness.MARK)
    return [
        Tried(trial=trial, answer=Answer(answer), by=by) for trial, (answer, by) in zip(listed, answers, strict=True)
    ]


def _told(listed: Sequence[Trial], told: Section | None) -> list[Tried]:
    """Read what a host told of its tries."""
    answers = None if told is None or told.trouble else told.value
    if not isinstance(answers, list) or len(answers) != len(listed):
        reason = (told and told.trouble) or "it did not say what came of its tries"
        return [Tried(trial=trial, answer=Answer.UNTOLD, by=reason) for trial in listed]
    return [_read(trial, answer) for trial, answer in zip(listed, answers, strict=True)]


def _read(trial: Trial, told: object) -> Tried:
    match told:
        case [str(answer), str(by)] if answer in _ANSWERS:
            return Tried(trial=trial, answer=Answer(answer), by=by)
        case _:
            return Tried(trial=trial, answer=Answer.UNTOLD, by="it did not say what came of this try")


def _order(listed: Sequence[Trial]) -> Order:
    words = [_words(trial) for trial in listed]
    return {"tries": words, "timeout_s": PATIENCE.total_seconds(), "mark": witness.MARK}


def _words(trial: Trial) -> tuple[str, str, str, int, str, bool]:
    packet, neighbour = trial.packet, "" if trial.next_hop is None else str(trial.next_hop)
    expected = trial.flow is not None
    return str(packet.source), str(packet.target), packet.protocol.value, packet.port, neighbour, expected


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


def _with(one: Tried, seen: Mapping[HostName, Witnessed], edges: Collection[HostName]) -> Tried:
    """Add what hosts on the way saw."""
    packet = one.trial.packet
    key = (str(packet.source), str(packet.target), packet.protocol.value, packet.port)
    crossed = frozenset(host for host in edges if host in seen and key in seen[host].crossed)
    target = seen.get(one.trial.target)
    if target is None:
        return replace(one, crossed=crossed)
    return replace(one, arrived=key in target.arrived, entered=key in target.entered, crossed=crossed)
