"""Facts, findings and checks: nouns only."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..estate.model import Estate, Host, HostName

# What a host told, as plain JSON values. It is hostile: a rule that trips over it makes its check unknown.
Facts = Mapping[str, Any]


class State(enum.Enum):
    """What is known of a check. Unknown is never passed."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One part of what a host told; ``trouble`` says why there is none."""

    value: Any = None
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a rule saw at one place. ``difference`` names what may be declared in the estate's ``differences``."""

    state: State
    saw: str
    hosts: tuple[HostName, ...] = ()
    difference: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Twins: the hosts of the two datacenters that do the same there."""

    role: str
    first: Host
    second: Host

    @property
    def names(self) -> tuple[HostName, HostName]:
        """Both hosts' names."""
        return self.first.name, self.second.name


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything that was told in one round.

    ``outside`` is what the controller saw by itself. A section of it with a part for each host is read like what that
    host told, with a ``@`` before its name.
    """

    estate: Estate
    now: dt.datetime
    hosts: Mapping[HostName, Mapping[str, Section]]
    outside: Mapping[str, Section] = field(default_factory=dict)

    def section(self, host: HostName, name: str) -> Section:
        """Return one section; one that nobody told is in trouble, not empty."""
        untold = Section(trouble="nothing was told")
        if name.startswith("@"):
            seen = self.outside.get(name[1:], untold)
            parts = seen.value if isinstance(seen.value, Mapping) else {}
            return seen if seen.trouble else parts.get(host, untold)
        return self.hosts.get(host, {}).get(name, untold)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A probe with an expectation. ``reads`` are the sections it needs of hosts in ``groups`` (none: of all).

    ``outside`` are the sections it needs of what the controller saw by itself. ``judge`` yields what it finds; a check
    that found nothing to look at is unknown.
    """

    id: str
    title: str
    expected: str
    fix: str
    tags: frozenset[str]
    commitments: tuple[str, ...]
    controls: tuple[str, ...]
    reads: tuple[str, ...]
    groups: frozenset[str]
    judge: Callable[[World], Iterator[Finding]]
    outside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How one check came out. ``differences`` names those it saw, whether declared or not."""

    check: Check
    state: State
    saw: str
    hosts: tuple[HostName, ...]
    fix: str
    differences: frozenset[str] = frozenset()


class Place(enum.Enum):
    """Where a fault is planted."""

    PRIMARY = "primary"
    SECONDARY = "secondary"
    ANYWHERE = "anywhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sabotage:
    """A fault to plant, and what must notice it.

    ``script`` is shell with two functions, ``inject`` and ``revert``, run as root on the first host of the first of
    ``groups`` that has one there. ``may_red`` are checks that may turn red or unknown besides; every other check
    must stay as it was.
    """

    id: str
    title: str
    groups: tuple[str, ...]
    at: Place
    script: str
    expect_red: frozenset[str]
    may_red: frozenset[str]
    within: dt.timedelta
    source: str
