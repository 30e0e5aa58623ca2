"""How much of the lab machine's processor time others took: on such a machine every time measured is too long."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_STAT = Path("/proc/stat")
_FIELDS = 8
_STOLEN = 7
WORTH_SAYING = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorTime:
    """Ticks of all processors since the machine booted, and those of them in which it was kept from running."""

    total: int
    stolen: int


def read_processor_time(stat: Path = _STAT) -> ProcessorTime | None:
    """Read the counters as proc(5) describes them; None where there are none.

    Guest time, the ninth field and the tenth, is contained in user time and is not added again.
    """
    try:
        first = stat.read_text(encoding="ascii").split("\n", 1)[0].split()
        ticks = [int(word) for word in first[1 : 1 + _FIELDS]]
    except (OSError, ValueError):
        return None
    if first[:1] != ["cpu"] or len(ticks) < _FIELDS:
        return None
    return ProcessorTime(total=sum(ticks), stolen=ticks[_STOLEN])


def stolen_time_limitation(since: ProcessorTime | None, until: ProcessorTime | None) -> tuple[str, ...]:
    """Return what a report must say about the time taken between two readings: one sentence, or nothing."""
    if since is None or until is None:
        return ("how much processor time the machine under the lab was denied is not known",)
    ratio = (until.stolen - since.stolen) / max(until.total - since.total, 1)
    if ratio < WORTH_SAYING:
        return ()
    return (
        f"the machine under the lab was denied {ratio:.0%} of its processor time by its own host during this drill:"
        " times and latencies are longer than they would be on a machine of one's own",
    )
