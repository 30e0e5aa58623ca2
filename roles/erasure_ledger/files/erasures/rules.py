"""What the ledger says: entries, the chain that each keeper makes of them, and what is in force. Decisions only, no effects.

The ledger is a set of entries that only grows. Each keeper keeps them in the order in which they came to it, as records that
are chained by their digests: an edited byte breaks the chain, and a chain that was cut off is shorter than others saw it.
What is in force follows from the set alone, in the order of its times: every order of arrival, and every repetition,
comes to the same. A subject is the opaque id of an account; no name of a person is in here.
"""

from __future__ import annotations

import enum
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

AHEAD_S = 120.0
LONGEST = 200
SUBJECT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NOTHING = "0" * 64


class Kind(enum.Enum):
    """What an entry orders."""

    ERASED = "erased"
    REFUSED = "refused"  # an erasure that a legal hold forbade
    CLOSED = "closed"
    REOPENED = "reopened"
    HELD = "held"
    RELEASED = "released"
    REVOKED = "revoked"
    READMITTED = "readmitted"
    LEGAL_HOLD = "legal-hold"
    LEGAL_HOLD_LIFTED = "legal-hold-lifted"


class State(enum.Enum):
    """What may be in force for an account."""

    HOLD = "hold"
    REVOCATION = "revocation"
    CLOSURE = "closure"
    LEGAL_HOLD = "legal-hold"


BEGINS = {
    Kind.HELD: State.HOLD,
    Kind.REVOKED: State.REVOCATION,
    Kind.CLOSED: State.CLOSURE,
    Kind.LEGAL_HOLD: State.LEGAL_HOLD,
}
ENDS = {
    Kind.RELEASED: State.HOLD,
    Kind.READMITTED: State.REVOCATION,
    Kind.REOPENED: State.CLOSURE,
    Kind.LEGAL_HOLD_LIFTED: State.LEGAL_HOLD,
}
# This promises that somebody never comes back, whatever is lost: a place apart from both datacenters must have it.
NEEDS_APART = frozenset({Kind.ERASED})


class Wrong(ValueError):
    """That is no entry, no record, or no chain; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that was ordered. ``at`` is in seconds since 1970, UTC; ``by`` is who ordered it."""

    kind: Kind
    subject: str
    at: float
    by: str
    reason: str

    def __post_init__(self) -> None:
        """Refuse what could not be meant.

        Raises:
            Wrong: and why.
        """
        if not SUBJECT.fullmatch(self.subject):
            raise Wrong(f"{self.subject[:60]!r} is no account's id")
        for word in (self.by, self.reason):
            if not 0 < len(word) <= LONGEST or not word.isprintable():
                raise Wrong(f"who ordered it and why are texts of 1 to {LONGEST} printable characters")
        if not 0 < self.at < 1e11:
            raise Wrong(f"{self.at!r} is no time")

    @property
    def id(self) -> str:
        """Return the digest of all it says."""
        return hashlib.sha256(canonical(self.words())).hexdigest()

    def words(self) -> dict[str, Any]:
        """Return it as it is written."""
        return {
            "kind": self.kind.value,
            "subject": self.subject,
            "at": round(self.at, 6),
            "by": self.by,
            "reason": self.reason,
        }


