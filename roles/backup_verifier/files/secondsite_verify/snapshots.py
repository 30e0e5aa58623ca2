"""At a producer: read its packs back by turns, restore its newest snapshots and an older one, and compare with what was sent."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import time
from pathlib import Path

from . import tables
from .common import KEPT, Failed, as_verifier, came, keep, run, told, tried, turn, turned
from .server import programs, scratch

# Backups go on meanwhile: nothing is taken away from what is read.
RESTIC = ("/usr/local/sbin/secondsite-restic", "--quiet", "--no-lock")
CONFIGURATION = Path("/etc/secondsite/backup.json")
SENT = Path("/var/lib/secondsite/backup")
PASSWORDS = Path("/etc/pgbouncer/userlist.txt")
HERE = KEPT / "snapshots"
BLOCK = 1 << 20
MANY = 5


# --- reading back ---


def read_back(before):
    """Have restic read one part of all packs and decrypt it; return what came of it."""
    began = time.time()
    sizes = json.loads(run(*RESTIC, "--json", "stats", "--mode", "raw-data"))
    part, rota = turn(before, sizes["total_size"])
    words = ("check", f"--read-data-subset={part + 1}/{rota['parts']}")
    code, said, _ = tried(*RESTIC, *words, merge=True)
    reasons = reasons_not_whole(code, said)
    return came(reasons, began=began, rota=rota if reasons else turned(rota, part), part=part, bytes=sizes["total_size"],
                seconds=time.time() - began)  # fmt: skip


def reasons_not_whole(code, said):
    """Return what restic complained of, with the packs it named; its exit code alone says little."""
    if code == 0:
        return []
    lines = [
        line.strip()
        for line in said.splitlines()
        if re.search(r"\b(pack|blob|tree|snapshot|index|error|Fatal)\b", line)
    ]
    named = [line for line in lines if re.search(r"\b[0-9a-f]{8,64}\b", line)]
    return list(dict.fromkeys(named or lines))[:MANY] or [f"restic check ended with exit code {code}"]


# --- restoring ---


def records(job):
    """Return what a job wrote down of the snapshots it sent, oldest first."""
    found = [json.loads(path.read_text()) for path in (SENT / "digests").glob(f"{job}-*.json")]
    return sorted(found, key=lambda record: record["began"])


@contextlib.contextmanager
def restored(snapshot, root):
    """Lend a snapshot's files in a folder of their own, and leave nothing of it, however it ends."""
    folder = Path(root) / "snapshot"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    try:
        run(*RESTIC, "restore", snapshot, "--target", str(folder))
        yield folder
    finally:
        shutil.rmtree(folder)


def verify(record, root):
    """Restore one snapshot and compare; return what came of it."""
    began, job = time.time(), record["job"]
    facts = {
        "began": began,
        "job": job,
        "backup": record["snapshot"],
        "taken": record["ended"],
        "holds": sorted(record["holds"]),
    }
    reasons = []
    try:
        with restored(record["snapshot"], root) as folder:
            seconds = time.time() - began
            reasons = list(file_differences(record, folder))
            facts |= {
                "files": record["files"],
                "compared": len(record["digests"]),
                "bytes": record["bytes"],
                "seconds": seconds,
            }
            facts |= {"bytes_per_second": round(record["bytes"] / seconds)}
            if not reasons and job in USED:
                wrong, more = USED[job](record, folder, root)
                reasons, facts = reasons + wrong, facts | more
    except Failed as error:
        reasons.append(error)
    return came([f"snapshot {record['snapshot'][:8]} of {job}: {why}" for why in reasons], **facts)


def file_differences(record, folder):
    """Yield how restored files differ from those that were sent."""
    below = ((path, names) for path, folders, files in os.walk(folder) for names in (files, folders))
    there = sum(
        not os.path.isdir(f"{path}/{name}") or os.path.islink(f"{path}/{name}")
        for path, names in below
        for name in names
    )
    if there < record["files"]:
        yield f"{there} files were restored instead of {record['files']}"
    if not record["digests"]:
        yield "no file has a digest to compare with"
    for path, (size, *_, digest) in sorted(record["digests"].items()):
        copy = folder / path.lstrip("/")
        if not copy.is_file():
            yield f"{path} is missing"
        elif copy.stat().st_size != size or digest_of(copy) != digest:
            yield f"{path} is not what was sent"


def digest_of(path):
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            found.update(block)
    return found.hexdigest()


# --- using what was restored ---


def use_databases(record, folder, root):
    """Restore each cluster's dumps into a PostgreSQL of their own, and compare the rows; log in with each role's own password."""
    staging = folder / str(SENT).lstrip("/") / "staging" / "databases"
    reasons, counts = [], {"databases": 0, "tables": 0, "rows": 0, "logins": 0}
    for scope, held in record["holds"].items():
        with scratch(f"dump-{scope}", root=root) as server:
            server.initialise()
            server.start(logins="scram-sha-256", fsync="off")
            for wrong, more in _used_cluster(server, staging / scope, held["databases"]):
                reasons += [f"{scope}: {why}" for why in wrong]
                counts = {name: counts[name] + more.get(name, 0) for name in counts}
    return reasons, counts


