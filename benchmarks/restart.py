"""How fast operations restart after dc1 lost its power, against the least any failover could take, in one run.

The bare limit: on the same provisioned lab the wires of dc1 are dropped, and ``psql`` calls ``pg_promote`` and writes
a row, over an SSH connection that was open before; it counts from the order at the controller until the write is done,
under the drill's own traffic. It fences nothing, asks no quorum, nobody, and moves no customer. The drill's figure
beside it counts from the consent until the same database was promoted.
Run as root; SECONDSITE_ESTATE names another estate than the lab's, such as inventories/small with nine hosts:

    PYTHONPATH=src python benchmarks/restart.py [--rounds N] [--bare N]
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from secondsite.app.bench import open_bench
from secondsite.app.instruments import Instruments
from secondsite.app.places import SCENARIOS
from secondsite.drill.load import load_scenario
from secondsite.estate.load import load_estate
from secondsite.store.records import RecordFolder

ROOT = Path(__file__).resolve().parents[1]
INVENTORY = Path(os.environ.get("SECONDSITE_ESTATE", ROOT / "inventories" / "lab")).absolute()
INSTANCE = "brestart"
SAVE = "benchmark-restart"
TRAFFIC_BEFORE_S = 3.0
FEW_HOSTS = 9
GOAL_RESTORE_S = 10.0
READY_WITHIN = dt.timedelta(seconds=60)
PROMOTE = "select pg_promote(true, 30)"
WRITE = "insert into secondsite.writability (node) values ('bare')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A provisioned and saved lab."""

    state: Path
    environment: dict[str, str]
    restored_s: list[float] = field(default_factory=list)
    memory_mib: list[int] = field(default_factory=list)
    """What the whole lab takes under the drill's traffic."""

    def secondsite(self, *words: str, accept: Sequence[int] = (0,)) -> str:
        argv = [str(ROOT / "secondsite"), *words]
        done = subprocess.run(
            argv, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode not in accept:
            raise SystemExit(f"{' '.join(words)}: exit code {done.returncode}\n{done.stderr[-2000:]}")
        return done.stdout

    def ssh(self, host: str, *words: str) -> list[str]:
        config = self.state / "keys" / "ssh_config"
        return ["ip", "netns", "exec", f"{INSTANCE}-control", "ssh", "-F", str(config), "--", host, *words]

    def bare_limit(self) -> float:
        """Promote db-dc2 by hand, with nothing around it: from the order at the controller to the accepted write."""
        self._restore()
        with self._traffic(), self._open_connection("db-dc2") as promote:
            self.memory_mib.append(json.loads(self.secondsite("lab", "status", "--json"))["lab"]["memory_mib"])
            # only now, that customers are served: what etcd tells right after a restore may be older than the restart
            pause = self.ssh("db-dc2", "sudo", "patronictl", "-c", "/etc/patroni/billing.yml", "pause")
            subprocess.run(pause, check=True, capture_output=True)
            self.secondsite("lab", "fault", "cut-power", "dc1")
            began = time.monotonic()
            subprocess.run(promote, check=True, capture_output=True)
            return time.monotonic() - began

    @contextmanager
    def _traffic(self) -> Iterator[None]:
        """Customers and polls as in a drill, from a process of their own inside the lab's control namespace."""
        argv = [sys.executable, __file__, "--traffic", str(self.state / "bare-records")]
        with subprocess.Popen(argv, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            if child.stdout is None or not child.stdout.readline():
                raise SystemExit("the traffic could not begin")
            try:
                time.sleep(TRAFFIC_BEFORE_S)
                yield
            finally:
                child.communicate()

    @contextmanager
    def _open_connection(self, host: str) -> Iterator[list[str]]:
        """Yield the command that promotes and writes over an SSH connection that is open already."""
        control = ["-o", f"ControlPath={self.state}/bare.sock"]
        words = ["sudo", "-n", "-u", "postgres", "psql", "-X", "-q", "-p", "5432", "-d", "shop"]
        words += ["-c", _quoted(PROMOTE), "-c", _quoted(WRITE)]
        plain = self.ssh(host)
        shared = [*plain[:-2], *control, *plain[-2:]]
        subprocess.run([*shared[:-2], "-o", "ControlMaster=yes", "-N", "-f", *shared[-2:]], check=True)
        try:
            yield [*shared, *words]
        finally:
            subprocess.run([*shared[:-2], "-O", "exit", *shared[-2:]], check=False, capture_output=True)

    def _restore(self) -> None:
        began = time.monotonic()
        self.secondsite("lab", "restore", SAVE)
        self.restored_s.append(time.monotonic() - began)
        self._wait_for_standby()

    def drill(self) -> dict[str, Any]:
        """Run the drill on the restored lab."""
        self._restore()
        words = ("drill", "run", "site-loss", "--keep", "--json")
        result: dict[str, Any] = json.loads(self.secondsite(*words, accept=(0, 3, 8)))
        result["times"]["approved_to_database_s"] = approved_to_database(Path(result["report"]).parent / "records")
        return result

    def _wait_for_standby(self) -> None:
        until = time.monotonic() + 60
        argv = self.ssh("db-dc2", "sudo", "patronictl", "-c", "/etc/patroni/billing.yml", "list", "-f", "json")
        while time.monotonic() < until:
            said = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
            if '"Sync Standby"' in said and '"Leader"' in said:
                return
            time.sleep(0.5)
        raise SystemExit("the restored databases did not replicate within 60 s")


def approved_to_database(records: Path) -> float | None:
    """Return the seconds from the consent until the database was promoted, as the steps of the failover tell."""
    steps = [json.loads(line) for line in (records / "steps.jsonl").read_text(encoding="utf-8").splitlines()]
    done = {step["step"]: step["t1"] for step in steps if step["outcome"] == "done"}
    approved, promoted = done.get("failover/authorise"), done.get("failover/promote-billing")
    return None if approved is None or promoted is None else float(promoted - approved)


def send_traffic(folder: Path) -> int:
    """Send the drill's traffic and polls until the standard input ends."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    estate = load_estate(INVENTORY)
    scenario = load_scenario("site-loss", folder=SCENARIOS, estate=estate)
    with open_bench(estate) as bench:
        instruments = Instruments(bench=bench, records=RecordFolder(folder))
        instruments.writability.start()
        instruments.traffic.start(scenario.traffic, within=READY_WITHIN)
        print("ready", flush=True)
        sys.stdin.read()
        instruments.traffic.stop()
        instruments.writability.stop()
    return 0


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


@contextmanager
def provisioned() -> Iterator[Bench]:
    state = Path(tempfile.mkdtemp(prefix="secondsite-bench-", dir="/var/tmp"))
    environment = {**os.environ, "SECONDSITE_LAB": INSTANCE, "SECONDSITE_STATE": str(state)}
    environment["SECONDSITE_ESTATE"] = str(INVENTORY)
    bench = Bench(state=state, environment=environment)
    try:
        bench.secondsite("lab", "up")
        bench.secondsite("run", "provision")
        bench.secondsite("lab", "save", SAVE)
        yield bench
    finally:
        bench.secondsite("lab", "down")
        shutil.rmtree(state, ignore_errors=True)


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--bare", type=int, default=3)
    words.add_argument("--traffic", type=Path, help=argparse.SUPPRESS)
    asked = words.parse_args()
    if asked.traffic:
        return send_traffic(asked.traffic)
    with provisioned() as bench:
        bare = [bench.bare_limit() for _ in range(asked.bare)]
        drills = []
        for number in range(asked.rounds):
            drills.append(bench.drill())
            print(f"round {number + 1}: {drills[-1]['verdict']} {drills[-1]['times']}", file=sys.stderr)
            for rule in (one for one in drills[-1]["rules"] if one["finding"] != "satisfied"):
                print(f"  {rule['id']}: {rule['finding']}: {rule['saw']}", file=sys.stderr)
            for limit in (one for one in drills[-1]["limitations"] if "denied" in one):
                print(f"  {limit}", file=sys.stderr)
    of_lab = [
        figure(
            "lab restored", statistics.median(bench.restored_s), baseline=bench.restored_s[0], goal_s=GOAL_RESTORE_S
        ),
        count_most("memory of the lab under traffic", bench.memory_mib, goal_mib=goal_mib()),
    ]
    return report(statistics.median(bare), drills, of_lab)


def goal_mib() -> int:
    return 4096 if len(load_estate(INVENTORY).hosts) > FEW_HOSTS else 3072


def report(bare_s: float, drills: Sequence[Mapping[str, Any]], of_lab: Sequence[dict[str, Any]]) -> int:
    def median(name: str) -> float | None:
        # what a drill did not come to counts as longer than anything; how many those are has a line of its own
        values = [math.inf if drill["times"][name] is None else drill["times"][name] for drill in drills]
        middle = statistics.median(values) if values else math.inf
        return middle if math.isfinite(middle) else None

    figures = [
        figure("approved to database writable", median("approved_to_database_s"), baseline=bare_s, goal_ratio=3.0),
        figure("approved to customers served", median("approved_to_restored_s"), baseline=bare_s, goal_s=2.0),
        figure("plug pulled to sustained service", median("fault_to_restored_s"), baseline=bare_s, goal_s=8.0),
        figure("the same, stretch", median("fault_to_restored_s"), baseline=bare_s, goal_s=5.0),
        count("acknowledged writes lost", [drill["writes"]["lost"] for drill in drills]),
        count("drills that did not pass", [int(drill["verdict"] != "passed") for drill in drills]),
        *of_lab,
    ]
    print(f"{'bare limit: wires dropped, pg_promote':<40} {bare_s:8.3f} s")
    for one in figures:
        value = "not measured" if one["value"] is None else f"{one['value']:8.3f} {one['unit']}"
        print(f"{one['what']:<40} {value}   goal {one['goal']}   met {one['met']}")
    print(json.dumps({"benchmark": "restart", "figures": figures}))
    return 0 if all(one["met"] for one in figures) else 3


def figure(
    what: str, value: float | None, *, baseline: float, goal_s: float | None = None, goal_ratio: float | None = None
) -> dict[str, Any]:
    ratio = None if value is None else value / baseline
    if goal_ratio is not None:
        met, goal = ratio is not None and ratio <= goal_ratio, f"{goal_ratio}x"
    else:
        met, goal = value is not None and goal_s is not None and value <= goal_s, f"{goal_s} s"
    return {"what": what, "value": value, "unit": "s", "baseline": baseline, "ratio": ratio, "goal": goal, "met": met}


def count_most(what: str, values: Sequence[int], *, goal_mib: int) -> dict[str, Any]:
    value, goal = max(values), f"{goal_mib} MiB"
    found = {"what": what, "value": value, "unit": "MiB", "baseline": None, "ratio": None}
    return {**found, "goal": goal, "met": value <= goal_mib}


def count(what: str, values: Sequence[int | None]) -> dict[str, Any]:
    total = None if None in values else sum(value or 0 for value in values)
    return {
        "what": f"{what}, {len(values)} drills",
        "value": total,
        "unit": "",
        "baseline": None,
        "ratio": None,
        "goal": "0",
        "met": total == 0,
    }


if __name__ == "__main__":
    sys.exit(main())
