"""How findings are worded, the same in every rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .facts import Facts
from .milestones import between
from .model import Arm, RuleResult, Status

NOT_MEASURED = "not measured"
Rule = Callable[[Facts], RuleResult]


def seconds(value: float | None) -> str:
    """Return a duration as it is printed; None is *not measured*."""
    return NOT_MEASURED if value is None else f"{value:.3f} s"


def promised_seconds(value: float | None) -> str:
    """Return a promised duration, without digits nobody promised."""
    return "no stated limit" if value is None else f"{value:g} s"


def status_of(satisfied: bool | None) -> Status:  # noqa: FBT001  the fact itself
    """Turn a fact that may be missing into a status."""
    if satisfied is None:
        return Status.NOT_MEASURED
    return Status.SATISFIED if satisfied else Status.NOT_SATISFIED


def not_watched(unwatched: Sequence[str]) -> str:
    """Name who went unwatched."""
    return f"not watched: {'; '.join(unwatched)}"[:200]


def not_restored(facts: Facts, arm: Arm) -> str:
    """Say how long one looked for service that lasts and did not find it."""
    restoration = facts.restorations.get(arm)
    looked = between(facts.milestones.fault_begun, restoration.observed_until) if restoration else None
    wanted = facts.promised.service_level.sustained
    return NOT_MEASURED if looked is None else f"no {wanted} s of service in a row in the {looked:.1f} s looked at"