def _used_cluster(server, place, held):
    text = (place / "globals.sql").read_text()
    as_it_is = re.sub(r"^CREATE ROLE postgres;$", "", text, flags=re.MULTILINE)
    where = (f"--host={server.folder}", "--username=postgres", "--no-password")
    server.run(
        programs() / "psql", "-Xq", *where, "--set=ON_ERROR_STOP=1", "--dbname=postgres", "--file=-", stdin=as_it_is
    )
    for name, expected in held.items():
        path = place / f"{_quoted_for_path(name)}.dump"
        with server.connected() as connection:
            if name != "postgres":
                connection.execute(f"CREATE DATABASE {tables.quoted(name)} TEMPLATE template0")
        words = (*as_verifier(), str(programs() / "pg_restore"), *where, "--exit-on-error", f"--dbname={name}")
        code, _, complained = tried(*words, source=path, environment=server.environment)
        if code != 0:
            yield [f"the dump of {name} can't be restored: {complained}"], {}
            continue
        with server.connected(name) as connection:
            found = tables.counted(connection)
        rows = {table: {"rows": count, "digest": ""} for table, count in expected.items()}
        there = {table: {"rows": one["rows"], "digest": ""} for table, one in found.items()}
        yield list(tables.table_differences(rows, there, name)), {
            "databases": 1, "tables": len(there), "rows": sum(one["rows"] for one in there.values())
        }  # fmt: skip
    with server.connected() as connection:
        who = tables.roles(connection)
    failed, came_in = tables.logged_in(server, who, passwords())
    yield failed, {"logins": came_in}


def _quoted_for_path(name):
    from urllib.parse import quote

    return quote(name, safe="")


def passwords():
    """Return the passwords of the roles that applications come in as, which this host's pool knows."""
    if not PASSWORDS.is_file():
        return {}
    return dict(re.findall(r'^"((?:[^"]|"")*)" "((?:[^"]|"")*)"$', PASSWORDS.read_text(), re.MULTILINE))


def use_agreement(record, folder, root):
    """Ask whether the agreement's snapshot is whole, and holds what was counted."""
    path = next(folder.rglob("agreement.db"), None)
    if path is None:
        return ["agreement.db is missing"], {}
    found = json.loads(run("etcdutl", "snapshot", "status", str(path), "--write-out=json"))
    wrong = found["totalKey"] != record["holds"]["keys"] or found["revision"] != record["holds"]["revision"]
    return ["the agreement holds other keys than it did"] if wrong else [], {"keys": found["totalKey"]}


def use_names(record, folder, root):
    """Count the names."""
    lines = [line for path in folder.rglob("*.zone") for line in path.read_text().splitlines()]
    wrong = len(lines) != record["holds"]["records"] or not any(" SOA " in line for line in lines)
    return [f"there are {len(lines)} names instead of {record['holds']['records']}"] if wrong else [], {
        "records": len(lines)
    }


def use_files(record, folder, root):
    """Have git read every object of each repository that was restored."""
    repositories = [path.parent for path in folder.rglob("HEAD") if (path.parent / "objects").is_dir()]
    reasons = []
    for path in repositories:
        alone = (
            "env",
            "GIT_CONFIG_NOSYSTEM=1",
            "GIT_CONFIG_GLOBAL=/dev/null",
            "git",
            "-c",
            "safe.directory=*",
            f"--git-dir={path}",
        )
        code, said, complained = tried(*alone, "fsck", "--full", "--no-dangling")
        if code != 0:
            reasons.append(f"repository {path.relative_to(folder)}: {complained or said}")
    return reasons, {"repositories": len(repositories)}


USED = {"databases": use_databases, "agreement": use_agreement, "names": use_names, "files": use_files}


# --- the job ---


def main(settings):
    """Verify everything that this host sends; return every reason to doubt it."""
    reasons = []
    found = read_back(told(HERE / "read.json"))
    keep(HERE, "read", found)
    reasons += found["why"]
    older = []
    for job in sorted(json.loads(CONFIGURATION.read_text())["jobs"]):
        sent = told(SENT / f"{job}.sent.json")
        known = records(job)
        if not sent:
            is_left = bool(told(SENT / f"{job}.json").get("left"))
            why = [] if is_left else [f"job {job} never sent anything"]
            newest = came(why, began=time.time(), job=job, left=is_left)
        elif not known or known[-1]["snapshot"] != sent["snapshot"]:
            why = [
                f"job {job} did not write down what its newest snapshot holds: systemctl start secondsite-backup@{job}"
            ]
            newest = came(why, began=time.time(), job=job)
        else:
            newest = verify(known[-1], settings["scratch"])
            older += known[:-1]
        keep(HERE, f"{job}.newest", newest)
        reasons += newest["why"]
    chosen = (
        verify(random.SystemRandom().choice(older), settings["scratch"])
        if older
        else came([], began=time.time(), none=True)
    )
    keep(HERE, "older", chosen)
    return reasons + chosen["why"]
