"""A copy of a controller's state, from which another controller can go on: made while the first one works.

In it are the journal, every run's plan, the own files of the runs that are open, the estate's sealed secrets, standing
orders, what is known of hosts, machines and persons, and a stop in force, which holds for whoever takes over too. Not
in it are the keys that log in: whoever takes over makes new ones.
"""

from __future__ import annotations

import contextlib
import io
import sqlite3
import tarfile
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from ..errors import JournalError, UsageError
from .runs import JOURNAL_NAME
from .stops import HISTORY_NAME, STOP_NAME

_WHOLE = ("secrets", "standing-orders", "signed-runbooks", "approvers", "keys/ca", "keys/hosts")
_FILES = ("keys/pins", "keys/known_hosts", "keys/revoked", "machines.json", STOP_NAME, HISTORY_NAME)
_PUBLIC_ONLY = ("keys/ops", "keys/runner")
_LARGEST = 256 << 20


def pack(state: Path, *, open_runs: Collection[str]) -> bytes:
    """Return the copy as a compressed archive. The journal in it is of one instant.

    Raises:
        JournalError: the journal can't be read, or the copy can't be made.
    """
    try:
        return _packed(state, open_runs)
    except OSError as error:
        raise JournalError(f"{state} can't be copied: {error}") from error


def _packed(state: Path, open_runs: Collection[str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as archive, tempfile.TemporaryDirectory() as scratch:
        journal = Path(scratch) / JOURNAL_NAME
        _copy_journal(state / JOURNAL_NAME, journal)
        archive.add(journal, arcname=JOURNAL_NAME)
        for path in _chosen(state, open_runs):
            with contextlib.suppress(FileNotFoundError):  # a partial file, put in place by its name since it was listed
                _add(archive, path, name=str(path.relative_to(state)))
    return out.getvalue()


def _add(archive: tarfile.TarFile, path: Path, *, name: str) -> None:
    """Add what a file holds when it is read: one that is being written may be shorter than it was a moment before."""
    about, content = path.stat(), path.read_bytes()
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = len(content), int(about.st_mtime), about.st_mode & 0o777
    archive.addfile(member, io.BytesIO(content))


def _copy_journal(journal: Path, copy: Path) -> None:
    try:
        source = sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=30)
        target = sqlite3.connect(copy)
        try:
            source.backup(target)
        finally:
            source.close()
            target.close()
    except sqlite3.Error as error:
        raise JournalError(f"{journal} can't be copied: {error}") from error


def _chosen(state: Path, open_runs: Collection[str]) -> Iterator[Path]:
    for name in _WHOLE:
        yield from sorted(path for path in (state / name).rglob("*") if path.is_file())
    yield from (state / name for name in _FILES if (state / name).is_file())
    for name in _PUBLIC_ONLY:
        yield from sorted((state / name).glob("*.pub"))
    for run in sorted((state / "runs").glob("[0-9]*")):
        wanted = run.rglob("*") if run.name in open_runs else run.glob("plan.json")
        yield from sorted(path for path in wanted if path.is_file() and "work" not in path.relative_to(run).parts)


def unpack(copy: Path, state: Path) -> None:
    """Lay a copy out as the state of a controller that has none.

    Raises:
        UsageError: there is a journal already, or the copy is none; nothing was laid out.
    """
    if (state / JOURNAL_NAME).exists():
        raise UsageError(
            f"{state} has a journal already: a controller that has its own state takes nothing over",
            not_done="nothing was laid out",
            next_step="secondsite runs resume; or name an empty state directory in SECONDSITE_STATE",
        )
    try:
        with tarfile.open(copy, mode="r:gz") as archive:
            members = archive.getmembers()
            if JOURNAL_NAME not in {one.name for one in members} or sum(one.size for one in members) > _LARGEST:
                raise UsageError(f"{copy} is no copy of a controller's state", not_done="nothing was laid out")
            state.mkdir(parents=True, exist_ok=True)
            archive.extractall(state, filter="data")
    except (OSError, tarfile.TarError) as error:
        raise UsageError(f"{copy} can't be laid out: {error}", not_done="the takeover") from error
    for path in state.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    state.chmod(0o700)
