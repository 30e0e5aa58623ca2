"""How long it takes to see that whatever lives is backed up, new and verified, over a provisioned lab.

The lab must be up and provisioned. Run as root:

    PYTHONPATH=src python benchmarks/backup_checks.py [--estate DIR] [--rounds N]

The baseline is the plain way to ask: one producer after the other, each with restic's list of its newest snapshots. It
can't see what lives, nor the log.
"""

from __future__ import annotations

import argparse
import datetime as dt
import time
from pathlib import Path

from looks import Looks

from secondsite.app import bench, places
from secondsite.app.check import checked, choose
from secondsite.checks.model import Result, State
from secondsite.estate.model import Estate

GOAL_S = 5.0
CHECKS = ("BK-COVERAGE", "BK-FRESH", "BK-JOBS", "BK-READ", "BK-RESTORE", "BK-PITR")
PLAIN = ("sudo", "-n", "--", "/usr/local/sbin/secondsite-restic", "snapshots", "--latest", "1", "--json")


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--estate", type=Path, default=places.DEFAULT_ESTATE)
    words.add_argument("--rounds", type=int, default=5)
    asked = words.parse_args()
    estate = places.estate(asked.estate)
    chosen = choose(CHECKS, estate)
    took: list[float] = []
    results: tuple[Result, ...] = ()
    is_green = True
    with bench.open_bench(estate) as there:
        for _ in range(asked.rounds):
            there.hands.close()  # each round makes its connections anew, as a command does
            begun = time.monotonic()
            results = checked(there, chosen)
            took.append(time.monotonic() - begun)
            is_green = is_green and all(one.state is State.PASSED for one in results)
        for one in results:
            print(f"{one.check.id} {one.state.value}: {one.saw}")
        plain = plainly(there, estate)
    return Looks(
        benchmark="backup_checks",
        what=f"backups: coverage to restores, {len(estate.hosts)} hosts",
        plain_way="restic alone",
        took=took,
        plain=plain,
        goal_s=GOAL_S,
        is_green=is_green,
    ).report()


def plainly(there: bench.Bench, estate: Estate) -> float:
    """Return the seconds that the plain way takes."""
    begun = time.monotonic()
    for host in estate.hosts.values():
        if "producer" in host.groups:
            there.hands.run(host.name, list(PLAIN), timeout=dt.timedelta(seconds=60))
    return time.monotonic() - begun


if __name__ == "__main__":
    raise SystemExit(main())
