"""accountctl: hold, revoke, close and erase accounts, in the ledger first and then in the database of the host that leads.

accountctl hold | release | revoke | readmit | close | reopen NAME REASON...
accountctl legal-hold | lift-legal-hold NAME REASON...
accountctl erase NAME REASON...
accountctl show | export NAME;  open NAME (the password on standard input);  correct NAME CONTACT
accountctl clean-up;  present NAME-OR-ID...;  replay [--from KEEPER];  audit;  adopt

Ends with 0 when it is done, at both sites; 1 when nothing was done, and says why; 3 when it is in the ledger, and may be missing
at a site or in the database: then `accountctl replay`. A reason is kept for ever: no names of persons in it.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import pwd
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from . import rules
from .books import Books, InDoubt, summary
from .calls import Ledger, NotKept
from .rules import Entry, Kind, Standing, State, Wrong
from .settings import Settings

NAMED = {
    "hold": Kind.HELD,
    "release": Kind.RELEASED,
    "revoke": Kind.REVOKED,
    "readmit": Kind.READMITTED,
    "close": Kind.CLOSED,
    "reopen": Kind.REOPENED,
    "legal-hold": Kind.LEGAL_HOLD,
    "lift-legal-hold": Kind.LEGAL_HOLD_LIFTED,
}
SHORTEST_PASSWORD = 8


class NotDone(Exception):
    """Nothing was done; the text says why."""


class HalfDone(Exception):
    """It is in the ledger; the text says what is not known to be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """What accountctl works with. ``by`` is who orders it."""

    settings: Settings
    books: Books
    ledger: Ledger
    by: str
    now: Callable[[], float]

    # What a person orders

    def change(self, verb: str, name: str, reason: str) -> str:
        """Begin or end what may be in force for an account."""
        kind = NAMED[verb]
        require_nameless(reason, name)
        subject = self._subject(name)
        in_force = self.books.in_force(subject)
        state = rules.BEGINS.get(kind) or rules.ENDS[kind]
        if (state in in_force) is (kind in rules.BEGINS):
            raise NotDone(f"{name}: {verb} was in force already, or there was nothing to end; nothing was changed")
        if state is State.REVOCATION and kind in rules.ENDS and State.CLOSURE in in_force:
            raise NotDone(f"{name}: the account is closed; nothing was changed. First: accountctl reopen")
        entry = self._entry(kind, subject, reason)
        kept = self._keep(entry)
        self._settle(entry, change=verb)
        return f"{name}: {verb}" + (f" (in the ledger at {', '.join(kept)})" if kept else "")

    def erase(self, name: str, reason: str) -> str:
        """Take a person out for good, unless a legal hold forbids it."""
        self._require_ledger()
        require_nameless(reason, name)
        subject = self._subject(name)
        since = self._legal_hold(subject)
        if since:
            self._refuse(subject, reason)
            raise NotDone(f"{name}: nothing was erased: a legal hold is in force ({since}); the refusal is recorded")
        return self._take_out(name, subject, reason)

    def _take_out(self, name: str, subject: str, reason: str) -> str:
        entry = self._entry(Kind.ERASED, subject, reason)
        kept = self._keep(entry)
        self._settle(entry, change="erase")
        left = self.books.rows_of(name) + self.books.rows_of(subject)
        if left:
            raise HalfDone(f"{left} rows of {subject} are still there")
        return (
            f"{subject}: erased (in the ledger at {', '.join(kept)}); the key of its documents is destroyed there"
            f"\nrecoverable from database backups until {self._recoverable_until(entry)}"
        )

    def clean_up(self) -> str:
        """Erase every account that was closed; those under a legal hold stay, and are named."""
        self._require_ledger()
        if not self.books.leads():
            return "left to the host that leads"
        done, stayed = 0, []
        for name, subject in self.books.closed():
            if self._legal_hold(subject):
                stayed.append(subject)
            else:
                self._take_out(name, subject, "clean-up of closed accounts")
                done += 1
        held = f"; under a legal hold, and kept: {', '.join(stayed)}" if stayed else ""
        return f"erased {done} closed accounts{held}"

    def open(self, name: str, password: str) -> str:
        """Make an account."""
        if not name.isprintable() or not 0 < len(name) <= rules.LONGEST or rules.SUBJECT.fullmatch(name):
            raise NotDone("that is no name for an account; nothing was changed")
        if len(password) < SHORTEST_PASSWORD:
            raise NotDone(f"a password has {SHORTEST_PASSWORD} characters or more; nothing was changed")
        self._require_leader()
        subject = self.books.open(name, password)
        if subject is None:
            raise NotDone(f"{name} is taken; nothing was changed")
        return f"{name}: opened as {subject}"

    def correct(self, name: str, contact: str) -> str:
        """Put right where a person is reached."""
        self._require_leader()
        if not contact.isprintable() or not 0 < len(contact) <= rules.LONGEST:
            raise NotDone("that is nowhere to be reached; nothing was changed")
        if not self.books.correct(name, contact, by=self.by):
            raise NotDone(f"there is no customer {name}; nothing was changed")
        return f"{name}: corrected"

    # After a restore, and for checks

    def replay(self, source: str) -> dict[str, Any]:
        """Make everything so again that the ledger says, whatever the database came back as. Again it changes nothing."""
        self._require_ledger()
        self._require_leader()
        entries, heads = self.ledger.read(only=source)
        standings = rules.standing(entries)
        applied = [subject for subject, one in standings.items() if self.books.settle(subject, one)]
        told = {"entries": len(entries), "from": sorted(heads), "heads": heads, "applied": len(applied)}
        return {**told, "in_force": summary(standings)}

    def adopt(self) -> str:
        """Record what is in force in the database and of which the ledger was never told; what ended there stays ended."""
        if not self.settings.keepers or not self.books.leads():
            return "nothing to adopt here"
        entries, _ = self._read()
        standings = rules.standing(entries)
        adopted = 0
        for subject, state, reason in self.books.all_in_force():
            known = standings.get(subject, Standing())
            if known.erased is not None or state in known.states or state in known.ended:
                continue
            if state is State.REVOCATION and State.CLOSURE in (*known.states, *known.ended):
                continue
            kind = next(kind for kind, begun in rules.BEGINS.items() if begun is state)
            self._keep(Entry(kind=kind, subject=subject, at=self.now(), by=self.by, reason=reason[: rules.LONGEST]))
            adopted += 1
        return f"adopted {adopted}"

    def audit(self) -> dict[str, Any]:
        """Compare the database with the ledger, and ask every keeper for keys that should be gone; change nothing."""
        if not self.settings.keepers:
            return {"leads": self.books.leads(), "ledger": False}
        if not self.books.leads():
            return {"leads": False, "ledger": True}
        entries, heads = self.ledger.read()
        standings = rules.standing(entries)
        gone = sorted(rules.erased(standings))
        keys = self.ledger.live_keys(gone)
        return {
            "leads": True,
            "ledger": True,
            "entries": len(entries),
            "heads": heads,
            "in_force": summary(standings),
            "refused": rules.refusals(entries, standings),
            "present": self.books.present(gone),
            "missing": self._missing(standings),
            "unrecorded": sorted(set(self.books.held_by_law()) - _held_by_law(standings)),
            "keys": {name: words["live"] for name, words in keys.given.items()},
            "unheard": dict(keys.missing),
        }

    def _missing(self, standings: dict[str, Standing]) -> dict[str, list[str]]:
        alive = self.books.present(one for one, standing in standings.items() if standing.states)
        missing: dict[str, list[str]] = {}
        for subject in alive:
            lacks = set(standings[subject].states) - set(self.books.in_force(subject))
            if lacks:
                missing[subject] = sorted(state.value for state in lacks)
        return missing

    # How

    def _require_ledger(self) -> None:
        if not self.settings.keepers:
            raise NotDone("this estate keeps no erasure ledger: what is erased would come back with a restore")

    def _require_leader(self) -> None:
        if not self.books.leads():
            raise NotDone("this host does not lead; nothing was changed. Try the other one.")

    def _subject(self, name: str) -> str:
        self._require_leader()
        subject = self.books.subject_of(name)
        if subject is None:
            raise NotDone(f"there is no customer {name}; nothing was changed")
        return subject

    def _legal_hold(self, subject: str) -> str:
        entries, _ = self._read()
        one = rules.standing(entries).get(subject, Standing())
        if State.LEGAL_HOLD in one.states:
            return f"since {_day(one.states[State.LEGAL_HOLD].at)}"
        return "in the database" if State.LEGAL_HOLD in self.books.in_force(subject) else ""

    def _refuse(self, subject: str, reason: str) -> None:
        entry = self._entry(Kind.REFUSED, subject, reason)
        self._keep(entry)
        self._settle(entry, change="refuse-erasure")

    def _entry(self, kind: Kind, subject: str, reason: str) -> Entry:
        try:
            return Entry(kind=kind, subject=subject, at=self.now(), by=self.by, reason=reason)
        except Wrong as error:
            raise NotDone(f"{error}; nothing was changed") from error

    def _read(self) -> tuple[list[Entry], dict[str, Any]]:
        try:
            return self.ledger.read()
        except NotKept as error:
            raise NotDone(f"the ledger can't be read: {error}; nothing was changed") from error

    def _keep(self, entry: Entry) -> tuple[str, ...]:
        if not self.settings.keepers:
            return ()
        try:
            return self.ledger.add(entry)
        except NotKept as error:
            raise NotDone(
                f"the ledger did not take it: {error}; nothing was changed here. Should a keeper have it nevertheless,"
                " it comes into force with the next replay"
            ) from error

    def _settle(self, entry: Entry, *, change: str) -> None:
        try:
            entries = [*(self._read()[0] if self.settings.keepers else []), entry]
            self.books.settle(entry.subject, rules.standing(entries)[entry.subject], change=change, entry=entry)
        except (NotDone, psycopg.Error, InDoubt) as error:
            raise HalfDone(str(error).strip()) from error

    def _recoverable_until(self, entry: Entry) -> str:
        return _day(entry.at + self.settings.backups_days * 86400)


