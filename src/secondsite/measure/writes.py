"""Which writes customers were told were kept, and which of them are there (after Jepsen's set check)."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import Problem
from .model import Arm, FinalRead, Instant, Kind, Outcome, Records, Request, Writes


class ArmWrites:
    """The writes of one arm by what the customer was told last and best, against the final read.

    An id asked several times counts once: ok if any answer was ok, else unknown if any was, else failed.
    """

    def __init__(self, requests: Sequence[Request], final: FinalRead | None) -> None:
        """Sort ids by outcome."""
        writes = [request for request in requests if request.kind is Kind.WRITE]
        told = {outcome: {r.id for r in writes if r.outcome is outcome} for outcome in Outcome}
        self.first_acknowledged: dict[str, Instant] = {}
        for write in sorted(writes, key=lambda request: request.t1, reverse=True):
            if write.outcome is Outcome.OK:
                self.first_acknowledged[write.id] = write.t1
        self.acknowledged = told[Outcome.OK]
        self.unknown = told[Outcome.UNKNOWN] - told[Outcome.OK]
        self.failed = told[Outcome.FAILED] - told[Outcome.OK] - told[Outcome.UNKNOWN]
        self.asked = {write.id for write in writes}
        self.final = final
        self.present = frozenset(final.ids) if final else frozenset()

    @property
    def lost(self) -> set[str] | None:
        """Acknowledged and not there; None without a final read."""
        return None if self.final is None else self.acknowledged - self.present

    def lost_span(self, fault: Instant) -> float | None:
        """Return the RPA: seconds from the earliest acknowledged-but-missing write to the fault, else 0.0.

        Where writes acknowledged after the fault are missing too, the span reaches to the last of those.
        """
        if self.lost is None:
            return None
        missing = [self.first_acknowledged[write] for write in self.lost]
        return max(fault, *missing) - min(missing) if missing else 0.0


def arm_writes(records: Records, arm: Arm) -> ArmWrites | None:
    """Return the writes of an arm; None without request records."""
    if records.requests is None:
        return None
    final = next((read for read in records.final or () if read.arm is arm), None)
    return ArmWrites([request for request in records.requests if request.arm is arm], final)


def count_writes(main: ArmWrites | None, control: ArmWrites | None) -> Writes:
    """Return the counts; what needs a final read that is missing is None."""
    judged = main is not None and main.final is not None
    present = main.present if main else frozenset()
    rows = len(main.final.ids) if main and main.final else 0
    return Writes(
        acknowledged=len(main.acknowledged) if main else None,
        lost=_size(main.lost) if main else None,
        unknown=len(main.unknown) if main else None,
        recovered=len(main.unknown & present) if main and judged else None,
        duplicated=rows - len(present) if judged else None,
        phantom=len(main.failed & present) if main and judged else None,
        unexplained=len(present - main.asked) if main and judged else None,
        control_acknowledged=len(control.acknowledged) if control else None,
        control_lost=_size(control.lost) if control else None,
    )


def _size(ids: set[str] | None) -> int | None:
    return None if ids is None else len(ids)


def too_late_to_judge(arm: ArmWrites | None) -> tuple[Problem, ...]:
    """Name the acknowledgements that came after the final read, which therefore can't be judged by it."""
    if arm is None or arm.final is None:
        return ()
    read_at = arm.final.read_at
    late = sum(t1 > read_at for t1 in arm.first_acknowledged.values())
    what = f"{late} writes of the {arm.final.arm.value} arm were acknowledged after its final read at {read_at:.6f}"
    return (Problem(file="final.jsonl", line=None, pointer="", what=what),) if late else ()
