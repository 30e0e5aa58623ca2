"""A tally: what each cluster holds at one position of its log, counted where it lives; and something destroyed on purpose before.

Whoever restores a backup up to that position must find the same, and one second before the destruction what was destroyed.
A standby that holds still for a moment knows its position exactly. A writer without a follower does where nobody writes just then.
Tallies go to each repository's archive, to which producers may only add.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import tables
from .common import KEPT, Failed, came, keep, run, tried

SOCKETS = "/var/run/postgresql"
PGBACKREST = Path("/etc/pgbackrest.conf")
AS_PRODUCER = ("setpriv", "--reuid=postgres", "--regid=postgres", "--groups=secondsite-tls", "--", "pgbackrest")
SCHEMA = "secondsite_rehearsal"
BEGIN = f"""CREATE SCHEMA IF NOT EXISTS {SCHEMA};
CREATE TABLE IF NOT EXISTS {SCHEMA}.losses (marker uuid PRIMARY KEY, before timestamptz NOT NULL, rows bigint NOT NULL,
 digest text NOT NULL, destroyed_at timestamptz);
DROP TABLE IF EXISTS {SCHEMA}.work"""
ROWS = 1000
EARLIER_S, LATER_S = 2.0, 0.5  # the last second before the destruction lies between, and nothing else does
QUICK_S, TRIES_TO_BE_QUICK = 0.9, 8
CLOSE_AFTER_S = (3.0, 7.0, 10.0)
LOSS_WITHIN_S, LOSS_EARLIER_S = 60.0, 20.0
STILL_WITHIN_S, HELD_WITHIN_S, TRIES, PAUSE_S = 30.0, 1.0, 3, 0.1
AGAIN_S = 1.0
STANDBY_STILL = "SELECT pg_get_wal_replay_pause_state() = 'paused'"


def connected(port, database="postgres"):
    import psycopg

    return psycopg.connect(
        host=SOCKETS, port=port, dbname=database, user="postgres", application_name="tally", autocommit=True
    )


def one(connection, query, *values):
    return connection.execute(query, values or None).fetchone()[0]


# --- the writer's part ---


def rehearse_loss(connection):
    """Write rows with a marker, and destroy them: whoever recovers to a second before must find them, all of them."""
    for statement in BEGIN.split(";"):
        connection.execute(statement)
    marker = uuid.uuid4()
    connection.execute(f"DELETE FROM {SCHEMA}.losses WHERE before < now() - interval '30 days'")
    connection.execute(f"CREATE TABLE {SCHEMA}.work AS SELECT n, '{marker}'::uuid AS marker, md5(n::text) AS note"
                       f" FROM generate_series(1, {ROWS}) AS n")  # fmt: skip
    connection.execute(tables.ALIKE)
    rows, digest = connection.execute(tables.DIGEST.format(f"{SCHEMA}.work")).fetchone()
    for _ in range(TRIES_TO_BE_QUICK):
        time.sleep(EARLIER_S)
        if destroyed(connection, marker, rows, digest):
            return
    raise Failed(f"this host took longer than {QUICK_S:g} s from one statement to the next, {TRIES_TO_BE_QUICK} times")


def destroyed(connection, marker, rows, digest):
    """Destroy the rows within a second of a commit; return whether that was quick enough, else nothing is destroyed.

    Recovery stops before that commit. Without it, it would stop at the destruction, whose lock is in the log already.
    """
    told = connection.execute(
        f"INSERT INTO {SCHEMA}.losses (marker, before, rows, digest) VALUES (%s, clock_timestamp(), %s, %s)"
        " RETURNING before",
        (marker, rows, digest),
    ).fetchone()[0]
    time.sleep(LATER_S)
    with connection.transaction():
        at = one(connection, "SELECT clock_timestamp()")
        if (at - told).total_seconds() < QUICK_S:
            connection.execute(f"DROP TABLE {SCHEMA}.work")
            set_both = f"UPDATE {SCHEMA}.losses SET destroyed_at = %s, before = %s - interval '1 s' WHERE marker = %s"
            connection.execute(set_both, (at, at, marker))
            return True
        connection.execute(f"DELETE FROM {SCHEMA}.losses WHERE marker = %s", (marker,))
    return False


def close_log(connection):
    """Have the log that holds all this archived soon: a tally is taken elsewhere meanwhile."""
    began = time.monotonic()
    for after in CLOSE_AFTER_S:
        time.sleep(max(0.0, began + after - time.monotonic()))
        connection.execute("SELECT pg_switch_wal()")


# --- counting at a known position ---


def tally(scope, port, connection, *, is_standby):
    """Return what the cluster holds at one position of its log."""
    names = [row[0] for row in connection.execute(tables.DATABASES).fetchall()]
    with contextlib.ExitStack() as held:
        inside = {name: held.enter_context(connected(port, name)) for name in names}
        timeline, lsn = still_standby(connection, inside) if is_standby else still_writer(connection, inside)
        first = inside["postgres"]
        found = {
            "scope": scope,
            "system": one(first, "SELECT system_identifier::text FROM pg_control_system()"),
            "timeline": timeline,
            "lsn": lsn,
            "at": time.time(),
            "roles": tables.roles(first),
            "loss": newest_loss(first),
            "databases": {name: tables.counted(connection) for name, connection in inside.items()},
        }
        if found["databases"].keys() != set(databases_of(first)):
            raise Failed(f"{scope}: a database was made meanwhile")
    return found


def databases_of(connection):
    return [row[0] for row in connection.execute(tables.DATABASES).fetchall()]


def begun(inside):
    """Begin a transaction in each database that sees one state from now on."""
    for connection in inside.values():
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        connection.execute("SELECT pg_current_snapshot()")


def still_standby(connection, inside):
    """Take every snapshot while the standby holds still, which takes milliseconds; return the timeline and the position.

    Patroni has a standby that holds still go on at its next look. Whoever sees the same position before and after the
    snapshots knows that nothing was replayed meanwhile, and whoever does not tries again.
    """
    position = "SELECT pg_last_wal_replay_lsn()::text"
    until = time.monotonic() + STILL_WITHIN_S
    try:
        while not (lsn := position_held(connection, inside, position)):
            if time.monotonic() > until:
                raise Failed("the standby does not hold still")
            time.sleep(PAUSE_S)
    finally:
        connection.execute("SELECT pg_wal_replay_resume()")
    timeline = connection.execute("SELECT received_tli FROM pg_stat_wal_receiver WHERE status = 'streaming'").fetchone()
    if timeline is None:
        raise Failed("this standby hears nothing of its writer")
    return timeline[0], lsn


def position_held(connection, inside, position):
    """Hold the standby still and take every snapshot; return its position, or nothing where it went on meanwhile."""
    connection.execute("SELECT pg_wal_replay_pause()")
    soon = time.monotonic() + HELD_WITHIN_S
    while not one(connection, STANDBY_STILL):
        if time.monotonic() > soon:
            return ""
        time.sleep(0.01)
    lsn = one(connection, position)
    begun(inside)
    if one(connection, position) == lsn:
        return lsn
    for other in inside.values():
        other.execute("ROLLBACK")
    return ""


def still_writer(connection, inside):
    """Take every snapshot in a moment in which nothing is written; return the timeline and the position."""
    position = "SELECT pg_current_wal_insert_lsn()::text"
    until = time.monotonic() + 2 * STILL_WITHIN_S
    while time.monotonic() < until:
        before = one(connection, position)
        begun(inside)
        busy = one(inside["postgres"], "SELECT count(*) FROM pg_snapshot_xip(pg_current_snapshot())")
        if one(connection, position) == before and not busy:
            return int(one(connection, "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"), 16), before
        for other in inside.values():
            other.execute("ROLLBACK")
        time.sleep(PAUSE_S)
    raise Failed("it has no standby, and somebody always writes: what it holds at one position can't be told")


def newest_loss(connection):
    """Return the newest destruction that this transaction sees; None where none was rehearsed."""
    if one(connection, "SELECT to_regclass(%s)", f"{SCHEMA}.losses") is None:
        return None
    row = connection.execute(
        f"SELECT marker::text, before::text, rows, digest, extract(epoch FROM before)::float8 FROM {SCHEMA}.losses"
        " WHERE destroyed_at IS NOT NULL ORDER BY destroyed_at DESC LIMIT 1"
    ).fetchone()
    return dict(zip(("marker", "before", "rows", "digest", "at"), row, strict=True)) if row else None


def await_loss(connection):
    """Wait until what the writer destroys just now was heard of here; where nothing comes, the tally has what came before."""
    since, until = time.time() - LOSS_EARLIER_S, time.monotonic() + LOSS_WITHIN_S
    while time.monotonic() < until:
        found = newest_loss(connection)
        if found and found["at"] > since:
            return
        time.sleep(2 * PAUSE_S)


# --- telling the repositories ---


def repositories():
    """Return the number of each repository that this host archives to."""
    return re.findall(r"^repo(\d+)-host=", PGBACKREST.read_text(), re.MULTILINE)


def tell(found):
    """Add the tally to each repository's archive; yield at which that failed."""
    high, _, low = found["lsn"].partition("/")
    name = f"{found['timeline']:08X}-{int(high, 16):08X}{int(low, 16):08X}-{found['at']:.0f}.json"
    target = f"archive/{found['scope']}/tallies/{name}"
    for number in repositories():
        words = (
            *AS_PRODUCER,
            f"--stanza={found['scope']}",
            f"--repo={number}",
            "--log-level-console=error",
            "--raw",
            "repo-put",
            target,
        )
        content = json.dumps(found, sort_keys=True)
        code, complained, _ = tried(*words, stdin=content, merge=True)
        if code != 0:  # the network, or a repository that is busy: whoever verifies waits for this tally
            time.sleep(AGAIN_S)
            code, complained, _ = tried(*words, stdin=content, merge=True)
        if code != 0:
            why = " ".join(complained.split())[-300:] or f"exit code {code}"
            yield f"repository {number} did not take the tally of {found['scope']}: {why}"


