"""The journal on disk: the one door to DBOS, and to the SQLite file it keeps.

Every attempt at a step is a DBOS workflow of its own, named ``<run>/<step>#<attempt>``. DBOS commits its row before the
effect (the intent) and its return value after it (the result), so nothing depends on the order of calls. Notes (gates,
answers, how a run ended) are rows of a table of ours in the same file, which other processes may append to.

DBOS's own recovery never performs an effect again: each process is an executor of its own name, so it finds nothing to
recover, and a workflow that is started without our effect at hand answers that it is in doubt.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import JournalDamaged, JournalError, LockHeld, SecondsiteError
from .model import Attempt, AttemptKey, Json, Note, NoteKind, StepResult
from .perform import store_lost
from .rules import result_body, result_from

if TYPE_CHECKING:
    from sqlalchemy import Engine

APPLICATION_VERSION = "journal-1"
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "foreign_keys=ON")
_NOTES = """
CREATE TABLE IF NOT EXISTS secondsite_notes (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL,
    UNIQUE (run, kind, name))
"""
_IN_DOUBT = {"in_doubt": True}
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_effects: dict[str, Callable[[], StepResult]] = {}
"""The effects this process is about to bring about, by the name of their attempt."""


class _Lost(BaseException):
    """Carries an error through DBOS without being recorded as the workflow's outcome: the attempt stays in doubt."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Notebook:
    """The notes alone: quick to open, and safe beside a running engine. The command line answers gates through it."""

    def __init__(self, path: Path) -> None:
        """Open the file, and make it if it is not there.

        Raises:
            JournalError: the file can't be opened.
        """
        self._lock = threading.Lock()
        with _store_errors():
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
            for pragma in _PRAGMAS:
                self._db.execute(f"PRAGMA {pragma}")
            self._db.execute(_NOTES)
            if (found := self._db.execute("PRAGMA quick_check(1)").fetchone()) != ("ok",):
                raise damaged(str(found[0]) if found else "it can't be checked")
            self._path, self._inode = path, path.stat().st_ino

    def note(self, run: str, kind: NoteKind, name: str, body: Json) -> bool:
        """Record something once; durable on return."""
        self._must_be_there()
        text = json.dumps(dict(body), sort_keys=True, allow_nan=False)
        with self._lock, _store_errors():
            done = self._db.execute(
                "INSERT INTO secondsite_notes (run, kind, name, body) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (run, kind.value, name, text),
            )
            return done.rowcount == 1

    def notes(self, run: str, *, after: int = 0) -> Sequence[Note]:
        """Return what was recorded of a run after a number, in order."""
        with self._lock, _store_errors():
            rows = self._db.execute(
                "SELECT number, kind, name, body FROM secondsite_notes WHERE run = ? AND number > ? ORDER BY number",
                (run, after),
            ).fetchall()
        return [Note(run=run, kind=NoteKind(k), name=n, body=json.loads(body), number=at) for at, k, n, body in rows]

    def _must_be_there(self) -> None:
        """SQLite goes on writing happily to a file that somebody removed; nobody would ever read it again."""
        with _store_errors():
            if self._path.stat().st_ino != self._inode:
                raise JournalError(f"{self._path} was replaced by another file")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


class DurableJournal(Notebook):
    """The whole journal. One process at a time may hold it; a second one is refused."""

    def __init__(self, path: Path, *, executor: str) -> None:
        """Take the file and start DBOS on it. ``executor`` must be new in every process.

        Raises:
            LockHeld: another process holds this journal.
            JournalError: the file can't be opened.
        """
        self._held = _hold(path)
        super().__init__(path)
        self._executor = executor
        with _store_errors():
            self._attempt = _launch(path, executor=executor)

    def attempt(self, key: AttemptKey, intent: Json, effect: Callable[[], StepResult]) -> StepResult:
        """Record the intent, bring the effect about, record its result."""
        from dbos import SetWorkflowID  # noqa: PLC0415  DBOS takes longer to import than `--help` may

        self._must_be_there()
        _effects[key.id] = effect
        try:
            with _store_errors(), SetWorkflowID(key.id):
                body = self._attempt({**intent, "executor": self._executor})
        except _Lost as lost:
            raise lost.cause from None
        finally:
            _effects.pop(key.id, None)
        return result_from(body)

    def attempts(self, run: str) -> Sequence[Attempt]:
        """Return every attempt of a run."""
        from dbos import DBOS  # noqa: PLC0415

        with _store_errors():
            rows = DBOS.list_workflows(workflow_id_prefix=f"{run}/")
        return [_attempt_from(row.workflow_id, row.input, row.output) for row in rows]

    def close(self) -> None:
        """Stop DBOS and let go of the file."""
        from dbos import DBOS  # noqa: PLC0415

        DBOS.destroy()
        super().close()
        os.close(self._held)


