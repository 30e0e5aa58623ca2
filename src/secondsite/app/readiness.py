"""Ask whether an estate is ready for its operations to be moved, and what a person overrides of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..checks.readiness import LOOKED_AT, Override, obstacles, unpassed
from ..checks.rules import CHECKS
from ..errors import Refused, UsageError
from ..estate.model import Estate, SiteName
from ..plan.model import Intent, Plan
from ..run.overrides import OVERRIDABLE
from ..store.checks import KeptChecks
from ..store.clock import SystemClock
from .places import state_path


def overrides_in(words: Sequence[str]) -> Mapping[str, str]:
    """Return by check or guard why it is overridden, from words like ``RDY-LOGIN=known and harmless``.

    Raises:
        UsageError: a word names neither, or gives no reason.
    """
    known = {LOOKED_AT, *(check.id for check in CHECKS), *OVERRIDABLE}
    found: dict[str, str] = {}
    for word in words:
        name, _, reason = word.partition("=")
        if name not in known:
            raise UsageError(
                f"--override {word!r:.120} names no check and no guard that may be overridden",
                not_done="nothing was begun",
                next_step=f"secondsite check; guards: {', '.join(sorted(OVERRIDABLE))}",
            )
        if not reason.strip():
            raise UsageError(
                f"--override {name} gives no reason",
                not_done="nothing was begun",
                next_step=f"--override {name}='why it may be passed'",
            )
        found[name] = reason.strip()
    return found


def require_ready(estate: Estate, plan: Plan, overridden: Mapping[str, str], *, who: str) -> tuple[Override, ...]:
    """Pass when the newest checks let this plan move operations; return what was overridden for it.

    A restart from nothing is asked for when nothing is ready any more: it builds anew what checks would look at.

    Raises:
        Refused: they don't; every obstacle is named as it can be overridden.
    """
    if not plan.intent.has_direction or plan.origin is None or plan.intent is Intent.RESTART:
        return ()
    lost = [str(host.name) for host in estate.hosts_at(SiteName(plan.origin))]
    found = tuple(obstacles(KeptChecks(state_path(estate)).newest(), lost=lost, now=SystemClock().now()))
    left = unpassed(found, overridden)
    if left:
        words = " ".join(f"--override {one.check}='...'" for one in left[:3])
        raise Refused(
            *(f"{one.check}: {one.why}" for one in left),
            next_step=f"secondsite check, and mend what is wrong; or say why it may be passed: {words}",
        )
    passed = [(one.check, one.why) for one in found if one.check in overridden]
    passed += [
        (guard, "two persons must consent when it comes to that") for guard in OVERRIDABLE if guard in overridden
    ]
    return tuple(Override(check=name, why=why, who=who, reason=overridden[name]) for name, why in passed)
