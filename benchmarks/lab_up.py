"""From nothing to nine, and to seventeen, hosts that answer SSH, from the cached image, against one host alone.

    python benchmarks/lab_up.py [REPETITIONS]      as root; SECONDSITE_CACHE says where the image is

The baseline is the same start with a single host in the topology: how much the others cost over one is the ratio.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secondsite.lab import processes, service
from secondsite.lab.image import ensure_image
from secondsite.lab.load import load_topology
from secondsite.lab.model import LabSettings

GOALS = {"small": (6.0, 3072), "lab": (8.0, 4096)}
"""By inventory: seconds until every host answers, and MiB of memory; restart.py tells what it takes under traffic."""
PROJECT = Path(__file__).resolve().parents[1]
ONE_HOST = """\
control: 198.19.0.1/24
sites:
  dc1: 198.18.1.0/24
hosts:
  db-dc1:
    site: dc1
    address: 198.18.1.20
    management: 198.19.0.22
    disk:
      size_mib: 2048
      folders:
        - path: /srv/postgresql
          owner: postgres
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    seconds: float
    memory_mib: int


def start_once(topology: Path, state: Path, cache: Path) -> Start:
    settings = LabSettings(instance="labbench", state=state, cache=cache, topology=topology)
    try:
        report = service.up(settings, say=lambda text: print(text, file=sys.stderr))
        return Start(seconds=report.seconds, memory_mib=processes.memory_mib(settings))
    finally:
        left = service.down(settings)
        if left:
            sys.exit(f"left behind: {', '.join(map(str, left))}")


def topology_of(name: str) -> Path:
    return PROJECT / "inventories" / name / "lab.yml"


def figures_of(name: str, starts: list[Start], *, alone: float) -> list[dict[str, Any]]:
    """Return what the starts of one inventory came to."""
    (goal_s, goal_mib), hosts = GOALS[name], len(load_topology(topology_of(name)).hosts)
    seconds = [start.seconds for start in starts]
    memory = max(start.memory_mib for start in starts)
    took = {"median": statistics.median(seconds), "slowest": max(seconds)}
    return [
        *(
            {"what": f"lab up, all {hosts} hosts answer SSH ({which})", "value": round(value, 2), "unit": "s",
             "baseline": round(alone, 2), "ratio": round(value / alone, 2), "goal": goal_s, "met": value <= goal_s}
            for which, value in took.items()
        ),
        {"what": f"memory of the {hosts} hosts, idle", "value": memory, "unit": "MiB", "baseline": None, "ratio": None,
         "goal": goal_mib, "met": memory <= goal_mib},
    ]  # fmt: skip


def main() -> int:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    cache = Path(os.environ.get("SECONDSITE_CACHE", "/var/cache/secondsite"))
    ensure_image(cache, mirror=os.environ.get("SECONDSITE_MIRROR"), say=print)
    with tempfile.TemporaryDirectory(prefix="labbench") as folder:
        one = Path(folder) / "one.yml"
        one.write_text(ONE_HOST, encoding="utf-8")
        single = [start_once(one, Path(folder) / "one", cache) for _ in range(times)]
        whole = {
            name: [start_once(topology_of(name), Path(folder) / name, cache) for _ in range(times)] for name in GOALS
        }
    alone = statistics.median(start.seconds for start in single)
    figures = [figure for name, starts in whole.items() for figure in figures_of(name, starts, alone=alone)]
    for figure in figures:
        print(
            f"{figure['what']:<48} {figure['value']:>8} {figure['unit']:<4} goal {figure['goal']}  met {figure['met']}"
        )
    print(json.dumps({"benchmark": "lab_up", "figures": figures}))
    return 0 if all(figure["met"] for figure in figures) else 3


if __name__ == "__main__":
    sys.exit(main())
