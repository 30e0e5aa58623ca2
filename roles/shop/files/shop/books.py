"""What the shop keeps: customers, logins, orders and bills; and the marks of the control arm.

A write is acknowledged only when COMMIT came back without a warning. PostgreSQL acknowledges a commit whose wait for
its standby was cut short, with nothing but a WARNING; such a row can vanish when the standby is promoted. That outcome,
and a COMMIT that was sent and not answered, is ``InDoubt``. For the same reason nothing here ever cancels a query, and
the role has no statement_timeout: cancelling a waiting commit is what cuts its wait short.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import psycopg
from psycopg import AsyncConnection

from .pool import Away, Link, Pool

T = TypeVar("T")
Work = Callable[[AsyncConnection], Awaitable[T]]

_ROWS = (
    "'{0}', (SELECT coalesce(json_agg(to_jsonb(t) - 'customer' ORDER BY t.at), '[]') FROM secondsite.{0} t"
    " WHERE t.customer = c.name)"
)
_TABLES = ("orders", "bills", "logins", "holds", "account_changes", "corrections")
_EXPORT = (
    "SELECT json_build_object('account', json_build_object('name', c.name, 'id', c.id, 'contact', c.contact, 'since',"
    f" c.created_at), {', '.join(_ROWS.format(table) for table in _TABLES)})"
    " FROM secondsite.customers c WHERE c.name = %(c)s"
)
_NOT_NOW = (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction, psycopg.InterfaceError)


class InDoubt(Exception):
    """The write may or may not be kept."""


class OnHold(Exception):
    """The customer may not order."""


class Revoked(Exception):
    """The customer may not do anything any more."""


class Taken(Exception):
    """The order's id belongs to another customer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a transaction returned, and the node that ran it."""

    row: object
    node: str