def require_nameless(reason: str, name: str) -> None:
    """Refuse a reason that names the person: the ledger keeps it for ever.

    Raises:
        NotDone: it does.
    """
    if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", reason, re.IGNORECASE):
        raise NotDone("a reason is kept for ever: it may not name the person. Nothing was changed")


def _held_by_law(standings: dict[str, Standing]) -> set[str]:
    return {subject for subject, one in standings.items() if State.LEGAL_HOLD in one.states}


def _day(at: float) -> str:
    return dt.datetime.fromtimestamp(at, tz=dt.timezone.utc).date().isoformat()


def _who() -> str:
    return os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name


def main(words: Sequence[str], settings: Settings) -> int:
    """Do what was asked; the exit code says what came of it."""
    try:
        books = Books(port=int(settings.databases["port"]), name=str(settings.databases["name"]))
        ledger = Ledger(settings)
        said = _asked(Accounts(settings=settings, books=books, ledger=ledger, by=_who(), now=time.time), list(words))
    except (NotDone, NotKept, Wrong) as error:
        print(f"accountctl: {error}", file=sys.stderr)
        return 1
    except psycopg.Error as error:
        print(f"accountctl: the database does not do it: {str(error).strip()}", file=sys.stderr)
        return 1
    except (HalfDone, InDoubt) as error:
        print(f"accountctl: {error}; what is in the ledger stands. Then: accountctl replay", file=sys.stderr)
        return 3
    if said is None:
        print(f"usage: {(__doc__ or '').partition(chr(10) * 2)[2].rstrip()}", file=sys.stderr)
        return 2
    print(said)
    return 0


