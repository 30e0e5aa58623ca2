"""What a host is told: what to look at, whom to tell, and by which ways."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONFIGURATION = Path("/etc/secondsite-pager/settings.json")
RUN = Path("/run/secondsite-pager")
STATE = Path("/var/lib/secondsite-pager")
MAIL, WEBHOOK = "mail", "webhook"
WAYS = (MAIL, WEBHOOK)
IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A host that somebody is told at: by address, and believed by its name."""

    name: str
    address: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What is looked at here. ``wanted`` are pairs of a job and what its newest snapshot must be of; ages are in seconds."""

    jobs: tuple[str, ...]
    logs: Mapping[str, str]
    repository: str | None
    stanzas: tuple[str, ...]
    snapshots: str | None
    wanted: tuple[tuple[str, str], ...]
    oldest: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What one host does. ``relays`` also wait for heartbeats; ``tells`` are all to whom this host sends its own."""

    host: str
    listens: Place | None
    sender: str
    persons: tuple[str, ...]
    ways: Mapping[str, Place]
    relays: tuple[Place, ...]
    tells: tuple[Place, ...]
    senders: frozenset[str]
    awaits: tuple[str, ...]
    receives: bool
    look_s: float
    silence_s: float
    repeat_s: float
    watched: Watched
    tls: Mapping[str, str]

    @property
    def relays_pages(self) -> bool:
        """Say whether others may have their pages sent on from here."""
        return any(one.name == self.host for one in self.relays)


def load(path: Path = CONFIGURATION) -> Settings:
    """Return the settings.

    Raises:
        KeyError, TypeError, ValueError: they are not complete.
    """
    told: dict[str, Any] = json.loads(path.read_text())
    watched = told["watched"]
    return Settings(
        host=told["host"],
        listens=Place(**told["listens"]) if told["listens"] else None,
        sender=told["sender"],
        persons=tuple(told["persons"]),
        ways={way: Place(**told["ways"][way]) for way in WAYS},
        relays=tuple(Place(**one) for one in told["relays"]),
        tells=tuple(Place(**one) for one in told["tells"]),
        senders=frozenset(told["senders"]),
        awaits=tuple(told["awaits"]),
        receives=told["receives"],
        look_s=told["look_s"],
        silence_s=told["silence_s"],
        repeat_s=told["repeat_s"],
        watched=Watched(
            jobs=tuple(watched["jobs"]),
            logs=watched["logs"],
            repository=watched["repository"],
            stanzas=tuple(watched["stanzas"]),
            snapshots=watched["snapshots"],
            wanted=tuple((job, what) for job, what in watched["wanted"]),
            oldest=watched["oldest"],
        ),
        tls=told["tls"],
    )