def recorded_attempts(path: Path, run: str) -> Sequence[Attempt]:
    """Return every attempt of a run from a journal that another process may be using. Starts no engine."""
    from dbos import DBOSClient, DBOSPortableJSONSerializer  # noqa: PLC0415  as above

    url = f"sqlite:///{path}"
    with _store_errors():
        client = DBOSClient(
            system_database_url=url, system_database_engine=_engine(url), serializer=DBOSPortableJSONSerializer()
        )
        try:
            rows = client.list_workflows(workflow_id_prefix=f"{run}/")
        finally:
            client.destroy()
    return [_attempt_from(row.workflow_id, row.input, row.output) for row in rows]


def _attempt_from(name: str, given: Any, output: Any) -> Attempt:
    key, number = name.rsplit("#", 1)
    run, step = key.split("/", 1)
    intent = given["args"][0] if given and given["args"] else {}
    known = isinstance(output, dict) and not output.get("in_doubt")
    result = result_from(output) if known else None
    return Attempt(key=AttemptKey(run=run, step=step, attempt=int(number)), intent=intent, result=result)


def _perform_attempt(intent: dict[str, Any]) -> dict[str, object]:
    """The body of the workflow. Without an effect at hand it was not us who intended it: it is in doubt."""
    from dbos import DBOS  # noqa: PLC0415

    del intent
    effect = _effects.pop(str(DBOS.workflow_id), None)
    if effect is None:
        return dict(_IN_DOUBT)
    try:
        return result_body(effect())
    except Exception as error:  # recorded as an outcome it would look like a failed step
        raise _Lost(error) from error


def _launch(path: Path, *, executor: str) -> Callable[[dict[str, Any]], dict[str, object]]:
    from dbos import DBOS, DBOSPortableJSONSerializer  # noqa: PLC0415

    global _workflow  # noqa: PLW0603  DBOS registers a function once per process
    if _workflow is None:
        _workflow = DBOS.workflow(name="secondsite.attempt", max_recovery_attempts=None)(_perform_attempt)
    url = f"sqlite:///{path}"
    DBOS(
        config={
            "name": "secondsite",
            "system_database_url": url,
            "system_database_engine": _engine(url),
            "executor_id": executor,
            "application_version": APPLICATION_VERSION,
            "serializer": DBOSPortableJSONSerializer(),
            "log_level": "CRITICAL",
            "enable_otlp": False,
        }
    )
    DBOS.launch()
    return _workflow


_workflow: Callable[[dict[str, Any]], dict[str, object]] | None = None


def _engine(url: str) -> Engine:
    import sqlalchemy  # noqa: PLC0415  as above

    engine = sqlalchemy.create_engine(url, pool_size=20, max_overflow=40)

    @sqlalchemy.event.listens_for(engine, "connect")
    def make_durable(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = "IMMEDIATE"
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _hold(path: Path) -> int:
    """Lock the journal for this process; the lock ends with it, however it ends."""
    try:
        held = os.open(path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise store_lost(error) from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        raise LockHeld(
            f"another process is using the journal {path}",
            not_done="nothing was started",
            next_step="secondsite runs list shows which run is open",
        ) from None
    return held


def _lost(error: Exception) -> JournalError:
    """Tell a file that is damaged from a disk that is full or gone."""
    cause = getattr(error, "orig", error)
    code = getattr(cause, "sqlite_errorcode", None)
    return damaged(str(cause)) if code in _DAMAGED else store_lost(error)


def damaged(what: str) -> JournalDamaged:
    """Return the error of a store whose file can't be believed: nothing is read from it, and nothing written."""
    return JournalDamaged(
        f"the store of this engine is damaged: {what}",
        not_done="nothing was performed, and nothing was taken back",
        next_step="restore the state directory from its copy; secondsite runs show RUN reads the records beside it",
    )


@contextlib.contextmanager
def _store_errors() -> Iterator[None]:
    """Turn whatever the store throws into the one error that ends the process without a word about the step."""
    try:
        yield
    except (SecondsiteError, JournalError):
        raise
    except (sqlite3.Error, OSError) as error:
        raise _lost(error) from error
    except Exception as error:  # whatever DBOS raises, the journal did not do what it must
        raise _lost(error) from error
