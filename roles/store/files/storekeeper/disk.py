"""Writing so that it is there after a power cut, and the little that a host must remember of each workload."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path


def keep(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all, and on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{threading.get_ident()}.new")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_directory(path.parent)


def move(path: Path, target: Path) -> None:
    """Move a file; on disk when this returns. It must be there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    path.replace(target)
    sync_directory(target.parent)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Put a directory's entries on disk."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What is known here of a workload. ``through``: this copy holds everything up to then (the primary's clock)."""

    epoch: int = 0
    through: float | None = None
    through_epoch: int = 0


class Memories:
    """One small file per workload, beside the data."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, Memory] = {}
        self._lock = threading.Lock()

    def of(self, workload: str) -> Memory:
        """Return what is known."""
        with self._lock:
            if workload not in self._known:
                file = self._folder / f"{workload}.json"
                self._known[workload] = Memory(**json.loads(file.read_text())) if file.exists() else Memory()
            return self._known[workload]

    def note_epoch(self, workload: str, epoch: int) -> None:
        """Remember the newest epoch, on disk."""
        known = self.of(workload)
        if epoch > known.epoch:
            self._set(workload, Memory(epoch=epoch, through=known.through, through_epoch=known.through_epoch), True)

    def note_through(self, workload: str, through: float, epoch: int) -> None:
        """Remember up to when this copy is whole; on disk only when the epoch is new, as it changes every second."""
        known = self.of(workload)
        new = Memory(epoch=max(epoch, known.epoch), through=through, through_epoch=epoch)
        self._set(workload, new, new.epoch != known.epoch or known.through_epoch != epoch)

    def _set(self, workload: str, memory: Memory, durable: bool) -> None:
        with self._lock:
            if durable:
                keep(self._folder / f"{workload}.json", json.dumps(asdict(memory)).encode())
            self._known[workload] = memory
