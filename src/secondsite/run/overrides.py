"""What a guard refuses, and two persons may let pass all the same.

A run never passes a refused guard by itself. Begun with ``--override GUARD=REASON``, it waits there instead of ending:
at a gate whose name says the guard and every reason to the last letter. Consent to it is none to the next finding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..plan.model import Step
from ..plan.rules import Facts, refusals
from .model import Note, NoteKind
from .rules import OVERRIDE, consent_from

OVERRIDABLE = {
    "fencing-confirmed": "promote although nobody can confirm that the old primary is kept from writing",
    "in-sync": "promote a copy that lacks writes which customers were told are safe",
}
"""The guards that can be overridden, and what that means. Everything else that a guard refuses stays refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What the guards of a step come to: refused for good, or to be let pass at ``gate``; else admitted."""

    refused: tuple[str, ...] = ()
    gate: str = ""
    asks: tuple[str, ...] = ()


def rule(step: Step, facts: Facts, read_notes: Callable[[], Sequence[Note]]) -> Ruling:
    """Return what the guards of a step come to in a run; its notes are read only when one of them refuses."""
    found: dict[str, list[str]] = {}
    for name, why in refusals(step, facts):
        found.setdefault(name, []).append(why)
    notes = read_notes() if found else ()
    named = {note.name for note in notes if note.kind is NoteKind.OVERRIDE}
    kept = [why for name, reasons in found.items() if name not in named or name not in OVERRIDABLE for why in reasons]
    if kept:
        return Ruling(refused=tuple(kept))
    for name, reasons in found.items():
        answers = [consent_from(note.body) for note in notes if _is_about(note, name, reasons)]
        if any(not one.granted for one in answers):
            by = ", ".join(dict.fromkeys(who for one in answers if not one.granted for who in one.by))
            return Ruling(refused=(*reasons, f"{by} said no to overriding {name}"))
        if not answers:
            asks = (OVERRIDABLE[name], *reasons, *_known_losses(step, name, facts))
            return Ruling(gate=f"{OVERRIDE}{step.name}#{_subject(name, reasons)}", asks=asks)
    return Ruling()


def _known_losses(step: Step, guard: str, facts: Facts) -> Iterator[str]:
    """Yield what a guard's readings know of what would be lost; it changes by the second, so it names no gate."""
    read = {name for one in step.guards if one.name == guard for name in one.on}
    yield from (str(facts[name]["lacks"]) for name in sorted(read) if facts.get(name, {}).get("lacks"))


def _is_about(note: Note, guard: str, reasons: Sequence[str]) -> bool:
    is_closed = note.kind is NoteKind.GATE_CLOSED and note.name.startswith(OVERRIDE)
    return is_closed and note.name.partition("#")[2] == _subject(guard, reasons)


def _subject(guard: str, reasons: Sequence[str]) -> str:
    digest = hashlib.sha256("\n".join(reasons).encode()).hexdigest()
    return f"{guard}.{digest[:12]}"
