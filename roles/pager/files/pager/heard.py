"""Who was heard when, and what each says that it sent. Kept on disk, so that a restart forgets no claim."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import disk
from .look import boottime
from .rules import SILENT

SAVE_S = 10.0
LONG_AGO_S = 1e9


class Heard:
    """The heartbeats that came. Whoever was silent when this began stays silent until it is heard."""

    def __init__(self, path: Path, awaits: tuple[str, ...], *, silent: frozenset[str]) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._told: dict[str, dict[str, Any]] = disk.read(path) or {}
        began = boottime()
        self._at = {name: began - (LONG_AGO_S if f"{SILENT}{name}" in silent else 0.0) for name in awaits}
        self._paged: dict[str, list[str]] = {}
        self._changed, self._saved_at = False, began

    def note(self, host: str, beat: Mapping[str, Any]) -> None:
        """Take a heartbeat.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: it is none.
        """
        told = None if beat["claims"] is None else checked(beat["claims"])
        paged = [str(key) for key in beat["paged"]]
        with self._lock:
            known = self._told.get(host, {}).get("claims", {"jobs": {}, "logs": {}})
            claims = known if told is None else told  # who has not looked yet takes nothing back
            self._changed = self._changed or known != claims
            self._told[host] = {"at": time.time(), "claims": claims}
            self._at[host] = boottime()
            self._paged[host] = paged

    def ages(self, awaits: tuple[str, ...]) -> dict[str, float]:
        """Return how long each was not heard."""
        now = boottime()
        with self._lock:
            return {name: now - self._at[name] for name in awaits}

    def paged(self) -> dict[str, list[str]]:
        """Return which silences each other host told a person of."""
        with self._lock:
            return {name: list(keys) for name, keys in self._paged.items()}

    def save(self) -> None:
        """Write down what changed, at once if it is a claim."""
        with self._lock:
            if not self._changed and boottime() - self._saved_at < SAVE_S:
                return
            disk.place(self.path, self._told)
            self._changed, self._saved_at = False, boottime()


def checked(claims: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a host claims, and nothing besides.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: that can't be meant.
    """
    jobs = {str(job): {"snapshot": one["snapshot"], "parts": list(one["parts"])} for job, one in claims["jobs"].items()}
    logs = {str(scope): reached for scope, reached in claims["logs"].items()}
    if not all(isinstance(word, str) for word in (*(one["snapshot"] for one in jobs.values()), *logs.values())):
        raise TypeError("a snapshot and a segment are named by words")
    return {"jobs": jobs, "logs": logs}
