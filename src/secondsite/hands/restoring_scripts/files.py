"""As root on a host: restore one folder from this host's newest snapshot at the append-only server, and read it back.

Reads one JSON object on standard input: ``run``, ``path``, ``owner`` (whose it is; made where roles did not yet),
``user`` (the unit that uses it, which must not run). Answers which snapshot it was, of when, how many files and bytes,
and how long it took.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

RESTIC = "/usr/local/sbin/secondsite-restic"
KEPT = Path("/var/lib/secondsite/restored")
JOB = "files"
REFUSED = 3


def run(*words: str) -> str:
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd="/")
    if done.returncode != 0:
        sys.exit(f"{' '.join(words[:4])}: exit code {done.returncode}: {(done.stderr or done.stdout).strip()[-400:]}")
    return done.stdout


def refuse(what: str) -> NoReturn:
    print(what, file=sys.stderr)
    sys.exit(REFUSED)


def newest() -> dict[str, Any]:
    host = socket.gethostname().partition(".")[0]
    found = json.loads(run(RESTIC, "--json", "snapshots", "--host", host, "--tag", JOB))
    if not found:
        sys.exit(f"the server has no snapshot {JOB} of {host}")
    return max(found, key=lambda one: one["time"])


def holds_files(path: Path) -> bool:
    return any(one.is_file() and not one.name.startswith(".") for one in path.rglob("*")) if path.is_dir() else False


def is_active(unit: str) -> bool:
    return subprocess.run(["systemctl", "is-active", "--quiet", unit], check=False).returncode == 0


def own(path: Path, owner: str) -> None:
    """Give what was restored to its owner by name: a new machine may know the owner by another number."""
    try:
        pwd.getpwnam(owner)
    except KeyError:
        run("useradd", "--system", "--user-group", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", owner)
    run("chown", "-R", "--no-dereference", f"{owner}:{owner}", str(path))


def last_line(said: str, kind: str) -> dict[str, Any]:
    for line in reversed(said.splitlines()):
        found: dict[str, Any] = json.loads(line) if line.startswith("{") else {}
        if found.get("message_type") == kind:
            return found
    sys.exit("restic told nothing of what it restored")


def restore(path: Path, owner: str) -> dict[str, Any]:
    snapshot = newest()
    began = time.monotonic()
    words = ("--json", "restore", snapshot["id"], "--include", str(path), "--target", "/", "--verify")
    summary = last_line(run(RESTIC, *words), "summary")
    own(path, owner)
    seconds = time.monotonic() - began
    files, amount = summary.get("files_restored", 0), summary.get("bytes_restored", 0)
    if not files:
        sys.exit(f"snapshot {snapshot['short_id']} holds nothing of {path}")
    told = {"snapshot": snapshot["short_id"], "until": snapshot["time"], "files": files, "bytes": amount}
    return {**told, "seconds": round(seconds, 3), "verified_by": "every file read back (restic --verify)"}


def main() -> None:
    told = json.load(sys.stdin)
    path = Path(told["path"])
    os.umask(0o022)
    KEPT.mkdir(parents=True, exist_ok=True)
    name = told["path"].strip("/").replace("/", "-")
    kept, begun = KEPT / f"{name}.json", KEPT / f"{name}.begun"
    with (KEPT / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lives = is_active(told["user"])
        if kept.exists() and ((said := json.loads(kept.read_text()))["run"] == told["run"] or lives):
            print(json.dumps({**said, "was_there": True}))  # what an earlier restart restored may be in use by now
            return
        if holds_files(path) and not begun.exists():
            refuse(f"{path} holds files that no restart put there: nothing was touched")
        if lives:
            refuse(f"{told['user']} runs: whatever it keeps would be overwritten")
        begun.write_text(told["run"])
        said = {"run": told["run"], **restore(path, told["owner"])}
        part = kept.with_suffix(".part")
        part.write_text(json.dumps(said))
        part.replace(kept)
        print(json.dumps({**said, "was_there": False}))


main()
