"""How fast backups come back from the vault, beside a raw copy over the same path, on a provisioned lab.

The lab must be up and provisioned; it is filled for this, and what was filled stays (BK-COVERAGE is red until the
databases' next dump). Run as root:

    PYTHONPATH=src python benchmarks/restore.py [--estate DIR] [--megabytes N] [--rounds N]

The baseline of databases is pgBackRest handing over the stored file of the largest table as it lies in the repository,
one stream through the same TLS door; that of files is curl fetching every pack from the append-only server, one after
the other. Both write what they fetch to the disk that is restored to, and it counts until it lies there. What begins
a restore, and the 1,600 files that any cluster has, take a second however little comes back: the default is a size at
which that is not felt much.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import statistics
from collections.abc import Mapping
from pathlib import Path

from secondsite.app import bench, places
from secondsite.drill.model import TrialSize
from secondsite.estate.model import SiteName
from secondsite.probes.vault import FILLED, Grown, VaultTrials

GOAL = 0.7
LONGEST = dt.timedelta(minutes=15)
RAW_DATABASE = r"""
import json, os, pathlib, re, shutil, subprocess, sys, time
told = json.load(sys.stdin)
text = pathlib.Path("/etc/pgbackrest.conf").read_text()
number = re.search(rf"^repo(\d+)-host={re.escape(told['source'])}$", text, re.MULTILINE)[1]
place = pathlib.Path(told["place"])
shutil.rmtree(place, ignore_errors=True)
place.mkdir(mode=0o700)
own = ("setpriv", "--reuid=postgres", "--regid=postgres", "--groups=secondsite-tls", "pgbackrest")
own += (f"--stanza={told['scope']}", f"--repo={number}")
words = (*own, "--output=json", "--recurse", "repo-ls", f"backup/{told['scope']}/{told['label']}/pg_data/base")
files = json.loads(subprocess.run(words, capture_output=True, text=True, check=True, cwd="/").stdout)
name = max((one for one in files if files[one]["type"] == "file"), key=lambda one: files[one]["size"])
began = time.monotonic()
with (place / "raw").open("wb") as out:
    words = (*own, "--raw", "repo-get", f"backup/{told['scope']}/{told['label']}/pg_data/base/{name}")
    subprocess.run(words, stdout=out, check=True, cwd="/")
    os.fsync(out.fileno())
seconds = time.monotonic() - began
raw = (place / "raw").stat().st_size
shutil.rmtree(place)
place.mkdir(mode=0o700); shutil.chown(place, "postgres", "postgres")
began = time.monotonic()
words = (*own, f"--set={told['label']}", f"--pg1-path={place}", "--type=immediate", "restore")
subprocess.run(words, capture_output=True, check=True, cwd="/")
took = time.monotonic() - began
amount = sum(one.lstat().st_size for one in place.rglob("*") if one.is_file() and not one.is_symlink())
shutil.rmtree(place)
print(json.dumps({"raw": raw / seconds / 1e6, "ours": amount / took / 1e6}))
"""
RAW_FILES = r"""
import json, os, pathlib, shutil, subprocess, sys, time, urllib.parse
told = json.load(sys.stdin)
lines = pathlib.Path("/etc/secondsite/restic.env").read_text().splitlines()
words = dict(line.split("=", 1) for line in lines if "=" in line)
url = pathlib.Path(words["RESTIC_REPOSITORY_FILE"]).read_text().strip().removeprefix("rest:")
restic = "/usr/local/sbin/secondsite-restic"
packs = subprocess.run([restic, "list", "packs"], capture_output=True, text=True, check=True).stdout.split()
place = pathlib.Path(told["place"]); shutil.rmtree(place, ignore_errors=True); place.mkdir(mode=0o700)
settings = ["silent", "show-error", "fail", f'cacert = "{words["RESTIC_CACERT"]}"']
settings += [f'cert = "{words["PRODUCER_CERTIFICATE"]}"', f'key = "{words["PRODUCER_KEY"]}"']
for pack in packs:
    settings += [f'url = "{url}data/{pack}"', f'output = "{place / pack}"']
