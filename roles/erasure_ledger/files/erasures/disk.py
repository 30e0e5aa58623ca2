"""A keeper's shelf: the chain of records, and customers' keys. Files are there as a whole or not at all, and then for good."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from . import rules
from .rules import Entry, Record, Wrong

STATE = Path("/var/lib/secondsite-erasures")
IDENTITY = re.compile(r"AGE-SECRET-KEY-1[A-Z0-9]{58}")
RECIPIENT = re.compile(r"age1[a-z0-9]{58}")
_NUMBERED = re.compile(r"[0-9]{8}\.json")


def place(path: Path, raw: bytes) -> None:
    """Make a file hold this, also after a power cut in the next moment."""
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync(path.parent)


def sync(folder: Path) -> None:
    """Put a folder's names on disk."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def own_id(state: Path) -> str:
    """Return the id of the chain that is kept here; it is drawn when the chain begins."""
    path = state / "keeper"
    if not path.exists():
        if any((state / "ledger").glob("[0-9]*")):
            raise Wrong("there are records, and nothing says whose")
        place(path, f"{secrets.token_hex(16)}\n".encode())
    return path.read_text().strip()


def read_chain(state: Path) -> tuple[str, list[Record]]:
    """Return the id of the chain here, and its records.

    Raises:
        Wrong: a record can't be read, is missing, or does not follow the one before.
    """
    keeper, records = own_id(state), []
    for name in sorted(one for one in os.listdir(state / "ledger") if _NUMBERED.fullmatch(one)):
        try:
            records.append(rules.read_record((state / "ledger" / name).read_bytes()))
        except Wrong as error:
            raise Wrong(f"{name}: {error}") from error
        if name != f"{records[-1].number:08}.json":
            raise Wrong(f"{name} holds record {records[-1].number}")
    rules.head_of(records, keeper=keeper)
    return keeper, records


class Shelf:
    """What is kept here. One process writes; each record and key is on disk when it is answered for."""

    def __init__(self, state: Path = STATE) -> None:
        """Read it.

        Raises:
            Wrong: the chain is broken.
        """
        self.state = state
        for name in ("ledger", "keys"):
            (state / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        self.lock = threading.RLock()
        self.keeper, self.records = read_chain(state)
        self.head = rules.head_of(self.records, keeper=self.keeper)
        self._known = {record.entry.id for record in self.records}
        self._gone = rules.erased(rules.standing(record.entry for record in self.records))
        for subject in self._gone:  # the machine may have stopped between a record and its effect
            self.destroy(subject)

    def about(self) -> dict[str, Any]:
        """Return whose chain this is, how long, and its last digest."""
        with self.lock:
            return {"keeper": self.keeper, "number": len(self.records), "head": self.head}

    def add(self, entries: Iterable[Entry], *, now: float) -> int:
        """Keep what is not kept yet, and destroy the keys of who was erased; return how many were new.

        Raises:
            Wrong: the chain on disk is not the one that was read: nothing is added to it.
        """
        new = 0
        with self.lock:
            for entry in entries:
                if entry.id in self._known:
                    continue
                self._append(entry, now)
                new += 1
            if new:
                self._gone = rules.erased(rules.standing(record.entry for record in self.records))
                for subject in self._gone:
                    self.destroy(subject)
        return new

    def _append(self, entry: Entry, now: float) -> None:
        last = self.state / "ledger" / f"{len(self.records):08}.json"
        if self.records and (not last.exists() or last.read_bytes() != rules.canonical(self.records[-1].words())):
            raise Wrong(f"record {len(self.records)} is not what this keeper wrote: nothing is added to it")
        record = rules.next_record(entry, number=len(self.records), head=self.head, now=now)
        path = self.state / "ledger" / f"{record.number:08}.json"
        if path.exists():
            raise Wrong(f"record {record.number} stands there, and this keeper did not write it")
        place(path, rules.canonical(record.words()))
        self.records.append(record)
        self.head = record.digest
        self._known.add(entry.id)

    def after(self, number: int) -> list[Record]:
        """Return the records after so many."""
        with self.lock:
            return self.records[max(number, 0) :]

    def entries(self) -> list[Entry]:
        """Return every entry."""
        with self.lock:
            return [record.entry for record in self.records]

    # Keys

    def is_erased(self, subject: str) -> bool:
        """Say whether nothing of an account may be read any more."""
        with self.lock:
            return subject in self._gone

    def add_key(self, key: Mapping[str, Any]) -> bool:
        """Keep a key, unless whose it is was erased; say whether it is kept.

        Raises:
            Wrong: it is none.
        """
        checked = key_in(key)
        with self.lock:
            if checked["subject"] in self._gone:
                return False
            folder = self.state / "keys" / checked["subject"]
            path = folder / f"{checked['recipient']}.json"
            if not path.exists():
                folder.mkdir(mode=0o700, exist_ok=True)
                place(path, json.dumps(checked, sort_keys=True).encode())
                sync(folder.parent)
        return True

    def keys_of(self, subject: str) -> list[dict[str, Any]]:
        """Return an account's keys, newest first."""
        if not rules.SUBJECT.fullmatch(subject):
            raise Wrong("that is no account's id")
        with self.lock:
            found = [json.loads(path.read_bytes()) for path in (self.state / "keys" / subject).glob("[!.]*.json")]
        return sorted(found, key=lambda one: (one["made"], one["recipient"]), reverse=True)

    def kept_keys(self) -> Iterator[tuple[str, str]]:
        """Yield whose keys are kept, and which."""
        with self.lock:
            paths = sorted((self.state / "keys").glob("*/[!.]*.json"))
        yield from ((path.parent.name, path.stem) for path in paths)

    def destroy(self, subject: str) -> None:
        """Overwrite and remove an account's keys. What a disk keeps of overwritten blocks is out of our hands."""
        folder = self.state / "keys" / subject
        if not rules.SUBJECT.fullmatch(subject) or not folder.is_dir():
            return
        for path in folder.iterdir():
            with path.open("r+b") as file:
                file.write(secrets.token_bytes(max(path.stat().st_size, 512)))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
        sync(folder)
        folder.rmdir()
        sync(folder.parent)

    # What others' chains were when they were last seen

    def seen(self, name: str) -> dict[str, Any] | None:
        """Return what a keeper's chain was when it was last read from here."""
        with contextlib.suppress(FileNotFoundError):
            return dict(json.loads((self.state / f"seen-{name}.json").read_bytes()))
        return None

    def saw(self, name: str, about: Mapping[str, Any]) -> None:
        """Remember what a keeper's chain is now."""
        place(self.state / f"seen-{name}.json", json.dumps(dict(about), sort_keys=True).encode())


def key_in(words: Any) -> dict[str, Any]:
    """Return a key that was brought.

    Raises:
        Wrong: it is none.
    """
    try:
        key = {name: words[name] for name in ("subject", "identity", "recipient", "made")}
        right = (
            set(words) == set(key)
            and rules.SUBJECT.fullmatch(key["subject"])
            and IDENTITY.fullmatch(key["identity"])
            and RECIPIENT.fullmatch(key["recipient"])
        )
        key["made"] = float(key["made"])
    except (KeyError, TypeError, ValueError) as error:
        raise Wrong(f"that is no key: {error}") from error
    if not right:
        raise Wrong("that is no key")
    return key
