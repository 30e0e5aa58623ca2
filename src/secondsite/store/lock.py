"""One run per estate at a time: a lock that ends with the process, and names its holder."""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import LockHeld
from ..run.perform import store_lost
from .clock import SystemClock

LOCK_NAME = "run.lock"
CHECK_LOCK_NAME = "check.lock"
_AGAIN_S = 0.2


class RunLock:
    """Held while a run, or a drill with its runs, is under way on an estate; by another name, while it is checked."""

    def __init__(self, state: Path, *, name: str = LOCK_NAME) -> None:
        """Touch nothing yet."""
        self._path = state / name

    @contextlib.contextmanager
    def held(self, *, purpose: str, since: str) -> Iterator[None]:
        """Hold the lock while inside. ``purpose`` is what a refused second start is told.

        Raises:
            LockHeld: another process holds it; the error names it.
            JournalError: the lock can't be written.
        """
        try:
            file = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise store_lost(error) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _read(file)
            os.close(file)
            raise LockHeld(
                f"{holder or 'another process'} is at work on this estate",
                not_done="nothing was started",
                next_step="wait for it, or: secondsite runs abort",
            ) from None
        try:
            self._sign(file, purpose=purpose, since=since)
            yield
        finally:
            with contextlib.suppress(OSError):  # a full disk can't keep the lock from ending with the file
                os.ftruncate(file, 0)
            os.close(file)

    @contextlib.contextmanager
    def awaited(self, *, purpose: str, since: str, clock: SystemClock, within: dt.timedelta) -> Iterator[None]:
        """Hold the lock while inside, once whoever holds it now is done.

        Raises:
            LockHeld: they were not done in time.
            JournalError: the lock can't be written.
        """
        until = clock.monotonic() + within.total_seconds()
        with contextlib.ExitStack() as stack:
            while True:
                try:
                    stack.enter_context(self.held(purpose=purpose, since=since))
                    break
                except LockHeld:
                    if clock.monotonic() > until:
                        raise
                    clock.sleep(_AGAIN_S)
            yield

    def holder(self) -> str:
        """Name who holds it now, or return nothing."""
        try:
            file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return ""
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read(file) or "a process that has not yet said who it is"
        else:
            return ""
        finally:
            os.close(file)

    @staticmethod
    def _sign(file: int, *, purpose: str, since: str) -> None:
        try:
            os.ftruncate(file, 0)
            os.pwrite(file, json.dumps({"pid": os.getpid(), "run": purpose, "since": since}).encode(), 0)
        except OSError as error:
            raise store_lost(error) from error


def _read(file: int) -> str:
    try:
        holder = json.loads(os.pread(file, 4096, 0))
        return f"{holder['run']} (process {holder['pid']}, since {holder['since']})"
    except (ValueError, KeyError, TypeError):
        return ""