def _asked(accounts: Accounts, words: list[str]) -> str | None:
    verb, rest = (words[0] if words else ""), words[1:]
    if verb in ("replay", "audit", "adopt", "clean-up", "present"):
        return _of_machines(accounts, verb, rest)
    if not rest:
        return None
    name, more = rest[0], " ".join(rest[1:]).strip()
    if verb in ("show", "export", "open"):
        return None if more else _of_one(accounts, verb, name)
    if verb not in (*NAMED, "erase", "correct"):
        return None
    if not more:
        raise NotDone("a reason is needed; nothing was changed")
    if verb in NAMED:
        return accounts.change(verb, name, more)
    return accounts.erase(name, more) if verb == "erase" else accounts.correct(name, more)


def _of_machines(accounts: Accounts, verb: str, rest: list[str]) -> str | None:
    if verb == "present" and rest:
        found = {word: accounts.books.rows_of(word) > 0 for word in rest}
        return json.dumps({"present": found, "leads": accounts.books.leads()}, sort_keys=True)
    if verb == "replay" and (not rest or (rest[0] == "--from" and len(rest) == 2)):
        return json.dumps(accounts.replay(rest[1] if rest else ""), sort_keys=True)
    if verb == "audit" and not rest:
        return json.dumps(accounts.audit(), sort_keys=True)
    if verb == "adopt" and not rest:
        return accounts.adopt()
    return accounts.clean_up() if verb == "clean-up" and not rest else None


def _of_one(accounts: Accounts, verb: str, name: str) -> str:
    if verb == "open":
        return accounts.open(name, sys.stdin.read().strip("\n"))
    if verb == "show":
        changes = accounts.books.changes_of(name)
        return "\n".join("|".join(str(one[key]) for key in ("at", "change", "by_whom", "reason")) for one in changes)
    found = accounts.books.export(name)
    if found is None:
        raise NotDone(f"there is no customer {name}")
    return json.dumps(found, sort_keys=True, indent=1)
