"""The stop file: while it lies in the estate's state directory, no step of any run is started.

Anybody who can write there can stop everything with ``touch``: a file that says nothing, and one that can't be read,
stop as well as one that says who and why. What was said stays in a list beside it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from ..errors import UsageError
from ..run.model import StopOrder
from ..run.ports import Clock

STOP_NAME = "STOP"
HISTORY_NAME = "stops.jsonl"
_LARGEST = 8192


class StopFile:
    """The stop file of one estate."""

    def __init__(self, state: Path, *, clock: Clock) -> None:
        """Touch nothing yet."""
        self._state, self._clock = state, clock
        self.path = state / STOP_NAME

    def order(self) -> StopOrder | None:
        """Return what stops everything, or None when it is certain that nothing does."""
        try:
            os.lstat(self.path)
        except FileNotFoundError:
            return None
        except OSError as error:
            return StopOrder(where=str(self.path), reason=f"whether it lies there can't be seen: {error.strerror}")
        try:
            with self.path.open("rb") as file:
                said = json.loads(file.read(_LARGEST))
            return StopOrder(
                where=str(self.path), who=str(said["who"]), reason=str(said["reason"]), since=str(said["at"])
            )
        except (OSError, ValueError, KeyError, TypeError):
            return StopOrder(where=str(self.path))

    def write(self, *, who: str, reason: str) -> StopOrder:
        """Stop everything, and return the order in force: this one, or an earlier one, which is left as it is.

        Raises:
            UsageError: the file can't be made, so nothing is stopped.
        """
        said = {"schema_version": 1, "who": who, "reason": reason, "at": self._now()}
        try:
            self._state.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644)
        except FileExistsError:
            pass
        except OSError as error:
            raise UsageError(
                f"{self.path} can't be made: {error.strerror}",
                not_done="nothing is stopped",
                next_step="stop the process itself: secondsite runs list names it, kill PID stops it",
            ) from error
        else:
            self._fill(file, said)
        self._remember({"stop": True, **said})
        return self.order() or StopOrder(where=str(self.path), who=who, reason=reason)

    def remove(self, *, who: str, reason: str) -> StopOrder | None:
        """Let runs be started again, and return the order that was in force, if there was one.

        Raises:
            UsageError: it can't be removed, so everything stays stopped.
        """
        order = self.order()
        if order is None:
            return None
        self._remember({"stop": False, "who": who, "reason": reason, "at": self._now(), "lifted": str(order)})
        try:
            self.path.unlink()
        except OSError as error:
            raise UsageError(
                f"{self.path} can't be removed: {error.strerror}", not_done="everything stays stopped"
            ) from error
        return order

    def _fill(self, file: int, said: dict[str, object]) -> None:
        """Say who and why. The file stops already, so that a full disk can't keep it from doing so."""
        try:
            os.write(file, json.dumps(said).encode() + b"\n")
            os.fsync(file)
            directory = os.open(self._state, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError:
            return
        finally:
            os.close(file)

    def _remember(self, said: dict[str, object]) -> None:
        try:
            with (self._state / HISTORY_NAME).open("a") as file:
                file.write(json.dumps(said) + "\n")
        except OSError:  # the order itself counts; a full disk must neither keep it from stopping nor from going on
            return

    def _now(self) -> str:
        return self._clock.now().isoformat(timespec="seconds")
