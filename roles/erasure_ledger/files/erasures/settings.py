"""What a host is told: who keeps the ledger, who may add to it, and who may read customers' keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONFIGURATION = Path("/etc/secondsite-erasures/settings.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeper:
    """A host that keeps the ledger: by address, and believed by its name. ``apart``: in neither datacenter."""

    name: str
    address: str
    port: int
    apart: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What one host is told. ``keepers`` has those of the host's own site first; it is empty where nobody keeps a ledger."""

    host: str
    keepers: tuple[Keeper, ...]
    writers: frozenset[str]
    readers_of_keys: frozenset[str]
    databases: Mapping[str, Any]
    backups_days: int
    tls: Mapping[str, str]

    @property
    def others(self) -> tuple[Keeper, ...]:
        """Return every keeper but this host."""
        return tuple(one for one in self.keepers if one.name != self.host)

    @property
    def own(self) -> Keeper:
        """Return this host as a keeper.

        Raises:
            KeyError: it is none.
        """
        return {one.name: one for one in self.keepers}[self.host]


def load(path: Path = CONFIGURATION) -> Settings:
    """Return the settings.

    Raises:
        KeyError, TypeError, ValueError: they are not complete.
    """
    told: dict[str, Any] = json.loads(path.read_text())
    return Settings(
        host=told["host"],
        keepers=tuple(Keeper(**one) for one in told["keepers"]),
        writers=frozenset(told["writers"]),
        readers_of_keys=frozenset(told["readers_of_keys"]),
        databases=told["databases"],
        backups_days=told["backups_days"],
        tls=told["tls"],
    )
