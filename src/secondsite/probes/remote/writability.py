"""Try whether this host's databases can be written: one file of plain Python, run on the host as user postgres.

Every attempt is a real INSERT that is rolled back, over a local connection that is kept. The order is one line of JSON
on standard input; each attempt is a JSON line on standard output; it stops when its standard input ends.

A standby also says for how long it has been one, ``standby_s``: since its server started, because a server that was
promoted becomes a standby again only by a restart. That closes the moments between two attempts.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

_INSERT = "INSERT INTO secondsite.writability (node) VALUES (%s)"
_ONE_LINE_AT_A_TIME = threading.Lock()
_PARENT, _STARTED = 1, 19
"""Where these stand in /proc/PID/stat behind the command's name: proc(5), fields 4 and 22."""


def server_began(backend: int) -> float | None:
    """Return when the server a backend belongs to had been started, on the monotonic clock; None if nobody can say."""
    try:
        server = int(_stat(backend)[_PARENT])
        ticks = int(_stat(server)[_STARTED]) + 1
    except (OSError, ValueError, IndexError):  # it is gone, or this is no Linux: then nothing is claimed
        return None
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.monotonic() - max(age, 0.0)


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


@dataclass(slots=True, kw_only=True)
class Cluster:
    """One database cluster on this host, and the connection kept to it."""

    workload: str
    port: int
    database: str
    connection: psycopg.Connection[Any] | None = field(default=None, init=False)
    server_began: float | None = field(default=None, init=False)

    def attempt(self, node: str) -> tuple[str, str]:
        """Try to write; return writable, read-only or down, and why; unreachable when that can't be told.

        A write that had to wait for longer than its time limit counts as writable: writers wait, for locks and copies.
        So does a standby on a machine without time: who was too slow is asked which of both it is.
        """
        try:
            if self.connection is None or self.connection.closed:
                self.connection = self._connect()
                self.server_began = server_began(self.connection.info.backend_pid)
            self.connection.execute("BEGIN")
            try:
                self.connection.execute(_INSERT, [node])
            finally:
                self.connection.execute("ROLLBACK")
        except psycopg.errors.ReadOnlySqlTransaction:
            return "read-only", ""
        except psycopg.errors.QueryCanceled as error:
            return self._too_slow(), str(error).splitlines()[0]
        except psycopg.Error as error:
            self._drop()
            return "down", (str(error).splitlines() or [type(error).__name__])[0]
        return "writable", ""

    def _too_slow(self) -> str:
        """Say what a server is that did not refuse in time: it can't have become a standby since, without a restart."""
        if self.connection is None:
            return "unreachable"
        try:
            self.connection.execute("ROLLBACK")  # the one before it may have been what took too long
            row = self.connection.execute("SELECT pg_is_in_recovery()").fetchone()
        except psycopg.Error:
            lost = self.connection.closed
            self._drop()
            return "down" if lost else "unreachable"
        return "read-only" if row == (True,) else "writable"

    def standby_since(self) -> float | None:
        """Return since when this server has surely been a standby, on the monotonic clock; None if nobody can say."""
        if self.connection is None or self.server_began is None:
            return None
        try:
            row = self.connection.execute("SELECT pg_is_in_recovery()").fetchone()
        except psycopg.Error:
            self._drop()
            return None
        return self.server_began if row == (True,) else None

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host="/var/run/postgresql",
            port=self.port,
            dbname=self.database,
            autocommit=True,
            connect_timeout=2,
            application_name="writability",
            options="-c statement_timeout=200ms",
        )

    def _drop(self) -> None:
        if self.connection is not None:
            with contextlib.suppress(psycopg.Error):  # it is broken already
                self.connection.close()
        self.connection = None


def poll(cluster: Cluster, *, node: str, every_s: float, stopping: threading.Event) -> None:
    """Try again and again, by the clock, and say what was seen."""
    due = time.monotonic()
    while not stopping.is_set():
        began = time.monotonic()
        state, why = cluster.attempt(node)
        t = time.monotonic()
        line: dict[str, object] = {"t": t, "node": node, "workload": cluster.workload, "state": state}
        line["took_s"] = round(t - began, 6)
        if state == "read-only" and (since := cluster.standby_since()) is not None:
            line["standby_s"] = round(max(0.0, t - since), 6)
        with _ONE_LINE_AT_A_TIME:
            sys.stdout.write(json.dumps(line | ({"why": why} if why else {})) + "\n")
            sys.stdout.flush()
        due = max(due + every_s, time.monotonic())
        stopping.wait(due - time.monotonic())


def main() -> int:
    """Poll every cluster in a thread of its own."""
    words = json.loads(sys.stdin.readline())
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    pace = {"node": words["node"], "every_s": words["every_s"], "stopping": stopping}
    for cluster in words["clusters"]:
        threading.Thread(target=poll, args=(Cluster(**cluster),), kwargs=pace, daemon=True).start()
    while sys.stdin.readline():
        pass
    stopping.set()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
