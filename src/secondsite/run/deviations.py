"""What is no longer as it was when a run was begun, and the consent of two persons to go on all the same.

Each deviation has a gate of its own, whose name says what it is about to the last letter: consent to one difference
between plan and estate is none to the next.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..errors import Refused
from ..plan.consent import TWO_PERSONS
from ..plan.differences import Present, differences
from ..plan.model import Plan
from .model import ENGINE_VERSION, HeardAnswer, Json, Note, NoteKind
from .ports import Approvers, NotSigned
from .rules import DRIFT, ENGINE, answer_from, reasons_not_to_accept, tally

AsItIsNow = Callable[[], Present]


class Notes(Protocol):
    """The part of a journal that other processes may use."""

    def note(self, run: str, kind: NoteKind, name: str, body: Json) -> bool:
        """Record something once."""
        ...

    def notes(self, run: str, *, after: int = 0) -> Sequence[Note]:
        """Return what was recorded of a run."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """One thing that differs. ``gate`` is where two persons may consent to it, and ``what`` says it line by line."""

    gate: str
    what: tuple[str, ...]


def nothing_known() -> Present:
    """Say nothing of the estate as it is now: for engines in a world that has no estate's files."""
    return Present()


def deviations(plan: Plan, notes: Sequence[Note], present: Present) -> Iterator[Deviation]:
    """Yield everything that differs from what the run was begun with."""
    begun = next((note.body for note in notes if note.kind is NoteKind.BEGUN), {})
    engine = str(begun.get("engine"))
    if engine != ENGINE_VERSION:
        what = f"the run was begun by engine {engine}, this is engine {ENGINE_VERSION}"
        yield Deviation(gate=f"{ENGINE}{ENGINE_VERSION}", what=(what,))
    places = begun.get("places")
    then = {str(host): str(where) for host, where in places.items()} if isinstance(places, dict) else {}
    if found := tuple(differences(plan, then, present)):
        digest = hashlib.sha256("\n".join(found).encode()).hexdigest()[:12]
        yield Deviation(gate=f"{DRIFT}{digest}", what=found)


def require_consent(
    found: Sequence[Deviation], *, run: str, plan: Plan, journal: Notes, approvers: Approvers, now: dt.datetime
) -> None:
    """Pass when nothing deviates, or when two persons consented to exactly that.

    Raises:
        Refused: what deviates, line by line, and the gates at which two persons may consent to it.
    """
    reasons: list[str] = []
    for one in found:
        closed = _closed(journal.notes(run), one.gate)
        if closed is None:
            closed = _decide(one, run=run, plan=plan, journal=journal, approvers=approvers, now=now)
        if closed is None:
            reasons += [*one.what, f"{TWO_PERSONS} persons have to consent to that at {one.gate}"]
        elif closed.get("granted") is not True:
            reasons += [*one.what, f"{', '.join(map(str, _by(closed)))} said no to that"]
    if reasons:
        how = "; ".join(f"secondsite approve {run} {one.gate} --yes --as NAME" for one in found)
        raise Refused(*reasons, next_step=f"undo the change, or have {TWO_PERSONS} persons consent: {how}")


def _decide(
    one: Deviation, *, run: str, plan: Plan, journal: Notes, approvers: Approvers, now: dt.datetime
) -> Json | None:
    """Open the gate if it is not open yet, count the answers, and close it if they decide it."""
    opened = {"opened_at": now.isoformat(), "persons": TWO_PERSONS, "step": "", "what": list(one.what)}
    journal.note(run, NoteKind.GATE_OPENED, one.gate, opened)
    heard = []
    for note in journal.notes(run):
        answer = answer_from(note.body)
        if note.kind is not NoteKind.ANSWER or answer.gate != one.gate:
            continue
        signed = approvers.signed(answer)
        if not isinstance(signed, NotSigned) and not list(
            reasons_not_to_accept(answer, run=run, plan=plan, gates=(one.gate,), now=now)
        ):
            heard.append(HeardAnswer(answer=answer, key=signed.key))
    granted = tally(heard, persons=TWO_PERSONS)
    if granted is None:
        return None
    by = list(dict.fromkeys(one.answer.who for one in heard if one.answer.granted is granted))
    body: Json = {"granted": granted, "by": by, "standing_order": "", "waited_ms": 0, "what": list(one.what)}
    journal.note(run, NoteKind.GATE_CLOSED, one.gate, body)
    return body


def _closed(notes: Sequence[Note], gate: str) -> Json | None:
    return next((note.body for note in notes if note.kind is NoteKind.GATE_CLOSED and note.name == gate), None)


def _by(body: Json) -> Sequence[object]:
    by = body.get("by")
    return by if isinstance(by, list) and by else ["nobody"]
