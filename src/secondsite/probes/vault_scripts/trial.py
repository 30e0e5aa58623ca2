"""As root on a host of the target: restore one backup from the vault into an isolated place, verify it, take it away.

Reads one JSON object on standard input: ``place``, which is made and removed. A database: ``scope``, ``source`` (the
repository's host), ``label`` (the backup's), ``rows`` (of its table that was filled). Files: ``snapshot``,
``include``, ``files`` (how many). Prints how much was restored. What is not what it should be is an error.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

RESTIC = "/usr/local/sbin/secondsite-restic"
CONFIGURATION = Path("/etc/pgbackrest.conf")
BINARIES = "/usr/lib/postgresql/17/bin"
PORT = 5499
AS_POSTGRES = ("setpriv", "--reuid=postgres", "--regid=postgres", "--groups=secondsite-tls")
PRIVATE = (
    "-c listen_addresses='' -c unix_socket_directories={sockets} -c port={port} -c ssl=off -c archive_mode=off"
    " -c synchronous_standby_names='' -c hot_standby=on -c shared_buffers=32MB"
)


def run(*words: str, may_fail: bool = False) -> str:
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd="/")
    if done.returncode != 0 and not may_fail:
        sys.exit(f"{' '.join(words[:8])}: exit code {done.returncode}: {(done.stderr or done.stdout).strip()[-400:]}")
    return done.stdout


def as_postgres(*words: str, may_fail: bool = False) -> str:
    return run(*AS_POSTGRES, *words, may_fail=may_fail)


def size_of(folder: Path) -> tuple[int, int]:
    """Return bytes and files below a folder."""
    sizes = [one.lstat().st_size for one in folder.rglob("*") if one.is_file() and not one.is_symlink()]
    return sum(sizes), len(sizes)


def number_of(source: str) -> str:
    found = re.search(rf"^repo(\d+)-host={re.escape(source)}$", CONFIGURATION.read_text(), re.MULTILINE)
    if found is None:
        sys.exit(f"{source} is none of the repositories in {CONFIGURATION}")
    return found[1]


def restore_database(place: Path, told: dict[str, Any]) -> dict[str, Any]:
    folder, sockets = place / "data", place / "sockets"
    for one in (folder, sockets):
        one.mkdir(mode=0o700, parents=True)
    run("chmod", "0711", str(place))
    run("chown", "-R", "postgres:postgres", str(folder), str(sockets))
    words = (f"--stanza={told['scope']}", f"--repo={number_of(told['source'])}", f"--set={told['label']}")
    restoring = ("--type=immediate", "--target-action=promote", "--archive-mode=off")
    as_postgres("pgbackrest", *words, f"--pg1-path={folder}", *restoring, "restore")
    amount, _ = size_of(folder)
    options = PRIVATE.format(sockets=sockets, port=PORT)
    pg_ctl = (f"{BINARIES}/pg_ctl", "-D", str(folder), "-t", "3600", "-w")
    as_postgres(*pg_ctl, "-l", str(sockets / "log"), "-o", options, "start")
    try:
        asked = ("psql", "--no-psqlrc", "-h", str(sockets), "-p", str(PORT), "-d", "trial", "-Atc")
        rows = int(as_postgres(*asked, "SELECT count(*) FROM filled"))
    finally:
        as_postgres(*pg_ctl, "-m", "fast", "stop")
    as_postgres(f"{BINARIES}/pg_checksums", "--check", "-D", str(folder))
    if rows != told["rows"]:
        sys.exit(f"backup {told['label']} holds {rows} rows, {told['rows']} were backed up")
    return {"bytes": amount, "verified_by": f"every page's checksum, {rows} rows counted"}


def restore_files(place: Path, told: dict[str, Any]) -> dict[str, Any]:
    place.mkdir(mode=0o700, parents=True)
    words = (RESTIC, "restore", told["snapshot"], "--include", told["include"], "--target", str(place), "--verify")
    run(*words)
    amount, files = size_of(place)
    if files != told["files"]:
        sys.exit(f"snapshot {told['snapshot'][:8]} holds {files} files below {told['include']}, not {told['files']}")
    return {"bytes": amount, "files": files, "verified_by": "every file read back (restic --verify)"}


def main() -> None:
    told: dict[str, Any] = json.load(sys.stdin)
    os.umask(0o022)
    place = Path(told["place"])
    shutil.rmtree(place, ignore_errors=True)
    try:
        print(json.dumps(restore_database(place, told) if "label" in told else restore_files(place, told)))
    finally:
        shutil.rmtree(place, ignore_errors=True)


main()
