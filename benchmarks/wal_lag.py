"""How far the vault's archive is behind the log of a primary that writes, on a provisioned lab.

The lab must be up and provisioned. Run as root:

    PYTHONPATH=src python benchmarks/wal_lag.py [--estate DIR] [--workload NAME] [--seconds N] [--megabytes N]

How the log gets there: PostgreSQL hands each full segment (16 MiB, or whatever there is after archive_timeout) to
pgBackRest, which sends it to every repository in the background (archive-async). Nobody streams it to the vault, so
what is in a segment that is not full is at the other datacenter only: the second table says how much that is.

pgbench writes at a stated rate, in messages to the log that nothing can compress and that leave nothing in any table.
Ten times a second a commit is marked, and the folder at the vault is listed twenty times a second. Each line that the
two hosts print is stamped when it comes in, by one clock, so that nobody's clock is believed. The lag of a segment is
from the last marked commit in it, which is never later than when it was full, until it lies at the vault under its
final name with all before it. The baseline is one segment sent by itself, as it is, by pgBackRest through the same TLS
door, while nothing else is written.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from secondsite.app import bench, places
from secondsite.estate.model import SiteKind, Workload, WorkloadName

GOAL_S = 5.0
PATIENCE_S = 60.0
"""How long the last segment may take before it counts as not arrived."""
LEAST_SHARE = 0.8
"""A primary that writes less than this share of what was asked for is under another load."""
COPIES = 7
SHORT = dt.timedelta(seconds=60)
MARK = r"""
import json, select, sys, time
import psycopg
told = json.loads(sys.stdin.readline())
where = dict(host="/var/run/postgresql", port=told["port"], dbname="postgres", user="postgres")
with psycopg.connect(**where, autocommit=True, application_name="benchmark") as connection:
    # after the commit: what is flushed then holds it
    asked = "SELECT pg_walfile_name(pg_current_wal_flush_lsn()), pg_current_wal_flush_lsn() - '0/0'::pg_lsn"
    number = 0
    while not select.select([sys.stdin], [], [], told["every"])[0]:
        connection.execute("SELECT pg_logical_emit_message(true, 'benchmark', %s::text)", [str(number)])
        segment, position = connection.execute(asked).fetchone()
        print(json.dumps({"segment": segment, "position": int(position)}), flush=True)
        number += 1
    connection.execute("SELECT pg_switch_wal()")
"""
WATCH = r"""
import json, os, re, select, sys
told = json.loads(sys.stdin.readline())
stanza = f"/srv/backup/pgbackrest/archive/{told['scope']}"
archives = [name for name in os.listdir(stanza) if re.fullmatch(r"\d+-\d+", name)]
newest = f"{stanza}/{max(archives, key=lambda name: int(name.rpartition('-')[2]))}"
final = re.compile(r"([0-9A-F]{24})-[0-9a-f]{40}(?:\.[a-z0-9]+)?")
changed, known, begun = {}, set(), False
while not select.select([sys.stdin], [], [], told["every"])[0]:
    for part in os.listdir(newest):
        path = f"{newest}/{part}"
        at = os.stat(path).st_mtime_ns
        if os.path.isdir(path) and changed.get(part) != at:
            changed[part] = at
            for name in sorted(os.listdir(path)):
                if name not in known and (found := final.fullmatch(name)):
                    known.add(name)
                    if begun:
                        print(json.dumps({"segment": found[1]}), flush=True)
    if not begun:
        begun = True
        print(json.dumps({"ready": True}), flush=True)
"""
LOAD = r"""
import json, os, subprocess, sys, tempfile
told = json.load(sys.stdin)
script = (
    "SELECT pg_logical_emit_message(true, 'benchmark', string_agg(sha512(random()::text::bytea), ''::bytea))"
    f" FROM generate_series(1, {told['bytes'] // 64});"
)
with tempfile.TemporaryDirectory() as folder:
    path = f"{folder}/load.sql"
    with open(path, "w") as file:
        file.write(script)
    os.chmod(folder, 0o755)
    words = ["/usr/lib/postgresql/17/bin/pgbench", "--no-vacuum", "--host=/var/run/postgresql", "--username=postgres"]
    words += [f"--port={told['port']}", f"--time={told['seconds']}", f"--rate={told['rate']}", "--client=4", "--jobs=1"]
    done = subprocess.run([*words, f"--file={path}", "postgres"], capture_output=True, text=True, cwd="/",
                          user="postgres", group="postgres", extra_groups=[])
if done.returncode:
    sys.exit(done.stderr.strip()[-300:])
