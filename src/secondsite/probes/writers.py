"""Whether two nodes surely could write the same data at once, said while it happens: a drill ends there and then."""

from __future__ import annotations

from dataclasses import dataclass, field

WRITABLE, UNREACHABLE = "writable", "unreachable"
LONGEST_UNWATCHED_S = 1.0


@dataclass(slots=True)
class _Run:
    """A node could write surely from the end of the first to the begin of the last poll that found it so."""

    begin: float
    end: float
    latest: float


@dataclass(slots=True)
class WriterWatch:
    """Folds polls as they come. It only says what is sure; the verdict, from all records, may know of more."""

    _runs: dict[tuple[str, str], _Run] = field(default_factory=dict)
    _found: dict[str, set[str]] = field(default_factory=dict)

    def see(self, workload: str, node: str, state: str, *, t: float, took_s: float) -> None:
        """Take one poll, which ended at ``t``. One that got no answer says nothing."""
        if state == UNREACHABLE:
            return
        if state != WRITABLE:
            self._runs.pop((workload, node), None)
            return
        run = self._runs.get((workload, node))
        if run is None or t - run.latest > LONGEST_UNWATCHED_S:
            run = self._runs[workload, node] = _Run(begin=t, end=t - took_s, latest=t)
        run.end, run.latest = max(run.end, t - took_s), max(run.latest, t)
        for (other, beside), theirs in self._runs.items():
            if other == workload and beside != node and max(run.begin, theirs.begin) <= min(run.end, theirs.end):
                self._found.setdefault(workload, set()).update((node, beside))

    def several(self) -> str:
        """Name the data that two nodes could write at once, and those nodes; nothing as long as there is none."""
        return "; ".join(f"{name} at {', '.join(sorted(nodes))}" for name, nodes in sorted(self._found.items()))
