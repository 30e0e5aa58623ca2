"""What production is declared to be: nouns only. Every number rests on somebody's word."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """A number of production, and whose word it is. Amounts are whole things or bytes, rates bytes a second."""

    value: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """What takes time and can't be tried here: people, procurement, travel. It begins when all of ``after`` ended.

    ``at_most`` is believed to be exceeded once in twenty times at the most.
    """

    expected: dt.timedelta
    at_most: dt.timedelta
    source: str
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Production:
    """What a cold restart would have to bring back in production, over which links, and what it would wait for.

    ``amounts`` is by what there is (``databases`` and ``files`` in bytes, ``number-of-files``, ``hosts``), ``rates`` by
    what limits it (``vault-link``, ``disk``). What is missing here is not assumed.
    """

    target: dt.timedelta
    amounts: Mapping[str, Stated]
    rates: Mapping[str, Stated]
    waits: Mapping[str, Wait]
