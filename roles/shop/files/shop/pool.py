"""Database connections that are never stale and never waited for longer than a second.

Written instead of psycopg_pool because that one waits longer and longer between its attempts to reconnect, so a shop
would stay dark for seconds after its database became writable. Here every borrower that finds no live connection
connects by itself, within its own time limit. Only few connect at a time: many at once, on a busy machine, would all
run out of time, and the next ones after them.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg

from .settings import Database

_OPENED_AT_ONCE = 4
_NODE = "SELECT coalesce(nullif(current_setting('secondsite.node', true), ''), host(inet_server_addr()))"


class Away(Exception):
    """The database cannot be used now; nothing was done."""


class Link:
    """One open connection, the name its server gave of itself, and the warnings of the transaction under way."""

    def __init__(self, connection: psycopg.AsyncConnection, node: str) -> None:
        self.connection = connection
        self.node = node
        self.warnings: list[str] = []
        connection.add_notice_handler(self._noticed)

    def _noticed(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":
            self.warnings.append(f"{diagnostic.sqlstate} {diagnostic.message_primary}")

    @property
    def usable(self) -> bool:
        """An idle connection with something to read was closed, or told something, by its server: not usable."""
        if self.connection.closed:
            return False
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN)
        return not poll.poll(0) and self.connection.info.transaction_status is psycopg.pq.TransactionStatus.IDLE


class Pool:
    """At most ``size`` connections to one database."""

    def __init__(self, database: Database, *, size: int, wait_s: float) -> None:
        self._database = database
        self._wait_s = wait_s
        self._free = asyncio.Semaphore(size)
        self._opening = asyncio.Semaphore(_OPENED_AT_ONCE)
        self._idle: list[Link] = []

    @asynccontextmanager
    async def link(self) -> AsyncIterator[Link]:
        """Lend a live connection; it is closed unless it comes back idle and unbroken.

        Raises:
            Away: there was none within the time limit.
        """
        try:
            async with asyncio.timeout(self._wait_s):
                await self._free.acquire()
                try:
                    link = await self._live()
                except BaseException:
                    self._free.release()
                    raise
        except (TimeoutError, psycopg.Error, OSError) as error:
            raise Away(
                f"no connection to {self._database.host}:{self._database.port}: {str(error) or 'timed out'}"
            ) from error
        try:
            yield link
        except psycopg.OperationalError:
            await self._close_idle()  # what broke one has probably broken all
            raise
        finally:
            if link.usable:
                self._idle.append(link)
            else:
                await link.connection.close()
            self._free.release()

    async def close(self) -> None:
        """Close every idle connection."""
        await self._close_idle()

    async def _live(self) -> Link:
        return await self._idle_one() or await self._opened()

    async def _idle_one(self) -> Link | None:
        while self._idle:
            link = self._idle.pop()
            if link.usable:
                link.warnings.clear()
                return link
            await link.connection.close()
        return None

    async def _opened(self) -> Link:
        async with self._opening:
            return await self._idle_one() or await self._connected()  # one may have come back meanwhile

    async def _connected(self) -> Link:
        connection = await psycopg.AsyncConnection.connect(**self._database.parameters(), autocommit=True)
        try:
            row = await (await connection.execute(_NODE)).fetchone()
        except BaseException:
            await connection.close()
            raise
        return Link(connection, str(row[0]))

    async def _close_idle(self) -> None:
        while self._idle:
            await self._idle.pop().connection.close()
