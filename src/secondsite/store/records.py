"""The raw records of one run on disk: JSON Lines, append-only, each line whole."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from ..errors import JournalError


class RecordFolder:
    """Writes records into one folder. Safe to use from several threads.

    Lines are handed to the operating system at once; ``close`` makes them durable.
    """

    def __init__(self, folder: Path) -> None:
        """Make the folder."""
        self._folder = folder
        self._files: dict[str, IO[str]] = {}
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def folder(self) -> Path:
        """Where the records are."""
        return self._folder

    def touch(self, *kinds: str) -> None:
        """Begin ``<kind>.jsonl`` for each kind, so that an empty one is told from a missing one."""
        with self._lock:
            for kind in kinds:
                self._file(kind)

    def append(self, kind: str, record: Mapping[str, object]) -> None:
        """Add one line to ``<kind>.jsonl``.

        Raises:
            JournalError: the disk is full or gone.
        """
        line = json.dumps(record, separators=(",", ":"), allow_nan=False)
        with self._lock:
            try:
                self._file(kind).write(f"{line}\n")
            except OSError as error:
                raise self._lost(kind, error) from error

    def append_line(self, kind: str, line: str) -> None:
        """Add a line that another host wrote, as it came; ``measure`` decides what it is worth."""
        with self._lock:
            try:
                self._file(kind).write(line.replace("\n", " ") + "\n")
            except OSError as error:
                raise self._lost(kind, error) from error

    def write(self, name: str, document: object) -> str:
        """Write ``<name>.json`` whole, and return the SHA-256 of its bytes."""
        content = (json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()
        partial = self._folder / f".{name}.json"
        try:
            partial.write_bytes(content)
            partial.replace(self._folder / f"{name}.json")
        except OSError as error:
            raise self._lost(name, error) from error
        return hashlib.sha256(content).hexdigest()

    def close(self) -> None:
        """Close every file."""
        with self._lock:
            for file in self._files.values():
                file.close()
            self._files.clear()

    def _file(self, kind: str) -> IO[str]:
        if kind not in self._files:
            try:
                self._files[kind] = (self._folder / f"{kind}.jsonl").open("a", buffering=1)
            except OSError as error:
                raise self._lost(kind, error) from error
        return self._files[kind]

    def _lost(self, kind: str, error: OSError) -> JournalError:
        return JournalError(
            f"{self._folder / kind}: can't be written: {error.strerror or error}",
            next_step="make room or repair the disk, then secondsite runs resume",
        )
