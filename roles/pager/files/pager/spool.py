"""Pages on their way: on disk from the moment they are due until every way took them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import disk
from .rules import Page
from .settings import IDENTIFIER, WAYS

SENT_KEPT = 200


class Spool:
    """The pages of one host. A page that one way took waits for the other one only."""

    def __init__(self, folder: Path) -> None:
        self.waiting, self.sent = folder / "spool", folder / "sent"
        for path in (self.waiting, self.sent):
            path.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()

    def put(self, page: Page) -> None:
        """Keep a page until it is sent; the same one again is the same one."""
        path = self.waiting / f"{page.id}.json"
        with self._lock:
            if not path.exists() and not (self.sent / path.name).exists():
                disk.place(path, {**asdict(page), "delivered": {}}, durable=page.kind != "test")

    def pending(self) -> list[dict[str, Any]]:
        """Return what waits, oldest first."""
        found = [disk.read(path) for path in sorted(self.waiting.glob("[!.]*.json"))]
        return [one for one in found if one is not None and IDENTIFIER.fullmatch(str(one.get("id")))]

    def mark(self, page: str, way: str, *, at: float) -> None:
        """Note that a way took a page, and put it away when all did."""
        with self._lock:
            path = self.waiting / f"{page}.json"
            if (told := disk.read(path)) is None:
                return
            told["delivered"][way] = at
            disk.place(path, told, durable=told["kind"] != "test")
            if told["delivered"].keys() >= set(WAYS):
                self._put_away(path)

    def drop(self, page: str) -> None:
        """Forget a page that nobody needs any more."""
        with self._lock:
            (self.waiting / f"{page}.json").unlink(missing_ok=True)

    def was_told(self, page: str) -> bool:
        """Say whether some way took the page."""
        told = disk.read(self.waiting / f"{page}.json")
        return bool(told["delivered"]) if told else (self.sent / f"{page}.json").exists()

    def _put_away(self, path: Path) -> None:
        path.replace(self.sent / path.name)
        forget(sorted(self.sent.glob("[!.]*.json")), keep=SENT_KEPT)


def forget(paths: Sequence[Path], *, keep: int) -> None:
    """Remove all but the last of these."""
    for path in paths[:-keep] if len(paths) > keep else ():
        path.unlink(missing_ok=True)