class Books:
    """The databases, each behind a pool; ``budget_s`` bounds what a customer waits. An estate may have no control arm.

    ``reading`` leads to the billing database as well. Writes that wait for a lost standby hold every connection they
    have; reads, which wait for nobody, have their own.
    """

    def __init__(self, billing: Pool, reading: Pool, control: Pool | None, *, budget_s: float) -> None:
        self._billing = billing
        self._reading = reading
        self._control = control
        self._budget_s = budget_s
        self._abandoned: set[asyncio.Task[Kept]] = set()

    async def password_hash(self, customer: str) -> Kept:
        """Return the stored hash, or None for an unknown customer."""
        query = "SELECT password_hash FROM secondsite.customers WHERE name = %s"
        return await self._read(query, [customer], customer=None)

    async def record_login(self, customer: str, address: str) -> Kept:
        """Keep time and address of a sign-in; return its number and time."""

        async def work(connection: AsyncConnection) -> object:
            await _refuse_revoked(connection, customer)
            insert = "INSERT INTO secondsite.logins (customer, address) VALUES (%s, %s) RETURNING id, at::text"
            return await _one(connection, insert, [customer, address])

        return await self._write(self._billing, work)

    async def order(self, order_id: str, customer: str, item: str, cents: int) -> Kept:
        """Keep an order and its bill together; return (customer, item, whether it is new).

        An id that is there already gives back the order that is there. Touching its row makes that answer, too, wait
        until the standby has everything the answer rests on.
        """

        async def work(connection: AsyncConnection) -> object:
            on_hold, revoked = await _one(  # who was erased has no row, and is refused like who was revoked
                connection,
                "SELECT EXISTS (SELECT FROM secondsite.holds WHERE customer = %(c)s),"
                " EXISTS (SELECT FROM secondsite.revocations WHERE customer = %(c)s)"
                " OR NOT EXISTS (SELECT FROM secondsite.customers WHERE name = %(c)s)",
                {"c": customer},
            )
            if revoked:
                raise Revoked(customer)
            if on_hold:
                raise OnHold(customer)
            row = await _one(
                connection,
                "INSERT INTO secondsite.orders AS o (id, customer, item) VALUES (%s, %s, %s)"
                " ON CONFLICT (id) DO UPDATE SET item = o.item RETURNING o.customer, o.item, o.xmax = 0",
                [order_id, customer, item],
            )
            if row[0] != customer:
                raise Taken(order_id)
            if row[2]:
                bill = "INSERT INTO secondsite.bills (order_id, customer, cents) VALUES (%s, %s, %s)"
                await connection.execute(bill, [order_id, customer, cents])
            return row

        return await self._write(self._billing, work)

    async def find_order(self, order_id: str, customer: str) -> Kept:
        """Return (id, item, time) of the customer's order, or None."""
        return await self._read(
            "SELECT id::text, item, at::text FROM secondsite.orders WHERE id = %s AND customer = %s",
            [order_id, customer],
            customer=customer,
        )

    async def bills(self, customer: str, order_id: str | None, limit: int) -> Kept:
        """Return the customer's latest bills as (order, cents, time); only the one for ``order_id`` if given."""
        return await self._read(
            "SELECT coalesce(json_agg(json_build_object('order', order_id, 'cents', cents, 'at', at) ORDER BY at DESC),"
            " '[]') FROM (SELECT * FROM secondsite.bills WHERE customer = %(c)s"
            " AND (%(o)s::uuid IS NULL OR order_id = %(o)s::uuid) ORDER BY at DESC LIMIT %(n)s) b",
            {"c": customer, "o": order_id, "n": limit},
            customer=customer,
        )

    async def customer(self, name: str) -> Kept:
        """Return (since, latest logins, holds) or None."""
        return await self._read(
            "SELECT c.created_at::text, coalesce((SELECT json_agg(l) FROM (SELECT id, at, address"
            " FROM secondsite.logins WHERE customer = c.name ORDER BY id DESC LIMIT 10) l), '[]'),"
            " coalesce((SELECT json_agg(reason) FROM secondsite.holds WHERE customer = c.name), '[]')"
            " FROM secondsite.customers c WHERE c.name = %s",
            [name],
            customer=name,
        )

    async def account(self, name: str) -> Kept:
        """Return (the account's own id) or None."""
        query = "SELECT id::text FROM secondsite.customers WHERE name = %s"
        return await self._read(query, [name], customer=name)

    async def export(self, name: str) -> Kept:
        """Return everything the database holds about a customer, as one object."""
        return await self._read(_EXPORT, {"c": name}, customer=name)

    async def correct(self, name: str, contact: str) -> Kept:
        """Put right where a customer is reached, and note that it was."""

        async def work(connection: AsyncConnection) -> object:
            await _refuse_revoked(connection, name)
            update = "UPDATE secondsite.customers SET contact = %s WHERE name = %s RETURNING true"
            if not await _one(connection, update, [contact, name]):
                raise Revoked(name)
            insert = (
                "INSERT INTO secondsite.corrections (customer, what, by_whom) VALUES (%s, 'contact', 'the customer')"
            )
            await connection.execute(insert, [name])
            return [True]

        return await self._write(self._billing, work)

    async def mark(self, mark_id: str) -> Kept:
        """Keep a mark in the control database; return whether it is new."""

        async def work(connection: AsyncConnection) -> object:
            insert = "INSERT INTO secondsite.marks (id) VALUES (%s) ON CONFLICT DO NOTHING RETURNING true"
            return [bool(await _one(connection, insert, [mark_id]))]

        if self._control is None:
            raise RuntimeError("there is no control arm, and no way that leads here")
        return await self._write(self._control, work)

    async def prove_writable(self) -> Kept:
        """Draw a transaction number in the billing database, which only a writer can, and let it go.

        Raises:
            Away: it is not writable.
        """

        async def draw() -> Kept:
            async with self._billing.link() as link:
                row = await _one(link.connection, "SELECT pg_current_xact_id()::text", [])
                return Kept(row=row, node=link.node)

        return await self._bounded(draw(), late=Away("the database did not answer in time"))

    async def _read(self, query: str, values: object, *, customer: str | None) -> Kept:
        """Read for a customer, from the writer only: a standby's answer may be old, or may vanish."""

        async def read() -> Kept:
            async with self._reading.link() as link:
                await link.connection.execute("BEGIN READ ONLY")
                try:
                    standby, revoked = await _one(
                        link.connection,
                        "SELECT pg_is_in_recovery(), EXISTS (SELECT FROM secondsite.revocations WHERE customer = %s)",
                        [customer],
                    )
                    if standby:
                        raise Away(f"{link.node} is a standby")
                    if revoked:
                        raise Revoked(customer)
                    return Kept(row=await _one(link.connection, query, values), node=link.node)
                finally:
                    if not link.connection.closed:
                        await link.connection.execute("ROLLBACK")

        return await self._bounded(read(), late=Away("the database did not answer in time"))

    async def _write(self, pool: Pool, work: Work[object]) -> Kept:
        return await self._bounded(
            _transaction(pool, work), late=InDoubt("the database did not answer the commit in time")
        )

    async def _bounded(self, work: Awaitable[Kept], *, late: Exception) -> Kept:
        """Wait no longer than the budget. What runs longer is left running, never cancelled."""
        task = asyncio.ensure_future(work)
        done, _ = await asyncio.wait({task}, timeout=self._budget_s)
        if not done:
            self._abandoned.add(task)
            task.add_done_callback(self._forget)
            raise late
        try:
            return task.result()
        except _NOT_NOW as error:
            raise Away(str(error)) from error

    def _forget(self, task: asyncio.Task[Kept]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()


async def _transaction(pool: Pool, work: Work[object]) -> Kept:
    async with pool.link() as link:
        await link.connection.execute("BEGIN")
        try:
            row = await work(link.connection)
        except BaseException:
            if not link.connection.closed:
                await link.connection.execute("ROLLBACK")
            raise
        await _commit(link)
        return Kept(row=row, node=link.node)


async def _commit(link: Link) -> None:
    try:
        await link.connection.execute("COMMIT")
    except psycopg.Error as error:
        raise InDoubt(f"COMMIT was sent and failed: {error}") from error
    if link.warnings:
        raise InDoubt(f"COMMIT came back with a warning: {'; '.join(link.warnings)}")


async def _refuse_revoked(connection: AsyncConnection, customer: str) -> None:
    if await _one(connection, "SELECT 1 FROM secondsite.revocations WHERE customer = %s", [customer]):
        raise Revoked(customer)


async def _one(connection: AsyncConnection, query: str, values: object) -> tuple | None:
    return await (await connection.execute(query, values)).fetchone()
