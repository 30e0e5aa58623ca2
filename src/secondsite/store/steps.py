"""A run's step record: every transition as a line, and how long steps took in earlier runs."""

from __future__ import annotations

import datetime as dt
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..run.model import StepState, Transition
from ..run.perform import store_lost

FILE_NAME = "steps.jsonl"
_ENDINGS = {StepState.DONE.value, StepState.VERIFIED.value}


class StepRecorder:
    """Writes each transition as one line of ``steps.jsonl``."""

    def __init__(self, records: Path) -> None:
        """Touch nothing yet."""
        self._path = records / FILE_NAME

    def __call__(self, transition: Transition, /) -> None:
        """Append a line.

        Raises:
            JournalError: the disk is full or can't be written.
        """
        line = {
            "t": transition.t,
            "step": transition.step,
            "state": transition.state.value,
            "attempt": transition.attempt,
            "detail": dict(transition.detail),
        }
        try:
            with self._path.open("a") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise store_lost(error) from error


def told_by(records: Path) -> Mapping[str, str]:
    """Return the last state that each step's record tells: what is known of a run when its journal is not."""
    last: dict[str, str] = {}
    for line in _lines(records / FILE_NAME):
        last[str(line.get("step"))] = str(line.get("state"))
    return last


def durations(folders: Sequence[Path]) -> Mapping[str, dt.timedelta]:
    """Return how long each step took, the median over earlier runs' record folders."""
    taken: dict[str, list[float]] = {}
    for records in folders:
        for step, seconds in _taken(records / FILE_NAME):
            taken.setdefault(step, []).append(seconds)
    return {step: dt.timedelta(seconds=statistics.median(values)) for step, values in taken.items()}


def _taken(path: Path) -> Iterator[tuple[str, float]]:
    begun: dict[str, float] = {}
    for line in _lines(path):
        step, state = str(line.get("step")), line.get("state")
        at = line.get("t")
        if not isinstance(at, int | float):
            continue
        if state == StepState.INTENDED.value:
            begun[step] = at
        elif state in _ENDINGS and at >= begun.get(step, at + 1):
            yield step, at - begun.pop(step)


def _lines(path: Path) -> Iterator[Mapping[str, object]]:
    """Yield every whole line; the last one of a killed process may be cut."""
    if not path.is_file():
        return
    for text in path.read_text().splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, Mapping):
            yield line
