"""How long the backup of a store takes in which nothing changed, beside restic alone, on a provisioned lab.

The lab must be up and provisioned, and its disks must have room for it twice. Run as root:

    PYTHONPATH=src python benchmarks/unchanged.py [--estate DIR] [--gibibytes N] [--rounds N] [--site SITE] [--keep]

The folder of a store is filled with files that nothing can compress, of the sizes in SIZES, some 180 kB each. The job
that sends it every hour is started as its timer starts it, and is done when systemd says so: it has sent a snapshot,
had the server give back the list of what that holds, and written down the digest of each file. The first sends all of
it; the following find nothing changed, and are what counts. The baseline is `restic backup --dry-run` of the same
folders: it looks at every file, and neither asks what lies at the server nor compares anything.

What was filled is taken away at the end. What was sent stays: nobody can take anything from the append-only server.
Its next verification restores it all. So run this last, on a lab that is taken down afterwards.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import shutil
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from secondsite.app import bench, places
from secondsite.estate.model import HostName, SiteKind, SiteName

GOAL_S = 20.0
GIB = 1024**3
FOLDER = "/srv/store/unchanged"
KEPT = "/srv/backup"
SIZES = ((4 << 10, 45), (32 << 10, 33), (256 << 10, 18), (2 << 20, 3.85), (32 << 20, 0.15))
"""Bytes of a file, and how many of a hundred files have that size."""
SPARE = GIB
SHORT, LONG = dt.timedelta(seconds=120), dt.timedelta(hours=3)
JOB = "secondsite-backup@files.service"
FILL = r"""
import json, os, pathlib, random, sys
told = json.load(sys.stdin)
os.umask(0o077)
folder = pathlib.Path(told["folder"])
for number, size in enumerate(told["sizes"]):
    path = folder / f"{number // 500:04d}" / f"{number:07d}"
    if not path.exists() or path.stat().st_size != size:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.Random(f"{told['seed']} {number}").randbytes(size))
os.sync()
"""
ROOM = r"""
import os, sys
for path in sys.argv[1:]:
    print(os.statvfs(path).f_bavail * os.statvfs(path).f_frsize)
