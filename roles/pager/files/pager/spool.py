"""Pages on their way: on disk from the moment they are due until every way took them.

Where the disk takes nothing more a person must be told all the more: such a page is kept in memory, and sent from there.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import disk
from .rules import Page, checked
from .settings import WAYS

SENT_KEPT = 200


class Spool:
    """The pages of one host. A page that one way took waits for the other one only."""

    def __init__(self, folder: Path) -> None:
        self.waiting, self.sent = folder / "spool", folder / "sent"
        for path in (self.waiting, self.sent):
            path.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._unwritten: dict[str, dict[str, Any]] = {}

    def put(self, page: Page) -> None:
        """Keep a page until it is sent; the same one again is the same one."""
        with self._lock:
            if not (self.waiting / f"{page.id}.json").exists() and not (self.sent / f"{page.id}.json").exists():
                self._keep({**asdict(page), "delivered": {}})

    def pending(self) -> list[dict[str, Any]]:
        """Return what waits, oldest first. What is no page is left lying, and keeps no other one from being sent."""
        with self._lock:
            unwritten = {name: dict(page) for name, page in self._unwritten.items()}
        found = [disk.read(path) for path in sorted(self.waiting.glob("[!.]*.json"))]
        written = [page for page in found if _is_waiting(page) and page["id"] not in unwritten]
        return sorted([*written, *unwritten.values()], key=lambda page: str(page["id"]))

    def mark(self, page: str, way: str, *, at: float) -> None:
        """Note that a way took a page, and put it away when all did."""
        with self._lock:
            told = self._unwritten.get(page) or disk.read(self.waiting / f"{page}.json")
            if not _is_waiting(told):
                return
            told["delivered"][way] = at
            self._keep(told)
            if told["delivered"].keys() >= set(WAYS):
                self._put_away(page)

    def drop(self, page: str) -> None:
        """Forget a page that nobody needs any more."""
        with self._lock:
            self._unwritten.pop(page, None)
            (self.waiting / f"{page}.json").unlink(missing_ok=True)

    def was_told(self, page: str) -> bool:
        """Say whether some way took the page."""
        with self._lock:
            told = self._unwritten.get(page) or disk.read(self.waiting / f"{page}.json")
        return bool(told["delivered"]) if _is_waiting(told) else (self.sent / f"{page}.json").exists()

    def _keep(self, page: dict[str, Any]) -> None:
        try:
            disk.place(self.waiting / f"{page['id']}.json", page, durable=page["kind"] != "test")
            self._unwritten.pop(page["id"], None)
        except OSError as error:
            print(f"{page['id']} is kept in memory only: {error}", file=sys.stderr, flush=True)
            self._unwritten[page["id"]] = page

    def _put_away(self, page: str) -> None:
        self._unwritten.pop(page, None)
        path = self.waiting / f"{page}.json"
        with contextlib.suppress(FileNotFoundError):  # it was never written
            path.replace(self.sent / path.name)
        forget(sorted(self.sent.glob("[!.]*.json")), keep=SENT_KEPT)


def _is_waiting(page: Any) -> bool:
    try:
        checked(page)
    except ValueError:
        return False
    return isinstance(page.get("delivered"), dict)


def forget(paths: Sequence[Path], *, keep: int) -> None:
    """Remove all but the last of these."""
    for path in paths[:-keep] if len(paths) > keep else ():
        path.unlink(missing_ok=True)
