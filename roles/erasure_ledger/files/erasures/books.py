"""What of the ledger concerns the database: who is there, what is in force for him, and how he is taken out of it.

Bills are kept as bookkeeping needs them - number, amount and day - and belong to nobody any more: the account ``erased``
stands in the place of everybody who was. A commit that came back with a warning may be missing at the other site.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterable, Mapping
from typing import Any

import psycopg
from psycopg.rows import dict_row

from .rules import Entry, Standing, State

SOCKETS = "/var/run/postgresql"
NOBODY = "erased"
PROVISIONED = "provisioning"
TABLES = {
    State.HOLD: "holds",
    State.REVOCATION: "revocations",
    State.CLOSURE: "closures",
    State.LEGAL_HOLD: "legal_holds",
}
# Everything about a person, and nothing of which bookkeeping needs anything.
ABOUT = ("logins", "holds", "revocations", "closures", "legal_holds", "account_changes", "corrections")
TURNED_OVER = ("orders", "bills")


class InDoubt(Exception):
    """It is done here, and may be missing at the other site."""


class Books:
    """The shop's database, as its owner, on the host where it runs."""

    def __init__(self, *, port: int, name: str) -> None:
        self._warnings: list[str] = []
        self._connection = psycopg.connect(
            host=SOCKETS, port=port, dbname=name, user="postgres", autocommit=True, connect_timeout=3,
            application_name="accountctl", row_factory=dict_row,
        )  # fmt: skip
        self._connection.add_notice_handler(self._noticed)

    def _noticed(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self._warnings.append(str(notice.message_primary))

    def _all(self, query: str, *values: Any) -> list[dict[str, Any]]:
        return self._connection.execute(query, values or None).fetchall()

    def leads(self) -> bool:
        """Say whether this host's database is the one that is written."""
        return not self._all("SELECT pg_is_in_recovery() AS standby")[0]["standby"]

    def subject_of(self, name: str) -> str | None:
        """Return the id of the account of that name. Nobody may order anything about the account that stands for all erased."""
        found = self._all("SELECT id::text FROM secondsite.customers WHERE name = %s AND name <> %s", name, NOBODY)
        return str(found[0]["id"]) if found else None

    def present(self, subjects: Iterable[str]) -> list[str]:
        """Return those of the accounts that are there."""
        found = self._all("SELECT id::text FROM secondsite.customers WHERE id = ANY(%s::uuid[])", list(subjects))
        return sorted(str(row["id"]) for row in found)

    def rows_of(self, word: str) -> int:
        """Return how many rows there are of an account, by its name or its id, in any table."""
        found = 0
        for table in ("customers", *TURNED_OVER, *ABOUT):
            column = "name" if table == "customers" else "customer"
            where = f"{column} IN (SELECT name FROM secondsite.customers WHERE id::text = %s UNION SELECT %s)"
            query = f"SELECT count(*) AS rows FROM secondsite.{table} WHERE {where}"  # noqa: S608  names of our own
            found += self._all(query, word, word)[0]["rows"]
        return found

    def in_force(self, subject: str) -> dict[State, str]:
        """Return what is in force for an account, with its reason."""
        found: dict[State, str] = {}
        for state, table in TABLES.items():
            query = (
                f"SELECT s.reason FROM secondsite.{table} s JOIN secondsite.customers c ON c.name = s.customer"  # noqa: S608
                " WHERE c.id = %s"
            )
            found |= {state: row["reason"] for row in self._all(query, subject)}
        return found

    def all_in_force(self) -> list[tuple[str, State, str]]:
        """Return everything that is in force, for each account with its reason; of nobody's account nothing is told."""
        found: list[tuple[str, State, str]] = []
        for state, table in TABLES.items():
            query = (
                f"SELECT c.id::text, s.reason FROM secondsite.{table} s JOIN secondsite.customers c"  # noqa: S608
                " ON c.name = s.customer WHERE c.name <> %s ORDER BY s.at, c.name"
            )
            found += [(str(row["id"]), state, str(row["reason"])) for row in self._all(query, NOBODY)]
        return found

    def held_by_law(self) -> list[str]:
        """Return every account with a legal hold."""
        query = "SELECT c.id::text FROM secondsite.legal_holds s JOIN secondsite.customers c ON c.name = s.customer"
        return sorted(str(row["id"]) for row in self._all(query))

    def closed(self) -> list[tuple[str, str]]:
        """Return name and id of every account that was closed."""
        query = (
            "SELECT c.name, c.id::text FROM secondsite.closures s JOIN secondsite.customers c ON c.name = s.customer"
            " ORDER BY s.at"
        )
        return [(str(row["name"]), str(row["id"])) for row in self._all(query)]

    def settle(self, subject: str, standing: Standing, *, change: str = "", entry: Entry | None = None) -> bool:
        """Make what is in force in the ledger so here, in one transaction; say whether anything had to be changed.

        What the ledger never told of stays as it is.

        Raises:
            InDoubt: it was committed with a warning.
        """
        self._warnings.clear()
        with self._connection.transaction():
            query = "SELECT name FROM secondsite.customers WHERE id = %s AND name <> %s FOR UPDATE"
            row = self._connection.execute(query, (subject, NOBODY)).fetchone()
            if row is None:
                return False
            name = str(row["name"])
            changed = self._erase(name) if standing.erased is not None else self._put(name, standing)
            if change and entry is not None and standing.erased is None:
                self._note(name, change, entry)
        if self._warnings:
            raise InDoubt("; ".join(self._warnings))
        return changed

    def _put(self, name: str, standing: Standing) -> bool:
        wanted = dict(standing.states)
        ended = set(standing.ended)
        if State.CLOSURE in wanted:  # who closed his account can't sign in
            wanted.setdefault(State.REVOCATION, wanted[State.CLOSURE])
            ended.discard(State.REVOCATION)
        elif State.CLOSURE in ended and State.REVOCATION not in wanted:
            ended.add(State.REVOCATION)
        changed = 0
        for state, entry in wanted.items():
            insert = f"INSERT INTO secondsite.{TABLES[state]} (customer, reason, at) VALUES (%s, %s, to_timestamp(%s))"  # noqa: S608
            values = (name, entry.reason, entry.at)
            changed += self._connection.execute(f"{insert} ON CONFLICT DO NOTHING", values).rowcount
        for state in ended:
            changed += self._connection.execute(
                f"DELETE FROM secondsite.{TABLES[state]} WHERE customer = %s",
                (name,),  # noqa: S608
            ).rowcount
        return changed > 0

    def _erase(self, name: str) -> bool:
        """Take a person out. His row is locked: whatever he was ordering has ended, and nothing of his begins any more."""
        for table in TURNED_OVER:
            self._connection.execute(f"UPDATE secondsite.{table} SET customer = %s WHERE customer = %s", (NOBODY, name))  # noqa: S608
        for table in ABOUT:
            self._connection.execute(f"DELETE FROM secondsite.{table} WHERE customer = %s", (name,))  # noqa: S608
        return self._connection.execute("DELETE FROM secondsite.customers WHERE name = %s", (name,)).rowcount > 0

    def _note(self, name: str, change: str, entry: Entry) -> None:
        insert = "INSERT INTO secondsite.account_changes (customer, change, reason, by_whom) VALUES (%s, %s, %s, %s)"
        self._connection.execute(insert, (name, change, entry.reason, entry.by))

    def changes_of(self, name: str) -> list[dict[str, Any]]:
        """Return every change that was made to an account's standing."""
        query = (
            "SELECT at::text, change, by_whom, reason FROM secondsite.account_changes WHERE customer = %s ORDER BY id"
        )
        return self._all(query, name)

    def open(self, name: str, password: str) -> str | None:
        """Make an account; return its id, or None where the name is taken."""
        insert = (
            "INSERT INTO secondsite.customers (name, password_hash) VALUES (%s, %s) ON CONFLICT DO NOTHING"
            " RETURNING id::text"
        )
        found = self._all(insert, name, hashed(password))
        return str(found[0]["id"]) if found else None

    def correct(self, name: str, contact: str, *, by: str) -> bool:
        """Put right where a person is reached, and note that it was; say whether there is such an account."""
        with self._connection.transaction():
            update = "UPDATE secondsite.customers SET contact = %s WHERE name = %s AND name <> %s"
            if not self._connection.execute(update, (contact, name, NOBODY)).rowcount:
                return False
            insert = "INSERT INTO secondsite.corrections (customer, what, by_whom) VALUES (%s, 'contact', %s)"
            self._connection.execute(insert, (name, by))
        return True

    def export(self, name: str) -> dict[str, Any] | None:
        """Return everything the database has about a person; his documents are the shop's to give."""
        query = "SELECT name, id::text, contact, created_at::text AS since FROM secondsite.customers WHERE name = %s"
        found = self._all(query, name)
        if not found:
            return None
        told: dict[str, Any] = {"account": found[0]}
        for table in (*TURNED_OVER, *ABOUT):
            query = f"SELECT to_jsonb(t) - 'customer' AS row FROM secondsite.{table} t WHERE customer = %s ORDER BY at"  # noqa: S608
            told[table] = [row["row"] for row in self._all(query, name)]
        return told


def hashed(password: str) -> str:
    """Return what is stored for a password, as the shop compares it."""
    salt = os.urandom(16)
    found = hashlib.scrypt(password.encode(), salt=salt, n=4096, r=8, p=1, dklen=32)
    return f"scrypt$4096$8$1${base64.b64encode(salt).decode()}${base64.b64encode(found).decode()}"


def summary(standings: Mapping[str, Standing]) -> dict[str, int]:
    """Count what is in force."""
    states = [state for one in standings.values() if one.erased is None for state in one.states]
    return {"erased": sum(one.erased is not None for one in standings.values())} | {
        state.value: states.count(state) for state in State
    }
