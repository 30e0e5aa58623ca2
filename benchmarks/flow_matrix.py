"""How long the whole matrix of flows takes on a provisioned lab: every pair of hosts with every service's ports.

The lab must be up and provisioned. Run as root:

    PYTHONPATH=src python benchmarks/flow_matrix.py [--estate DIR] [--rounds N]

The baseline is what the same tries take one after the other with the same patience; it is computed from this run's own
tries (each silence costs the whole patience), not tried: it would take hours.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from secondsite.app import bench, places
from secondsite.checks.model import Section, State, World
from secondsite.checks.rules.flows import FLOWS, flows_are_as_declared
from secondsite.checks.rules.frame import judged
from secondsite.estate.firewall.model import Answer, Matrix
from secondsite.estate.model import HostName
from secondsite.probes.collecting import TRIES, Collector
from secondsite.probes.flows.matrix import PATIENCE, FlowMatrix, Order

GOAL_S = 10.0


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--estate", type=Path, default=places.DEFAULT_ESTATE)
    words.add_argument("--rounds", type=int, default=3)
    asked = words.parse_args()
    estate = places.estate(asked.estate)
    took: list[float] = []
    matrix = Matrix(tried=())
    with bench.open_bench(estate) as there:
        for _ in range(asked.rounds):
            there.hands.close()  # each round makes its connections anew, as a command does
            begun = time.monotonic()
            with FlowMatrix(there.hands, estate) as flows:
                flows.begin()
                matrix = flows.try_all(partial(tried, there))
            took.append(time.monotonic() - begun)
        world = World(estate=estate, now=there.clock.now(), hosts={}, outside={FLOWS: Section(value=matrix)})
    result = judged(flows_are_as_declared, world)
    print(f"FW-FLOWS {result.state.value}: {result.saw}")
    return report(len(estate.hosts), matrix, took, is_green=result.state is State.PASSED)


def tried(there: bench.Bench, orders: Mapping[HostName, Order]) -> dict[HostName, Section]:
    """Have every host try, and nothing else."""
    told = Collector(estate=there.estate, hands=there.hands, roots="").collect({}, tries=orders)
    return {name: sections[TRIES] for name, sections in told.items()}


def report(hosts: int, matrix: Matrix, took: list[float], *, is_green: bool) -> int:
    median = statistics.median(took)
    one_by_one = PATIENCE.total_seconds() * sum(one.answer is Answer.SILENT for one in matrix.tried)
    figures = [
        {
            "what": f"whole matrix, {hosts} hosts, {len(matrix.tried)} tries",
            "value": round(median, 2),
            "unit": "s",
            "baseline": round(one_by_one, 1),
            "ratio": round(one_by_one / median, 1),
            "goal": f"{GOAL_S:g} s",
            "met": median <= GOAL_S and is_green,
        }
    ]
    print(f"{'what':<44} {'ours':>8} {'one by one':>12} {'ratio':>7} {'goal':>6}  met")
    for one in figures:
        line = f"{one['what']:<44} {one['value']:>6} s {one['baseline']:>10} s {one['ratio']:>6}x {one['goal']:>6}"
        print(f"{line}  {'yes' if one['met'] else 'NO'}")
    print(f"rounds: {', '.join(f'{one:.2f} s' for one in took)}")
    print(json.dumps({"benchmark": "flow_matrix", "figures": figures}))
    return 0 if all(one["met"] for one in figures) else 3


if __name__ == "__main__":
    raise SystemExit(main())
