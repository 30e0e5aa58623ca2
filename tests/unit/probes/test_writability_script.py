"""What a poll says of a database that is too slow to refuse or to take a write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import psycopg
import pytest

from secondsite.probes.remote.writability import Cluster

CANCELED = psycopg.errors.QueryCanceled("canceling statement due to statement timeout")


@dataclass
class Rows:
    row: tuple[bool]

    def fetchone(self) -> tuple[bool]:
        return self.row


@dataclass
class SlowServer:
    """A server whose every write runs out of time. ``recovery`` is what it says of itself, or how it fails to."""

    recovery: object
    slow_rollback: bool = False
    closed: bool = False
    failed: bool = False

    def execute(self, statement: str, _: object = None) -> Rows | None:
        if statement.startswith("INSERT"):
            self.failed = True
            raise CANCELED
        if statement == "ROLLBACK":
            if self.slow_rollback:
                self.slow_rollback = False
                raise CANCELED
            self.failed = False
        if self.failed:
            raise psycopg.errors.InFailedSqlTransaction("current transaction is aborted")
        if "pg_is_in_recovery" not in statement:
            return None
        if isinstance(self.recovery, psycopg.Error):
            self.closed = isinstance(self.recovery, psycopg.OperationalError) and self.recovery is not CANCELED
            raise self.recovery
        return Rows((self.recovery is True,))

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("recovery", "state"),
    [
        pytest.param(False, "writable", id="a-writer-that-waits-for-a-lock-or-a-copy"),
        pytest.param(True, "read-only", id="a-standby-on-a-machine-without-time"),
        pytest.param(CANCELED, "unreachable", id="too-slow-to-say-even-that"),
        pytest.param(psycopg.OperationalError("server closed the connection"), "down", id="gone-meanwhile"),
    ],
)
def test_who_is_too_slow_is_asked_whether_it_is_a_standby(recovery: object, state: str) -> None:
    cluster = Cluster(workload="billing", port=5432, database="shop")
    cluster.connection = cast("psycopg.Connection[Any]", SlowServer(recovery))

    assert cluster.attempt("db-dc2") == (state, "canceling statement due to statement timeout")


def test_a_writer_whose_rollback_was_too_slow_is_not_down() -> None:
    cluster = Cluster(workload="billing", port=5432, database="shop")
    cluster.connection = cast("psycopg.Connection[Any]", SlowServer(recovery=False, slow_rollback=True))

    assert cluster.attempt("db-dc1")[0] == "writable"
