"""How long a look at a whole estate takes: every check, on a provisioned lab.

The lab must be up and provisioned. Run as root:

    PYTHONPATH=src python benchmarks/check.py [--estate DIR] [--rounds N]

What counts is the command as somebody calls it, from its first import to the last judgement. The baseline is the least
that any look needs: one connection to every host, all at once, and one command there through sudo.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from looks import Looks

from secondsite.app import places
from secondsite.app.lookout import open_lookout
from secondsite.estate.model import Estate

GOAL_S = 8.0
PLAIN = ("sudo", "-n", "--", "/bin/true")


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--estate", type=Path, default=places.DEFAULT_ESTATE)
    words.add_argument("--rounds", type=int, default=5)
    asked = words.parse_args()
    estate = places.estate(asked.estate)
    took, plain = list[float](), list[float]()
    seen, red = set[str](), set[str]()
    for _ in range(asked.rounds):
        begun = time.monotonic()
        document = looked(asked.estate)
        took.append(time.monotonic() - begun)
        seen |= {one["id"] for one in document["checks"]}
        red |= {one["id"] for one in document["checks"] if one["state"] != "passed"}
        plain.append(plainly(estate))
    print(f"{len(seen)} checks; not passed: {', '.join(sorted(red)) or 'none'}")
    return Looks(
        benchmark="check",
        what=f"every check, {len(estate.hosts)} hosts",
        plain_way="one command each",
        took=took,
        plain=statistics.median(plain),
        goal_s=GOAL_S,
        is_green=not red,
    ).report()


def looked(estate: Path) -> dict[str, list[dict[str, str]]]:
    """Return the document of one whole check."""
    words = [sys.executable, "-m", "secondsite", "check", "--json", "--estate", str(estate)]
    document: dict[str, list[dict[str, str]]] = json.loads(
        subprocess.run(words, stdout=subprocess.PIPE, check=False, text=True).stdout
    )
    return document


def plainly(estate: Estate) -> float:
    """Return the seconds that one connection and one command take, on all hosts at once."""
    with open_lookout(estate) as there, ThreadPoolExecutor(max_workers=len(estate.hosts)) as pool:
        begun = time.monotonic()
        list(pool.map(lambda host: there.hands.run(host, PLAIN, timeout=dt.timedelta(seconds=60)), estate.hosts))
        return time.monotonic() - begun


if __name__ == "__main__":
    raise SystemExit(main())
