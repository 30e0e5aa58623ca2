"""What benchmarks of a look have in common: their one figure, as a table and as a line of JSON."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """Seconds of each look, and of the plain way; ``is_green`` says whether every look found all as it should be."""

    benchmark: str
    what: str
    plain_way: str
    took: Sequence[float]
    plain: float
    goal_s: float
    is_green: bool

    def report(self) -> int:
        """Print the figure; return the exit code."""
        median = statistics.median(self.took)
        is_met = median <= self.goal_s and self.is_green
        figure = {
            "what": self.what,
            "value": round(median, 2),
            "unit": "s",
            "baseline": round(self.plain, 2),
            "ratio": round(self.plain / median, 2),
            "goal": f"{self.goal_s:g} s",
            "met": is_met,
        }
        print(f"{'what':<44} {'ours':>8} {self.plain_way:>17} {'ratio':>7} {'goal':>6}  met")
        line = f"{self.what:<44} {figure['value']:>6} s {figure['baseline']:>15} s {figure['ratio']:>6}x"
        print(f"{line} {figure['goal']:>6}  {'yes' if is_met else 'NO'}")
        print(f"rounds: {', '.join(f'{one:.2f} s' for one in self.took)}")
        print(json.dumps({"benchmark": self.benchmark, "figures": [figure]}))
        return 0 if is_met else 3
