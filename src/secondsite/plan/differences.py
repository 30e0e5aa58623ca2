"""What an approved plan says and the estate, as it is now, no longer does. Facts in, words out.

The plan that the run's own copy of its runbook would build today is laid beside the approved one: edits to the runbook
and to roles are no difference, because the run's own copies are what is carried out. Words for people (titles, what to
do by hand, how long it should take) are none either.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

from ..estate.model import Estate
from .document import plan_document
from .model import Plan

_WORDS = frozenset({"name", "title", "by_hand", "expected_ms"})
_SHOWN = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """What the estate is now: the plan it would give, where its hosts are, and what kept either from being known."""

    plan: Plan | None = None
    places: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""


def places_of(estate: Estate) -> Mapping[str, str]:
    """Return of every host where it stands and how it is reached, in one line."""
    return {
        str(host.name): f"at {host.site}, managed at {host.management}, address {host.address or 'none'}"
        for host in estate.hosts.values()
    }


def differences(approved: Plan, places: Mapping[str, str], present: Present) -> Iterator[str]:
    """Yield everything that is no longer as it was approved; that it can't be known is a difference too."""
    if present.trouble:
        yield f"the estate as it is now can't be compared: {present.trouble}"
    yield from _moved(approved, places, present.places)
    if present.plan is not None:
        yield from _changed(approved, present.plan)


def _moved(approved: Plan, then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    if not then or not now:
        return
    for host in sorted({host for step in approved.steps for host in step.hosts}):
        if host not in now:
            yield f"host {host} is no longer in the estate"
        elif host in then and then[host] != now[host]:
            yield f"host {host} was {then[host]}, and is {now[host]}"


def _changed(approved: Plan, now: Plan) -> Iterator[str]:
    before, after = _steps(approved), _steps(now)
    yield from (f"step {name} would no longer be in the plan" for name in before if name not in after)
    yield from (f"step {name} would be new in the plan" for name in after if name not in before)
    for name, step in before.items():
        for key, value in step.items():
            if name in after and key not in _WORDS and after[name].get(key) != value:
                yield f"step {name}: {key} was {_shown(value)}, and would be {_shown(after[name].get(key))}"


def _steps(plan: Plan) -> dict[str, dict[str, object]]:
    return {step["name"]: cast("dict[str, object]", dict(step)) for step in plan_document(plan)["steps"]}


def _shown(value: object) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