print(json.dumps({"said": done.stdout}))
"""
RAW = r"""
import configparser, json, pathlib, re, subprocess, sys, time
told = json.load(sys.stdin)
text = pathlib.Path("/etc/pgbackrest.conf").read_text()
number = re.search(rf"^repo(\d+)-host={re.escape(told['vault'])}$", text, re.MULTILINE)[1]
parser = configparser.ConfigParser(strict=False, interpolation=None)
parser.read_string(text)
log = pathlib.Path(parser[told["scope"]]["pg1-path"]) / "pg_wal"
segments = sorted(path for path in log.iterdir() if re.fullmatch("[0-9A-F]{24}", path.name))
full = next(path for path in segments if path.stat().st_size == told["bytes"])
words = ["setpriv", "--reuid=postgres", "--regid=postgres", "--groups=secondsite-tls", "pgbackrest"]
words += [f"--stanza={told['scope']}", f"--repo={number}", "--log-level-console=error", "--raw", "repo-put"]
took = []
for copy in range(told["copies"]):
    with full.open("rb") as source:
        began = time.monotonic()
        subprocess.run([*words, f"archive/{told['scope']}/benchmark/{copy}"], stdin=source, check=True, cwd="/")
        took.append(time.monotonic() - began)
print(json.dumps({"took": took}))
"""
SEGMENT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One acknowledged commit: when that was heard, and the segment and position that the log had reached by then."""

    at: float
    segment: str
    position: int


@dataclass(kw_only=True)
class Heard:
    """What the two hosts said, each with the instant at which it came in."""

    marks: list[Mark] = field(default_factory=list)
    arrived: dict[str, float] = field(default_factory=dict)
    is_watching: bool = False

    def mark(self, line: str) -> None:
        at, told = time.monotonic(), json.loads(line)
        self.marks.append(Mark(at=at, segment=told["segment"], position=told["position"]))

    def see(self, line: str) -> None:
        at, told = time.monotonic(), json.loads(line)
        if "ready" in told:
            self.is_watching = True
        else:
            self.arrived.setdefault(told["segment"], at)


def usable(segments: Iterable[str], arrived: Mapping[str, float]) -> dict[str, float]:
    """Return since when each segment lies at the vault with all of these before it; one behind a gap is left out."""
    found: dict[str, float] = {}
    latest = -math.inf
    for segment in sorted(set(segments)):
        if segment not in arrived:
            break
        latest = max(latest, arrived[segment])
        found[segment] = latest
    return found


def lags(marks: Sequence[Mark], arrived: Mapping[str, float], *, ended: float) -> dict[str, float]:
    """Return how long after its last commit each segment lay at the vault; of one that never did, how long not."""
    last: dict[str, float] = {}
    for one in marks:
        last[one.segment] = max(one.at, last.get(one.segment, -math.inf))
    there = usable(last, arrived)
    return {segment: there.get(segment, ended) - at for segment, at in sorted(last.items())}


def exposures(marks: Sequence[Mark], arrived: Mapping[str, float]) -> list[float]:
    """Return, at the instant of each commit, the age of the oldest one that the vault lacks."""
    there = usable((one.segment for one in marks), arrived)
    ordered, oldest, ages = sorted(marks, key=lambda one: one.at), 0, []
    for now in ordered:
        while oldest < len(ordered) and there.get(ordered[oldest].segment, math.inf) <= now.at:
            oldest += 1
        ages.append(max(0.0, now.at - ordered[oldest].at) if oldest < len(ordered) else 0.0)
    return ages


def rate_of(marks: Sequence[Mark]) -> float:
    """Return how many megabytes were written to the log each second."""
    first, last = marks[0], marks[-1]
    return (last.position - first.position) / (last.at - first.at) / 1e6


