"""As root: have so many bytes in a database, or so many bytes and files in a folder, that nothing can compress.

Reads one JSON object on standard input: for a database ``port`` and ``bytes``, for a folder ``folder``, ``bytes`` and
``files``. What is there already is kept, so that each size holds the one before. Prints what there is then.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

DATABASE = "trial"
ROW = 8000
# Several files, as any database that has grown: one is restored by one process.
PARTS = 4
WITH = "FOR VALUES WITH (MODULUS {}, REMAINDER {})"
LARGE = 4_000_000
SMALL = 600
AS_POSTGRES = ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups")


def psql(port: int, database: str, *commands: str, text: bytes = b"") -> str:
    words = [*AS_POSTGRES, "psql", "--no-psqlrc", "-h", "/var/run/postgresql", "-p", str(port), "-d", database, "-At"]
    for command in ("SET client_min_messages = warning", *commands):
        words += ["-c", command]
    done = subprocess.run(words, input=text, capture_output=True, check=False, cwd="/")
    if done.returncode != 0:
        sys.exit(done.stderr.decode(errors="replace").strip()[-300:])
    return done.stdout.decode()


def grow_database(port: int, wanted: int) -> dict[str, int]:
    known = psql(port, "postgres", f"SELECT count(*) FROM pg_database WHERE datname = '{DATABASE}'").split()[-1]
    if known == "0":
        psql(port, "postgres", f"CREATE DATABASE {DATABASE}")
        column = "content bytea STORAGE PLAIN NOT NULL"
        parts = (f"CREATE TABLE filled_{part} PARTITION OF filled {WITH.format(PARTS, part)}" for part in range(PARTS))
        psql(port, DATABASE, f"CREATE TABLE filled ({column}) PARTITION BY HASH (content)", *parts)
    there = int(psql(port, DATABASE, "SELECT count(*) FROM filled").split()[-1])
    missing = max(0, -(-wanted // ROW) - there)
    while missing > 0:
        batch = min(missing, 4000)
        lines = b"".join(b"\\\\x" + os.urandom(ROW - 200).hex().encode() + b"\n" for _ in range(batch))
        psql(port, DATABASE, "COPY filled FROM STDIN", text=lines)
        missing -= batch
    psql(port, DATABASE, "CHECKPOINT", "SELECT pg_switch_wal()")
    return {"rows": int(psql(port, DATABASE, "SELECT count(*) FROM filled").split()[-1])}


def grow_folder(folder: Path, wanted: int, files: int) -> dict[str, int]:
    large, small = folder / "large", folder / "small"
    for one in (large, small):
        one.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(-(-wanted // LARGE)):
        path = large / f"{number:06d}"
        if not path.exists():
            path.write_bytes(os.urandom(LARGE))
    for number in range(files):
        path = small / f"{number // 1000:04d}" / f"{number:06d}"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(os.urandom(SMALL))
    return {"large": sum(1 for _ in large.iterdir()), "small": sum(1 for _ in small.rglob("*/*"))}


def main() -> None:
    told: dict[str, Any] = json.load(sys.stdin)
    os.umask(0o077)
    if "port" in told:
        found = grow_database(int(told["port"]), int(told["bytes"]))
    else:
        found = grow_folder(Path(told["folder"]), int(told["bytes"]), int(told["files"]))
    print(json.dumps(found))


main()
