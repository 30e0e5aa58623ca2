"""Customers' documents: each customer's are sealed for a key of his own, so that who destroys it erases every copy.

The keys are with the keepers of the erasure ledger, never here: one is fetched for each document that is opened, and is on
no disk of a store and in no backup. To seal takes only its public half. What is below ``customers/ACCOUNT/`` is so kept.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import disk
from .house import House, NotNow
from .kept import Kept
from .rules import Role

FOLDER = "customers"
SUBJECT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
FORGET_EVERY_S = 3.0
_TIMEOUT_S = 20.0
_GONE = 410


class Gone(Exception):
    """Whose it is was erased: nobody can open it any more."""


class Customers:
    """The keys of customers' documents, as the ledger's keepers have them. ``ledger`` is None where nobody keeps one."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger

    @property
    def has_ledger(self) -> bool:
        """Say whether anybody keeps keys."""
        return self._ledger is not None

    def seal(self, subject: str, document: bytes) -> bytes:
        """Return a document sealed for a customer; a key is made for one who has none.

        Raises:
            Gone: the customer was erased.
            NotNow: no majority of the keepers answers.
        """
        keys = self._keys(subject)
        recipient = keys[0]["recipient"] if keys else self._made(subject)
        return _age(["--encrypt", "--recipient", recipient], document)

    def open(self, subject: str, sealed: bytes) -> bytes:
        """Return a document as it was before it was sealed.

        Raises:
            Gone: the customer was erased.
            NotNow: no keeper answers that has the key.
        """
        keys = self._keys(subject)
        if not keys:
            raise NotNow("no keeper that answers has the key")
        reading, writing = os.pipe()
        try:
            with os.fdopen(writing, "wb") as pipe:  # a pipe takes it whole: it is in no argument, and on no disk
                pipe.write("".join(f"{key['identity']}\n" for key in keys).encode())
            return _age(["--decrypt", "--identity", f"/proc/self/fd/{reading}"], sealed, pass_fds=(reading,))
        finally:
            os.close(reading)

    def erased(self, subjects: Sequence[str]) -> list[str]:
        """Return those of these customers that the ledger says were erased.

        Raises:
            NotNow: no keeper answers.
        """
        if not subjects:
            return []
        answers = self._needed().erased(subjects)
        if not answers.given:
            raise NotNow(answers.why())
        return sorted({one for words in answers.given.values() for one in words["erased"]} & set(subjects))

    def _needed(self) -> Any:
        if self._ledger is None:
            raise NotNow("nobody here keeps the keys of customers' documents")
        return self._ledger

    def _keys(self, subject: str) -> list[dict[str, Any]]:
        """Return a customer's keys, newest first; none only if a majority has none."""
        ledger, without = self._needed(), 0
        for _, said in ledger.keys(subject):
            if not isinstance(said, Mapping):
                if said.code == _GONE:
                    raise Gone("the key was destroyed: the customer was erased")
                continue
            if said["keys"]:
                return list(said["keys"])
            without += 1
        if without < ledger.majority:
            raise NotNow("too few keepers of keys answer")
        return []

    def _made(self, subject: str) -> str:
        """Make a key, have a majority keep it, and return its public half."""
        made = subprocess.run(
            ["age-keygen"], check=True, capture_output=True, text=True, timeout=_TIMEOUT_S, stdin=subprocess.DEVNULL
        ).stdout
        identity = re.search(r"^(AGE-SECRET-KEY-1\S+)$", made, re.MULTILINE)
        recipient = re.search(r"^# public key: (age1\S+)$", made, re.MULTILINE)
        if identity is None or recipient is None:
            raise NotNow("age-keygen made no key")
        key = {"subject": subject, "identity": identity[1], "recipient": recipient[1], "made": time.time()}
        try:
            self._needed().add_key(key)
        except Exception as error:
            if type(error).__name__ != "NotKept":
                raise
            raise NotNow(f"too few keepers took the key: {error}") from error
        return recipient[1]


def _age(words: list[str], document: bytes, pass_fds: tuple[int, ...] = ()) -> bytes:
    ended = subprocess.run(
        ["age", *words], input=document, capture_output=True, check=False, timeout=_TIMEOUT_S, pass_fds=pass_fds
    )
    if ended.returncode != 0:
        raise NotNow(f"age: {ended.stderr[-200:].decode(errors='replace').strip()}")
    return ended.stdout


def from_settings() -> Customers:
    """Return the keys as this host is told of their keepers."""
    try:
        from erasures import calls, settings
    except ImportError:  # an estate whose stores know no ledger
        return Customers(None)
    told = settings.load()
    return Customers(calls.Ledger(told) if told.keepers else None)


def subjects_in(folder: Path) -> list[str]:
    """Return whose documents lie below a workload's folder."""
    place = folder / FOLDER
    return sorted(one.name for one in place.iterdir() if SUBJECT.fullmatch(one.name)) if place.is_dir() else []


class Forgetting:
    """Removes the documents of whoever was erased, while this host is the primary; the other site's copy follows.

    They can't be opened any more, wherever they are; this is so that nobody keeps what nobody can use.
    """

    def __init__(self, house: House, kept: Kept, customers: Customers) -> None:
        self._house, self._kept, self._customers = house, kept, customers

    def for_ever(self) -> None:
        """Look again and again."""
        while self._customers.has_ledger:
            if self._house.role(self._kept.name) is Role.PRIMARY:
                try:
                    self.once()
                except (NotNow, OSError, ValueError) as error:
                    self._house.note("forgetting who was erased", str(error))
                else:
                    self._house.note("forgetting who was erased", "")
            time.sleep(FORGET_EVERY_S)

    def once(self) -> None:
        """Remove what is there of anybody erased."""
        for subject in self._customers.erased(subjects_in(self._kept.folder)):
            with self._house.writing(self._kept.name):
                shutil.rmtree(self._kept.folder / FOLDER / subject)
                disk.sync_directory(self._kept.folder / FOLDER)
            for aside in (self._house.settings.root / ".kept").glob(f"*/{FOLDER}/{subject}"):
                shutil.rmtree(aside)
            self._kept.due.set()
