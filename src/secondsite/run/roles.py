"""Who had which part in one run: who answers for its runbook, who began it, who answered at its gates."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from ..plan.document import canonical_json
from ..plan.model import Plan
from .model import Authorship, Beginning, Json, Note, NoteKind


class NobodyAnswers:
    """Nobody was asked who answers for a runbook: for engines that have no state directory."""

    def answering_for(self, plan: Plan) -> Authorship:
        """Say that nobody does."""
        return Authorship(runbook=plan.runbook, version=version_of(plan), why="nobody was asked who does")


NOBODY_ANSWERS = NobodyAnswers()


def version_of(plan: Plan) -> str:
    """Return the version of its runbook that a plan was built by: the digest of its name and of what it pins.

    Whoever verifies evidence computes it anew without the engine (``evidence.roles.runbook_version``).
    """
    return hashlib.sha256(canonical_json({"runbook": plan.runbook, "pins": dict(plan.pins)})).hexdigest()


def nobody_answers(found: Authorship) -> str:
    """Say that nobody answers for a version of a runbook, and why."""
    why = found.why or "it is not signed"
    return f"nobody answers for this version of {found.runbook} ({found.version[:12] or 'not known'}): {why}"


def beginning_body(by: str, authorship: Authorship) -> Json:
    """Return what is recorded of a run's beginning besides its plan."""
    return {"by": by, "runbook": authorship_body(authorship)}


def authorship_body(found: Authorship) -> dict[str, object]:
    """Return who answers for a version of a runbook, as it is recorded."""
    author = {"name": found.name, "key": found.key, "at": found.at, "signature": found.signature}
    return {
        "runbook": found.runbook,
        "version": found.version,
        "author": author if found.is_signed else None,
        "why": found.why,
    }


def beginning_in(notes: Sequence[Note]) -> Beginning:
    """Return what a run's journal says of its beginning; a run begun by an older version does not say it."""
    by = [note.body.get("by") for note in notes if note.kind in {NoteKind.BEGUN, NoteKind.RESUMED}]
    begun = next((note.body for note in notes if note.kind is NoteKind.BEGUN), {})
    recorded = begun.get("runbook")
    return Beginning(
        by=tuple(dict.fromkeys(str(name) for name in by if name)),
        authorship=_authorship(recorded) if isinstance(recorded, Mapping) else None,
    )


def _authorship(body: Json) -> Authorship:
    author = body.get("author")
    told = author if isinstance(author, Mapping) else {}
    return Authorship(
        runbook=str(body.get("runbook", "")),
        version=str(body.get("version", "")),
        name=str(told.get("name", "")),
        key=str(told.get("key", "")),
        at=str(told.get("at", "")),
        signature=str(told.get("signature", "")),
        why=str(body.get("why", "")),
    )


def answers_in(notes: Sequence[Note]) -> tuple[Json, ...]:
    """Return every answer that was given at a gate of a run, with its signature, whatever became of it."""
    return tuple(note.body for note in notes if note.kind is NoteKind.ANSWER)
