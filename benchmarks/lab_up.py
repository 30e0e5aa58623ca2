"""From nothing to nine hosts that answer SSH, from the cached image; several times, against one host alone.

    python benchmarks/lab_up.py [REPETITIONS]      as root; SECONDSITE_CACHE says where the image is

The baseline is the same start with a single host in the topology: how much nine cost over one is the ratio.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from secondsite.lab import processes, service
from secondsite.lab.image import ensure_image
from secondsite.lab.model import LabSettings

GOAL_S = 6.0
GOAL_MIB = 3072
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


def main() -> int:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    cache = Path(os.environ.get("SECONDSITE_CACHE", "/var/cache/secondsite"))
    ensure_image(cache, mirror=os.environ.get("SECONDSITE_MIRROR"), say=print)
    with tempfile.TemporaryDirectory(prefix="labbench") as folder:
        one = Path(folder) / "one.yml"
        one.write_text(ONE_HOST, encoding="utf-8")
        single = [start_once(one, Path(folder) / "one", cache) for _ in range(times)]
        nine = [start_once(PROJECT / "inventories/small/lab.yml", Path(folder) / "nine", cache) for _ in range(times)]
    alone, all_nine = (statistics.median(start.seconds for start in starts) for starts in (single, nine))
    slowest, memory = max(start.seconds for start in nine), max(start.memory_mib for start in nine)
    figures = [
        {"what": "lab up, all nine hosts answer SSH (median)", "value": round(all_nine, 2), "unit": "s",
         "baseline": round(alone, 2), "ratio": round(all_nine / alone, 2), "goal": GOAL_S, "met": all_nine <= GOAL_S},
        {"what": "lab up, all nine hosts answer SSH (slowest)", "value": round(slowest, 2), "unit": "s",
         "baseline": round(alone, 2), "ratio": round(slowest / alone, 2), "goal": GOAL_S, "met": slowest <= GOAL_S},
        {"what": "memory of the lab, idle", "value": memory, "unit": "MiB", "baseline": None, "ratio": None,
         "goal": GOAL_MIB, "met": memory <= GOAL_MIB},
    ]  # fmt: skip
    for figure in figures:
        print(
            f"{figure['what']:<48} {figure['value']:>8} {figure['unit']:<4} goal {figure['goal']}  met {figure['met']}"
        )
    print(json.dumps({"benchmark": "lab_up", "figures": figures}))
    return 0 if all(figure["met"] for figure in figures) else 3


if __name__ == "__main__":
    sys.exit(main())
