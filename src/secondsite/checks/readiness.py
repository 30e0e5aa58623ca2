"""Whether what was last seen of an estate lets operations be moved: facts in, what is in the way out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .model import State

LOOKED_AT = "READINESS"
"""The name under which it can be overridden that nobody looked for too long."""

LASTS = dt.timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How one check came out when it was last made. ``hosts`` are those that it is about, none: all of them."""

    id: str
    state: State
    saw: str
    hosts: tuple[str, ...]
    at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """One thing that is in the way, by the name under which it can be overridden."""

    check: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A person's word that one obstacle is to be passed, and why."""

    check: str
    why: str
    who: str
    reason: str


def obstacles(kept: Sequence[Kept], *, lost: Collection[str], now: dt.datetime) -> Iterator[Obstacle]:
    """Yield everything in the way of moving operations away from the hosts in ``lost``.

    What is wrong with nothing but those hosts is no obstacle: it is why operations leave. Unknown is not passed.
    """
    if not kept:
        yield Obstacle(check=LOOKED_AT, why="no check of this estate was ever made from here")
        return
    oldest = min(one.at for one in kept)
    if not dt.timedelta(0) <= now - oldest <= LASTS:
        yield Obstacle(check=LOOKED_AT, why=f"the checks were last all made at {oldest:%Y-%m-%d %H:%M} UTC")
    for one in sorted(kept, key=lambda kept: kept.id):
        concerns_others = not one.hosts or not set(one.hosts) <= set(lost)
        if one.state is not State.PASSED and concerns_others:
            yield Obstacle(check=one.id, why=f"{one.state.value} at {one.at:%Y-%m-%d %H:%M} UTC: {one.saw[:200]}")


def unpassed(found: Sequence[Obstacle], overridden: Mapping[str, str]) -> tuple[Obstacle, ...]:
    """Return the obstacles that nobody overrode by name and with a reason."""
    return tuple(one for one in found if not overridden.get(one.check, "").strip())
