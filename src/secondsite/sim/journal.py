"""A journal in memory that survives the simulated process, and loses exactly what a real one would."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Sequence

from ..run.model import Attempt, AttemptKey, Json, Note, NoteKind, StepResult
from ..run.rules import result_body, result_from
from .crash import Power


class SimulatedJournal:
    """Keeps the promise of ``run.ports.Journal``. A crash between two writes keeps the first and loses the second."""

    def __init__(self, power: Power) -> None:
        """Begin empty. ``power`` is the machine the process runs on; once it fails, nothing is written."""
        self._power = power
        self._lock = threading.Lock()
        self._attempts: dict[str, tuple[AttemptKey, str, str | None]] = {}
        self._notes: list[Note] = []

    def attempt(self, key: AttemptKey, intent: Json, effect: Callable[[], StepResult]) -> StepResult:
        """Record the intent, bring the effect about, record its result."""
        with self._lock:
            self._power.must_be_on()
            if key.id in self._attempts:
                raise AssertionError(f"{key.id} was attempted before: an impossible state")
            self._attempts[key.id] = (key, json.dumps(dict(intent), allow_nan=False), None)
        result = effect()
        with self._lock:
            self._power.must_be_on()
            body = json.dumps(result_body(result), allow_nan=False)
            self._attempts[key.id] = (key, self._attempts[key.id][1], body)
        return result_from(json.loads(body))

    def attempts(self, run: str) -> Sequence[Attempt]:
        """Return every attempt of a run."""
        with self._lock:
            return [
                Attempt(key=key, intent=json.loads(intent), result=result_from(json.loads(body)) if body else None)
                for key, intent, body in self._attempts.values()
                if key.run == run
            ]

    def note(self, run: str, kind: NoteKind, name: str, body: Json) -> bool:
        """Record something once."""
        with self._lock:
            self._power.must_be_on()
            if any((n.run, n.kind, n.name) == (run, kind, name) for n in self._notes):
                return False
            kept = json.loads(json.dumps(dict(body), allow_nan=False))
            self._notes.append(Note(run=run, kind=kind, name=name, body=kept, number=len(self._notes) + 1))
            return True

    def notes(self, run: str, *, after: int = 0) -> Sequence[Note]:
        """Return what was recorded of a run after a number, in order."""
        with self._lock:
            self._power.must_be_on()
            return copy.deepcopy([note for note in self._notes if note.run == run and note.number > after])