def percentile(values: Iterable[float], share: float) -> float:
    """Return the smallest of these that at least such a share of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--estate", type=Path, default=places.DEFAULT_ESTATE)
    words.add_argument("--workload", default="billing")
    words.add_argument("--seconds", type=int, default=120)
    words.add_argument("--megabytes", type=float, default=4.0, help="what is written to the log, each second")
    asked = words.parse_args()
    estate = places.estate(asked.estate)
    workload = estate.workloads[WorkloadName(asked.workload)]
    kept = [host for host in estate.hosts.values() if "repository" in host.groups]
    vault = next(host.name for host in kept if estate.sites[host.site].kind is SiteKind.VAULT)
    with bench.open_bench(estate) as there:
        primary = str(there.adapters[workload.name].lease().leader)
        heard, ended = written(there, workload, primary, vault, seconds=asked.seconds, megabytes=asked.megabytes)
        raw = copied(there, workload, primary, vault)
    if len({one.segment for one in heard.marks}) < 2 or not heard.arrived:
        print("no segment was full, or none arrived: nothing was measured", file=sys.stderr)
        return 8
    code = report(workload, heard, ended=ended, raw=raw)
    if (rate := rate_of(heard.marks)) < LEAST_SHARE * asked.megabytes:
        print(f"{primary} wrote {rate:.1f} MB/s and not {asked.megabytes:g}: not measured under that", file=sys.stderr)
        return 8
    return code


def script(code: str, *prefix: str) -> list[str]:
    return ["sudo", "-n", "--", *prefix, "/usr/bin/python3", "-I", "-c", code]


def written(
    there: bench.Bench, workload: Workload, primary: str, vault: str, *, seconds: int, megabytes: float
) -> tuple[Heard, float]:
    """Write for so long, with somebody listening at both ends; return what was heard, and when that ended."""
    heard, size = Heard(), 32 * 1024
    port = int(workload.settings["port"])
    orders = {"port": port, "every": 0.1}, {"scope": workload.settings["scope"], "every": 0.05}
    as_postgres = ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--")
    load = {"port": port, "bytes": size, "rate": megabytes * 1e6 / size, "seconds": seconds}
    watching = there.hands.stream(vault, script(WATCH), stdin=json.dumps(orders[1]) + "\n", on_line=heard.see)
    try:
        wait_for(lambda: heard.is_watching, 15.0)
        marking = there.hands.stream(
            primary, script(MARK, *as_postgres), stdin=json.dumps(orders[0]) + "\n", on_line=heard.mark
        )
        try:
            limit = dt.timedelta(seconds=seconds) + SHORT
            there.hands.run(primary, script(LOAD), stdin=json.dumps(load), timeout=limit)
        finally:
            marking.stop()
        wait_for(lambda: {one.segment for one in heard.marks} <= heard.arrived.keys(), PATIENCE_S)
        return heard, time.monotonic()
    finally:
        watching.stop()


def wait_for(is_so: Callable[[], bool], seconds: float) -> None:
    """Return when it is so, or after so many seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not is_so():
        time.sleep(0.05)


def copied(there: bench.Bench, workload: Workload, primary: str, vault: str) -> list[float]:
    """Return how many seconds a segment takes by itself, several times; take the copies away at the vault."""
    scope = workload.settings["scope"]
    order = {"scope": scope, "vault": vault, "bytes": SEGMENT_BYTES, "copies": COPIES}
    try:
        told = json.loads(there.hands.run(primary, script(RAW), stdin=json.dumps(order), timeout=SHORT * 3).stdout)
    finally:
        place = f"/srv/backup/pgbackrest/archive/{scope}/benchmark"
        there.hands.run(vault, ["sudo", "-n", "rm", "-rf", "--", place], timeout=SHORT)
    return [float(one) for one in told["took"]]


def report(workload: Workload, heard: Heard, *, ended: float, raw: Sequence[float]) -> int:
    behind = lags(heard.marks, heard.arrived, ended=ended)
    rate = rate_of(heard.marks)
    lost = exposures(heard.marks, heard.arrived)
    agreed = workload.from_vault.rpo.total_seconds() if workload.from_vault is not None else None
    copy = statistics.median(raw)
    what = f"log of {workload.name} at {rate:.1f} MB/s, {len(behind)} segments"
    figures = [
        figure(f"{what}: {name}", value, copy, GOAL_S)
        for name, value in (
            ("median lag", statistics.median(behind.values())),
            ("95th percentile", percentile(behind.values(), 0.95)),
            ("largest", max(behind.values())),
        )
    ]
    if agreed is not None:
        figures.append(figure("oldest commit that the vault lacked: largest age", max(lost), copy, agreed))
    print(f"{'what':<62} {'ours':>9} {'raw copy':>9} {'ratio':>6} {'goal':>6}  met")
    for one in figures:
        line = f"{one['what']:<62} {one['value']:>7} s {one['baseline']:>7} s {one['ratio']:>5}x {one['goal']:>6}"
        print(f"{line}  {'yes' if one['met'] else 'NO'}")
    missing = sorted({one.segment for one in heard.marks} - usable(behind, heard.arrived).keys())
    print(
        f"had the primary's site died: median {statistics.median(lost):.2f} s, 95 % {percentile(lost, 0.95):.2f} s lost"
    )
    print(f"raw copies of one segment: {', '.join(f'{one:.2f} s' for one in raw)}")
    print(f"lags: {', '.join(f'{one:.2f} s' for one in behind.values())}")
    print(f"never usable at the vault: {', '.join(missing) or 'none'}")
    print(json.dumps({"benchmark": "wal_lag", "figures": figures}))
    return 0 if not missing and all(one["met"] for one in figures) else 3


def figure(what: str, value: float, baseline: float, goal: float) -> dict[str, object]:
    return {
        "what": what,
        "value": round(value, 2),
        "unit": "s",
        "baseline": round(baseline, 2),
        "ratio": round(value / baseline, 2),
        "goal": f"{goal:g} s",
        "met": value <= goal,
    }


if __name__ == "__main__":
    raise SystemExit(main())