"""
PLAIN = r"""
import json, subprocess, time
told = json.load(open("/etc/secondsite/backup.json"))
sent = json.load(open("/var/lib/secondsite/backup/files.sent.json"))
words = ["/usr/local/sbin/secondsite-restic", "--quiet", "backup", "--dry-run", "--host", told["host"]]
words += [f"--exclude={one}" for one in told["jobs"]["files"]["excludes"]]
began = time.monotonic()
subprocess.run([*words, "--", *sent["roots"]], check=True, capture_output=True)
print(json.dumps({"seconds": time.monotonic() - began}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What the newest snapshot of the job is, and how long the job took as its caller saw it."""

    snapshot: str
    files: int
    amount: int
    seconds: float


def sizes_of(wanted: int) -> list[int]:
    """Return the sizes of files that make up so many bytes, in one order each time, no share at the end of it."""
    shares = [share for _, share in SIZES]
    owed = [0.0] * len(SIZES)
    found, amount = [], 0
    while amount < wanted:
        owed = [one + share for one, share in zip(owed, shares, strict=True)]
        chosen = max(range(len(SIZES)), key=lambda index: owed[index])
        owed[chosen] -= sum(shares)
        found.append(min(SIZES[chosen][0], wanted - amount))
        amount += found[-1]
    return found


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--estate", type=Path, default=places.DEFAULT_ESTATE)
    words.add_argument("--gibibytes", type=float, default=10.0)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--site", default="dc2")
    words.add_argument("--keep", action="store_true", help="leave the folder filled, for another time")
    asked = words.parse_args()
    estate = places.estate(asked.estate)
    store = next(one.members[SiteName(asked.site)] for one in estate.workloads.values() if one.takes_markers)
    kept = [host for host in estate.hosts.values() if "append_only" in host.groups]
    vault = next(host.name for host in kept if estate.sites[host.site].kind is SiteKind.VAULT)
    wanted = int(asked.gibibytes * GIB)
    with bench.open_bench(estate) as there:
        if reasons := reasons_not_to_fill(there, store, vault, wanted):
            print(f"nothing was filled: {'; '.join(reasons)}", file=sys.stderr)
            return 2
        try:
            return measured(there, store, vault, sizes_of(wanted), rounds=asked.rounds)
        finally:
            if not asked.keep:
                there.hands.run(store, ["sudo", "-n", "rm", "-rf", "--", FOLDER], timeout=LONG)


def reasons_not_to_fill(there: bench.Bench, store: HostName, vault: HostName, wanted: int) -> list[str]:
    """Say where there is no room for what is to be filled and sent; what lies there from before counts as free."""
    asked = ["sudo", "-n", "sh", "-c", f"du -sb {FOLDER} 2>/dev/null | cut -f1"]
    before = int(there.hands.run(store, asked, timeout=SHORT).stdout.strip() or 0)
    room = {
        f"{store}:{Path(FOLDER).parent}": (free(there, store, str(Path(FOLDER).parent)) + before, wanted + SPARE),
        f"{vault}:{KEPT}": (free(there, vault, KEPT), wanted + wanted // 50 + SPARE),
    }
    if (lab := places.lab_of(there.estate)) is not None:  # its disks are files that grow
        room["this machine"] = (shutil.disk_usage(lab.state).free, 2 * wanted - before + 2 * SPARE)
    return [
        f"{place} has {has / GIB:.1f} GiB free, {needs / GIB:.1f} GiB are needed"
        for place, (has, needs) in room.items()
        if has < needs
    ]


def free(there: bench.Bench, host: HostName, path: str) -> int:
    return int(there.hands.run(host, [*script(ROOM), path], timeout=SHORT).stdout)


def script(code: str) -> list[str]:
    return ["sudo", "-n", "--", "/usr/bin/python3", "-I", "-c", code]


def measured(there: bench.Bench, store: HostName, vault: HostName, sizes: Sequence[int], *, rounds: int) -> int:
    """Fill, send once, then send again and again; report."""
    began = time.monotonic()
    order = {"folder": FOLDER, "sizes": sizes, "seed": "unchanged"}
    there.hands.run(store, script(FILL), stdin=json.dumps(order), timeout=LONG)
    print(f"{len(sizes)} files, {sum(sizes) / GIB:.1f} GiB: filled in {time.monotonic() - began:.0f} s", flush=True)
    before = free(there, vault, KEPT)
    first = sent(there, store)
    after = free(there, vault, KEPT)
    print(f"first backup: {first.seconds:.0f} s, {(before - after) / GIB:.2f} GiB more at {vault}", flush=True)
    plain, again = [], []
    for _ in range(rounds):
        plain.append(float(json.loads(there.hands.run(store, script(PLAIN), timeout=LONG).stdout)["seconds"]))
        again.append(sent(there, store))
    print(f"each of the others: {(after - free(there, vault, KEPT)) / rounds / 1e6:.2f} MB more at {vault}")
    if wrong := [one for one in again if one.files < len(sizes) or one.amount < sum(sizes)]:
        print(f"snapshot {wrong[0].snapshot[:8]} does not hold the store: nothing was measured", file=sys.stderr)
        return 8
    return report(again, plain)


def sent(there: bench.Bench, store: HostName) -> Sent:
    """Have the store send its files, as its timer does; return what came of it."""
    before = told(there, store).get("snapshot")
    began = time.monotonic()
    there.hands.run(store, ["sudo", "-n", "systemctl", "start", JOB], timeout=LONG)
    seconds = time.monotonic() - began
    after = told(there, store)
    if after["snapshot"] == before:
        raise SystemExit(f"{store}: {JOB} ended and sent nothing")
    return Sent(
        snapshot=str(after["snapshot"]),
        files=int(str(after["files"])),
        amount=int(str(after["bytes"])),
        seconds=seconds,
    )


def told(there: bench.Bench, store: HostName) -> Mapping[str, object]:
    words = ["sudo", "-n", "cat", "/var/lib/secondsite/backup/files.sent.json"]
    found: Mapping[str, object] = json.loads(there.hands.run(store, words, timeout=SHORT).stdout)
    return found


def report(again: Sequence[Sent], plain: Sequence[float]) -> int:
    median, alone = statistics.median(one.seconds for one in again), statistics.median(plain)
    figures = [
        {
            "what": f"backup of {again[-1].amount / GIB:.1f} GiB unchanged, {again[-1].files} files",
            "value": round(median, 2),
            "unit": "s",
            "baseline": round(alone, 2),
            "ratio": round(median / alone, 2),
            "goal": f"{GOAL_S:g} s",
            "met": median <= GOAL_S,
        }
    ]
    print(f"{'what':<48} {'ours':>8} {'restic alone':>13} {'ratio':>7} {'goal':>6}  met")
    for one in figures:
        line = f"{one['what']:<48} {one['value']:>6} s {one['baseline']:>11} s {one['ratio']:>6}x {one['goal']:>6}"
        print(f"{line}  {'yes' if one['met'] else 'NO'}")
    print(f"rounds: {', '.join(f'{one.seconds:.2f} s' for one in again)}")
    print(json.dumps({"benchmark": "unchanged", "figures": figures}))
    return 0 if all(one["met"] for one in figures) else 3


if __name__ == "__main__":
    raise SystemExit(main())
