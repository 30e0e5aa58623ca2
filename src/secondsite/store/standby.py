"""A copy of a controller's state, from which another controller can go on: made while the first one works.

In it are the journal, every run's plan, the own files of the runs that are open, the estate's sealed secrets, standing
orders, what is known of hosts, machines and persons, and a stop in force, which holds for whoever takes over too. Not
in it is any key, of whatever kind: neither those that log in nor those that consent, nor an identity that opens what is
sealed. Whoever has the copy has nothing before two holders open escrow.
"""

from __future__ import annotations

import contextlib
import io
import sqlite3
import tarfile
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from ..errors import JournalError, UsageError
from .runs import JOURNAL_NAME
from .stops import HISTORY_NAME, STOP_NAME

OPENINGS = "escrow-openings.jsonl"
"""Who opened escrow, when and what for: a line each."""
SECRETS = "secrets"
_WHOLE = ("standing-orders", "signed-runbooks")
_FILES = (
    "keys/pins",
    "keys/known_hosts",
    "keys/revoked",
    "machines.json",
    "kit.json",
    STOP_NAME,
    HISTORY_NAME,
    OPENINGS,
)
_PUBLIC = ("keys/ops/*.pub", "keys/runner/*.pub", "keys/ca/*.pub", "keys/hosts/*.pub", "approvers/*.pub")
_ALLOWED = "approvers/allowed_signers"
_SEALED = (
    "recipients",
    "holders",
    "*.age",
    "ca/**/*.crt",
    "escrow/manifest.json",
    "escrow/opened.json",
    "escrow/*.age",
)
_LARGEST = 256 << 20


def pack(state: Path, *, open_runs: Collection[str], secrets: Path | None = None) -> bytes:
    """Return the copy as a compressed archive. The journal in it is of one instant.

    ``secrets`` is where sealed files lie, if not in the state itself; only what is sealed or public is taken of it.

    Raises:
        JournalError: the journal can't be read, or the copy can't be made.
    """
    try:
        return _packed(state, open_runs, secrets or state / SECRETS)
    except OSError as error:
        raise JournalError(f"{state} can't be copied: {error}") from error


def _packed(state: Path, open_runs: Collection[str], secrets: Path) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as archive, tempfile.TemporaryDirectory() as scratch:
        journal = Path(scratch) / JOURNAL_NAME
        _copy_journal(state / JOURNAL_NAME, journal)
        archive.add(journal, arcname=JOURNAL_NAME)
        chosen = {path: str(path.relative_to(state)) for path in _chosen(state, open_runs)}
        chosen |= {path: f"{SECRETS}/{path.relative_to(secrets)}" for path in _matching(secrets, _SEALED)}
        for path, name in chosen.items():
            with contextlib.suppress(FileNotFoundError):  # a partial file, put in place by its name since it was listed
                _add(archive, path, name=name)
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
    yield from (state / name for name in (*_FILES, _ALLOWED) if (state / name).is_file())
    yield from _matching(state, _PUBLIC)
    for run in sorted((state / "runs").glob("[0-9]*")):
        wanted = run.rglob("*") if run.name in open_runs else run.glob("plan.json")
        yield from sorted(path for path in wanted if path.is_file() and "work" not in path.relative_to(run).parts)


def _matching(folder: Path, patterns: Sequence[str]) -> Iterator[Path]:
    """Yield the files of these names, none of which begins with a dot: those are not whole yet."""
    for pattern in patterns:
        yield from (one for one in sorted(folder.glob(pattern)) if one.is_file() and not one.name.startswith("."))


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
