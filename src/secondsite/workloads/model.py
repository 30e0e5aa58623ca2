"""Nouns that every kind of workload shares."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Role(enum.Enum):
    """What a node is for a workload."""

    PRIMARY = "primary"
    STANDBY = "standby"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """What the quorum says of one workload, read linearizably.

    ``in_sync`` names the copies that hold everything ``sync_leader`` ever acknowledged. ``epoch`` counts promotions,
    where the adapter counts them.
    """

    read_at: str
    leader: str | None
    in_sync: tuple[str, ...]
    sync_leader: str | None
    epoch: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """How far a copy is behind its leader: position difference as observed, with its age.

    ``nbytes`` is None where the workload has no positions to compare.
    """

    nbytes: int | None
    seconds: float
    observed_at: float
