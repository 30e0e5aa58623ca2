"""Try whether this host's databases can be written: one file of plain Python, run on the host as user postgres.

Every attempt is a real INSERT that is rolled back, over a local connection that is kept. The order is one line of JSON
on standard input; each attempt is a JSON line on standard output; it stops when its standard input ends.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import psycopg

_INSERT = "INSERT INTO secondsite.writability (node) VALUES (%s)"
_ONE_LINE_AT_A_TIME = threading.Lock()


@dataclass(slots=True, kw_only=True)
class Cluster:
    """One database cluster on this host, and the connection kept to it."""

    workload: str
    port: int
    database: str
    connection: psycopg.Connection[Any] | None = field(default=None, init=False)

    def attempt(self, node: str) -> tuple[str, str]:
        """Try to write; return writable, read-only or down, and why.

        A write that had to wait for longer than its time limit counts as writable: only a writer waits.
        """
        try:
            if self.connection is None or self.connection.closed:
                self.connection = self._connect()
            self.connection.execute("BEGIN")
            try:
                self.connection.execute(_INSERT, [node])
            finally:
                self.connection.execute("ROLLBACK")
        except psycopg.errors.ReadOnlySqlTransaction:
            return "read-only", ""
        except psycopg.errors.QueryCanceled as error:
            return "writable", str(error).splitlines()[0]
        except psycopg.Error as error:
            self._drop()
            return "down", (str(error).splitlines() or [type(error).__name__])[0]
        return "writable", ""

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
        state, why = cluster.attempt(node)
        line = {"t": time.monotonic(), "node": node, "workload": cluster.workload, "state": state}
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