def work(scope, port):
    """Do what is to be done at this host for one cluster; return the reasons why it was not, and what was done."""
    import psycopg

    with connected(port) as connection:
        is_standby = one(connection, "SELECT pg_is_in_recovery()")
        followers = one(connection, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")
        if is_standby:
            await_loss(connection)
        else:
            rehearse_loss(connection)
        reasons = []
        if is_standby or not followers:
            for left in reversed(range(TRIES)):
                try:
                    found = tally(scope, port, connection, is_standby=is_standby)
                    break
                except psycopg.errors.OperationalError:  # what it read was cleaned up by the writer
                    if not left:
                        raise
            reasons = list(tell(found))
        if not is_standby:
            close_log(connection)
    return reasons, "told" if is_standby or not followers else "left to its standby"


def main(clusters):
    """Do it for all clusters at once; return what came of it."""
    with ThreadPoolExecutor(max_workers=len(clusters)) as pool:
        running = {scope: pool.submit(work, scope, port) for scope, port in clusters.items()}
    reasons, done = [], {}
    for scope, one_running in running.items():
        try:
            wrong, done[scope] = one_running.result()
            reasons += wrong
        except Exception as error:  # of any kind: the others are told of, and this one is red
            reasons.append(f"{scope}: {error}")
    told = came(reasons, done=done)
    keep(KEPT / "tallies", "tally", told)
    return told
