"""As root on a database host: restore one cluster from one repository, replay all its logs, and stop it whole.

Reads one JSON object on standard input: ``run``, ``scope`` (also the stanza's name) and ``source`` (the repository's
host). Answers how much was restored, how long it took, up to which commit, and how many rows each table has. What was
restored is on the new timeline, so that whoever starts it next begins as the writer.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

CONFIGURATION = Path("/etc/pgbackrest.conf")
KEPT = Path("/var/lib/secondsite/restored")
SOCKETS = Path("/run/secondsite-restoring")
BINARIES = "/usr/lib/postgresql/17/bin"
AS_POSTGRES = ("setpriv", "--reuid=postgres", "--regid=postgres", "--groups=secondsite-tls")
REFUSED = 3
REPLAYED_WITHIN_S = 6 * 3600
TABLES = """SELECT format('%I.%I', n.nspname, c.relname)
 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname <> 'information_schema'
 AND n.nspname NOT LIKE 'pg\\_%'"""
# Nobody is served before it is whole. What it would archive waits for whoever starts it next.
PRIVATE = (
    "-c listen_addresses='' -c unix_socket_directories={sockets} -c port={port} -c ssl=off"
    " -c synchronous_standby_names='' -c archive_mode=on -c archive_command=/bin/false -c hot_standby=on"
)


def run(*words: str, may_fail: bool = False) -> str:
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd="/")
    if done.returncode != 0 and not may_fail:
        sys.exit(f"{' '.join(words[:8])}: exit code {done.returncode}: {(done.stderr or done.stdout).strip()[-400:]}")
    return done.stdout


def as_postgres(*words: str, may_fail: bool = False) -> str:
    return run(*AS_POSTGRES, *words, may_fail=may_fail)


def refuse(what: str) -> NoReturn:
    print(what, file=sys.stderr)
    sys.exit(REFUSED)


def placed(scope: str) -> tuple[Path, int]:
    """Return where the cluster lies and its port, as the archive's own configuration has it."""
    text = CONFIGURATION.read_text().partition(f"[{scope}]")[2].partition("\n[")[0]
    path, port = (re.search(rf"^{name}=(\S+)$", text, re.MULTILINE) for name in ("pg1-path", "pg1-port"))
    if path is None or port is None:
        refuse(f"{CONFIGURATION} has no stanza {scope}")
    return Path(path[1]), int(port[1])


def number_of(source: str) -> str:
    found = re.search(rf"^repo(\d+)-host={re.escape(source)}$", CONFIGURATION.read_text(), re.MULTILINE)
    if found is None:
        refuse(f"{source} is none of the repositories in {CONFIGURATION}")
    return found[1]


def size_of(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def asked(port: int, query: str, database: str = "postgres") -> list[str]:
    words = ("psql", "--no-psqlrc", "-h", str(SOCKETS), "-p", str(port), "-d", database, "-Atc", query)
    return as_postgres(*words).splitlines()


def restore(scope: str, source: str) -> float:
    began = time.monotonic()
    repository = number_of(source)
    words = (f"--stanza={scope}", f"--repo={repository}", "--delta", "--archive-mode=preserve")
    as_postgres("pgbackrest", *words, "--type=default", "--target-timeline=latest", "restore")
    return time.monotonic() - began


def replay(folder: Path, port: int) -> dict[str, Any]:
    """Start it for nobody, wait until it has replayed what there is, and return what it then holds."""
    began = time.monotonic()
    SOCKETS.mkdir(mode=0o700, exist_ok=True)
    run("chown", "postgres:postgres", str(SOCKETS))
    options = PRIVATE.format(sockets=SOCKETS, port=port)
    log = SOCKETS / f"{port}.log"
    pg_ctl = (f"{BINARIES}/pg_ctl", "-D", str(folder), "-t", str(REPLAYED_WITHIN_S))
    as_postgres(*pg_ctl, "-w", "-l", str(log), "-o", options, "start")
    try:
        while asked(port, "SELECT pg_is_in_recovery()") != ["f"]:
            if time.monotonic() - began > REPLAYED_WITHIN_S:
                sys.exit("it did not come to the end of its logs")
            time.sleep(0.1)
        seconds = time.monotonic() - began
        until = asked(port, "SELECT coalesce(extract(epoch FROM pg_last_xact_replay_timestamp())::text, '')")[0]
        timeline = asked(port, "SELECT timeline_id FROM pg_control_checkpoint()")[0]
        rows = {}
        names = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname"
        for database in asked(port, names):
            for table in asked(port, TABLES, database):
                rows[f"{database}: {table}"] = int(asked(port, f"SELECT count(*) FROM {table}", database)[0])
    finally:
        as_postgres(*pg_ctl, "-w", "-m", "fast", "stop")
    return {"replay_seconds": round(seconds, 3), "until": until, "timeline": timeline, "rows": rows}


def main() -> None:
    told = json.load(sys.stdin)
    folder, port = placed(told["scope"])
    os.umask(0o022)
    KEPT.mkdir(parents=True, exist_ok=True)
    kept, begun = KEPT / f"{told['scope']}.json", KEPT / f"{told['scope']}.begun"
    with (KEPT / f"{told['scope']}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lives = "active" in run("systemctl", "is-active", f"patroni@{told['scope']}.service", may_fail=True).split()
        if kept.exists() and ((said := json.loads(kept.read_text()))["run"] == told["run"] or lives):
            print(json.dumps({**said, "was_there": True}))  # what an earlier restart restored may live by now
            return
        if folder.exists() and any(folder.iterdir()) and not begun.exists():
            refuse(f"{folder} holds data that no restart put there: nothing was touched")
        if lives:
            refuse(f"patroni@{told['scope']} runs: whatever it holds would be overwritten")
        begun.write_text(told["run"])
        folder.mkdir(mode=0o700, exist_ok=True)
        run("chown", "postgres:postgres", str(folder))
        seconds = restore(told["scope"], told["source"])
        amount = size_of(folder)
        found = replay(folder, port)
        as_postgres(f"{BINARIES}/pg_checksums", "--check", "-D", str(folder))
        said = {"run": told["run"], "bytes": amount, "seconds": round(seconds, 3), **found}
        said["verified_by"] = "every page's checksum, every table counted"
        part = kept.with_suffix(".part")
        part.write_text(json.dumps(said))
        part.replace(kept)
        print(json.dumps({**said, "was_there": False}))


main()