def entry_in(words: Any) -> Entry:
    """Return the entry that was written.

    Raises:
        Wrong: it is none; an unknown word is no default.
    """
    try:
        if set(words) != {"kind", "subject", "at", "by", "reason"}:
            raise Wrong(f"an entry has other keys: {sorted(map(str, words))[:9]}")
        texts = [words[name] for name in ("kind", "subject", "by", "reason")]
        if not all(isinstance(text, str) for text in texts) or isinstance(words["at"], bool):
            raise Wrong("an entry has texts and a time")
        kind, subject, by, reason = texts
        return Entry(kind=Kind(kind), subject=subject, at=round(float(words["at"]), 6), by=by, reason=reason)
    except (TypeError, ValueError, OverflowError) as error:
        raise Wrong(str(error)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An entry in a keeper's chain: its number from 1, the digest of the record before, and when it came here."""

    number: int
    previous: str
    received: float
    entry: Entry

    @property
    def digest(self) -> str:
        """Return the digest of all it says."""
        return hashlib.sha256(canonical(self.words())).hexdigest()

    def words(self) -> dict[str, Any]:
        """Return it as it is written."""
        return {
            "number": self.number,
            "previous": self.previous,
            "received": round(self.received, 6),
            "entry": self.entry.words(),
        }


def record_in(words: Any) -> Record:
    """Return the record that was written.

    Raises:
        Wrong: it is none.
    """
    try:
        if set(words) != {"number", "previous", "received", "entry"} or type(words["number"]) is not int:
            raise Wrong("a record has a number, the digest of the one before, a time and an entry")
        received = round(float(words["received"]), 6)
        entry = entry_in(words["entry"])
        return Record(number=words["number"], previous=str(words["previous"]), received=received, entry=entry)
    except (TypeError, ValueError, OverflowError) as error:
        raise Wrong(str(error)) from error


def canonical(words: Mapping[str, Any]) -> bytes:
    """Return the one way in which words are written; digests are over it."""
    return json.dumps(words, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def read_record(raw: bytes) -> Record:
    """Return the record in a file. Only the one way of writing counts, so that every changed byte is found.

    Raises:
        Wrong: it holds anything else.
    """
    try:
        record = record_in(json.loads(raw))
    except (ValueError, RecursionError) as error:
        raise Wrong(f"no record: {error}") from error
    if canonical(record.words()) != raw:
        raise Wrong("it was not written by a keeper")
    return record


def beginning(keeper: str) -> str:
    """Return what stands before the first record of a keeper's chain; ``keeper`` is the chain's own id."""
    return hashlib.sha256(f"secondsite erasures {keeper}".encode()).hexdigest()


def next_record(entry: Entry, *, number: int, head: str, now: float) -> Record:
    """Return the record that comes after ``number`` others."""
    return Record(number=number + 1, previous=head, received=now, entry=entry)


def head_of(records: Sequence[Record], *, keeper: str, number: int = 0, head: str = "") -> str:
    """Return the digest of the last record of a chain; with ``number`` and ``head``, of what comes after that many.

    Raises:
        Wrong: the chain is broken; it is said where.
    """
    expected = head or beginning(keeper)
    for offset, record in enumerate(records, number + 1):
        if record.number != offset:
            raise Wrong(f"record {offset} is missing: {record.number} stands there")
        if record.previous != expected:
            raise Wrong(f"record {offset} does not follow the one before it")
        expected = record.digest
    return expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is in force for an account, and what was and ended. Once ``erased``, nothing else counts."""

    erased: Entry | None = None
    states: Mapping[State, Entry] = field(default_factory=dict)
    ended: frozenset[State] = frozenset()
    forbidden: tuple[Entry, ...] = ()


def standing(entries: Iterable[Entry]) -> dict[str, Standing]:
    """Return what is in force for each account that the ledger names.

    An erasure that was ordered while a legal hold was in force counts for nothing: the hold wins.
    """
    found: dict[str, Standing] = {}
    for entry in in_order(entries):
        found[entry.subject] = _after(found.get(entry.subject, Standing()), entry)
    return found


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Return each entry once, in the order of their times; of two at one time a legal hold comes before all else."""
    once = {entry.id: entry for entry in entries}
    return sorted(once.values(), key=lambda one: (one.at, one.kind is not Kind.LEGAL_HOLD, one.id))


def _after(before: Standing, entry: Entry) -> Standing:
    if before.erased is not None:
        return before
    states, ended, forbidden = dict(before.states), before.ended, before.forbidden
    if entry.kind is Kind.ERASED:
        if State.LEGAL_HOLD not in states:
            return Standing(erased=entry, forbidden=forbidden)
        forbidden = (*forbidden, entry)
    elif entry.kind in BEGINS:
        states.setdefault(BEGINS[entry.kind], entry)
        ended -= {BEGINS[entry.kind]}
    elif entry.kind in ENDS:
        states.pop(ENDS[entry.kind], None)
        ended |= {ENDS[entry.kind]}
    return Standing(states=states, ended=ended, forbidden=forbidden)


def erased(standings: Mapping[str, Standing]) -> dict[str, Entry]:
    """Return every account that must not be anywhere any more, with the entry that says so."""
    return {subject: one.erased for subject, one in standings.items() if one.erased is not None}


def refusals(entries: Iterable[Entry], standings: Mapping[str, Standing]) -> int:
    """Count the erasures that were ordered and that a legal hold forbade, before they were in the ledger or after."""
    told = {entry.id for entry in entries if entry.kind is Kind.REFUSED}
    return len(told) + sum(len(one.forbidden) for one in standings.values())


def enough(keepers: int) -> int:
    """Return how many keepers make a majority: any two such groups have one in common."""
    return keepers // 2 + 1


def reasons_not_to_acknowledge(entry: Entry, *, took: Iterable[str], keepers: Mapping[str, bool]) -> Iterator[str]:
    """Yield why an entry is not kept well enough; ``keepers`` says of each whether it is apart from both datacenters."""
    took = set(took) & set(keepers)
    if len(took) < enough(len(keepers)):
        yield f"{len(took)} of {len(keepers)} keepers have it, and {enough(len(keepers))} are needed"
    if entry.kind in NEEDS_APART and not any(keepers[name] for name in took):
        yield "no keeper apart from both datacenters has it"


def reasons_to_distrust(seen: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Yield why a chain can't be the one that was seen before: ``keeper``, ``number`` and ``head``, then and now."""
    if seen["keeper"] != now["keeper"]:
        return  # another machine: it begins a chain of its own
    if now["number"] < seen["number"]:
        yield f"its ledger had {seen['number']} records, and has {now['number']}"
    elif now["number"] == seen["number"] and now["head"] != seen["head"]:
        yield f"record {seen['number']} of its ledger was replaced"