began = time.monotonic()
subprocess.run(["curl", "--config", "-"], input="\n".join(settings), text=True, check=True)
subprocess.run(["sync", "--file-system", str(place)], check=True)
seconds = time.monotonic() - began
raw = sum(one.stat().st_size for one in place.iterdir())
shutil.rmtree(place); place.mkdir(mode=0o700)
began = time.monotonic()
subprocess.run([restic, "restore", told["snapshot"], "--include", told["include"], "--target", str(place)],
               capture_output=True, check=True)
subprocess.run(["sync", "--file-system", str(place)], check=True)
took = time.monotonic() - began
amount = sum(one.lstat().st_size for one in place.rglob("*") if one.is_file())
shutil.rmtree(place)
print(json.dumps({"raw": raw / seconds / 1e6, "ours": amount / took / 1e6}))
"""


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--estate", type=Path, default=places.DEFAULT_ESTATE)
    words.add_argument("--megabytes", type=int, default=2000)
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--target", default="dc2")
    asked = words.parse_args()
    estate = places.estate(asked.estate)
    target = SiteName(asked.target)
    with bench.open_bench(estate) as there:
        control = next(one for one in estate.workloads.values() if one.is_control_arm)
        vault = VaultTrials(
            estate=estate,
            hands=there.hands,
            target=target,
            monotonic=there.clock.monotonic,
            leader=lambda: str(there.adapters[control.name].lease().leader),
        )
        size = asked.megabytes * 1_000_000
        vault.grow(TrialSize(database_bytes=size, file_bytes=size, files=10))
        (grown,) = vault.grown
        rounds = [measured(there, vault, grown, target) for _ in range(asked.rounds)]
    return report(rounds, asked.megabytes)


def measured(
    there: bench.Bench, vault: VaultTrials, grown: Grown, target: SiteName
) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Return megabytes a second of a raw copy and of a restore, of the database and of files."""
    estate = there.estate
    control = next(one for one in estate.workloads.values() if one.is_control_arm)
    store = next(one.members[target] for one in estate.workloads.values() if one.takes_markers)

    def on(host: str, code: str, order: Mapping[str, object]) -> Mapping[str, float]:
        argv = ["sudo", "-n", "--", "/usr/bin/python3", "-I", "-c", code]
        told: Mapping[str, float] = json.loads(
            there.hands.run(host, argv, stdin=json.dumps(order), timeout=LONGEST).stdout
        )
        return told

    scope = control.settings["scope"]
    database = {"scope": scope, "source": vault.vault, "label": grown.label, "place": "/srv/postgresql/raw"}
    files = {"snapshot": grown.snapshot, "include": f"{FILLED}/large", "place": "/srv/raw"}
    return on(control.members[target], RAW_DATABASE, database), on(store, RAW_FILES, files)


def report(rounds: list[tuple[Mapping[str, float], Mapping[str, float]]], megabytes: int) -> int:
    figures = []
    for index, what in enumerate(("a database by pgBackRest", "files by restic")):
        ours = statistics.median(one[index]["ours"] for one in rounds)
        raw = statistics.median(one[index]["raw"] for one in rounds)
        ratio = statistics.median(one[index]["ours"] / one[index]["raw"] for one in rounds)
        figures.append(
            {
                "what": f"restore of {what}, {megabytes} MB",
                "value": round(ours, 1),
                "unit": "MB/s",
                "baseline": round(raw, 1),
                "ratio": round(ratio, 2),
                "goal": f"{GOAL:g}x",
                "met": ratio >= GOAL,
            }
        )
    print(f"{'what':<48} {'ours':>11} {'raw copy':>11} {'ratio':>6} {'goal':>5}  met")
    for one in figures:
        line = f"{one['what']:<48} {one['value']:>6} MB/s {one['baseline']:>6} MB/s {one['ratio']:>5}x {one['goal']:>5}"
        print(f"{line}  {'yes' if one['met'] else 'NO'}")
    print(json.dumps({"benchmark": "restore", "figures": figures}))
    return 0 if all(one["met"] for one in figures) else 3


if __name__ == "__main__":
    raise SystemExit(main())
