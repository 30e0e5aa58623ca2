"""Run folders: numbered without gaps, each with its plan and its own copy of every file the plan pins."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import StepMismatch, UsageError
from ..plan.document import plan_document, plan_from_document
from ..plan.model import Plan
from ..run.perform import store_lost

_NAME = re.compile(r"(?P<number>[0-9]{6,})-(?P<name>[A-Za-z0-9_.-]+)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """One run's folder; its name is the run's id."""

    path: Path

    @property
    def id(self) -> str:
        """The run's id in the journal."""
        return self.path.name

    @property
    def number(self) -> int:
        """The run's number."""
        return int(self.path.name.split("-", 1)[0])

    @property
    def files(self) -> Path:
        """The run's copy of what its plan pins."""
        return self.path / "files"

    @property
    def records(self) -> Path:
        """Where raw records go."""
        return self.path / "records"

    def has_plan(self) -> bool:
        """Say whether this is a run of a plan (a drill's folder holds records only)."""
        return (self.path / "plan.json").is_file()

    def verdict(self) -> str:
        """Return what a drill was judged to be, or nothing if it never came to that."""
        try:
            result = json.loads((self.path / "evidence" / "result.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return ""
        return str(result.get("verdict", "")) if isinstance(result, dict) else ""

    def keep_author(self, document: Mapping[str, object]) -> None:
        """Write down who answers for the run's runbook, or why nobody does.

        Raises:
            JournalError: the disk is full or can't be written.
        """
        with _disk():
            _write(self.path / "author.json", json.dumps(document, indent=1, sort_keys=True))

    def plan(self) -> Plan:
        """Return the plan this run was begun with, its copies checked against its pins.

        Raises:
            StepMismatch: the plan or a pinned file is not what was approved.
        """
        plan = plan_from_document(json.loads((self.path / "plan.json").read_text()))
        for name, digest in plan.pins.items():
            copy = self.files / name
            if not copy.is_file() or hashlib.sha256(copy.read_bytes()).hexdigest() != digest:
                raise StepMismatch(
                    f"{copy} is not the file that run {self.id} was begun with",
                    not_done="nothing was performed",
                    next_step="restore it, or abort the run and start a new one",
                )
        return plan


class Folders:
    """All run folders of one estate's state."""

    def __init__(self, state: Path) -> None:
        """Touch nothing yet."""
        self._runs = state / "runs"

    def all(self) -> Sequence[RunFolder]:
        """Return every run's folder by number."""
        if not self._runs.is_dir():
            return ()
        found = [RunFolder(path=path) for path in self._runs.iterdir() if _NAME.match(path.name)]
        return sorted(found, key=lambda folder: folder.number)

    def find(self, word: str) -> RunFolder:
        """Return the run that a person names by number or by full name.

        Raises:
            UsageError: there is none; the last ones are listed.
        """
        for folder in self.all():
            if word == folder.id or (word.isdigit() and int(word) == folder.number):
                return folder
        last = ", ".join(folder.id for folder in self.all()[-5:])
        raise UsageError(f"there is no run {word!r}", next_step=f"the last runs: {last or 'none yet'}")

    def make(self, name: str) -> RunFolder:
        """Make the next run's folder, for records alone. The caller holds the estate's lock.

        Raises:
            JournalError: the disk is full or can't be written.
        """
        with _disk():
            return self._take(name, self._prepared())

    def make_for(self, plan: Plan, *, root: Path) -> RunFolder:
        """Make the next run's folder with its plan and a copy of every pinned file under ``root``.

        Raises:
            JournalError: the disk is full or can't be written.
            StepMismatch: a pinned file changed since the plan was built.
        """
        with _disk():
            folder = self._prepared()
            _write(folder / "plan.json", json.dumps(plan_document(plan), indent=1, sort_keys=True))
            for name in plan.pins:
                copy = folder / "files" / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(root / name, copy)
            RunFolder(path=folder).plan()
            return self._take(plan.runbook, folder)

    def _prepared(self) -> Path:
        new = self._runs / ".new"
        shutil.rmtree(new, ignore_errors=True)
        (new / "records").mkdir(parents=True)
        (new / "files").mkdir()
        return new

    def _take(self, name: str, prepared: Path) -> RunFolder:
        """A number is taken by renaming a finished folder, so a number without a whole folder can't exist."""
        number = max((folder.number for folder in self.all()), default=0) + 1
        path = self._runs / f"{number:06d}-{name}"
        prepared.rename(path)
        _sync(self._runs)
        return RunFolder(path=path)


def _write(path: Path, text: str) -> None:
    with path.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise store_lost(error) from error
