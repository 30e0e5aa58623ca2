"""From the records of one cold restart to the phases that are projected, and what production was declared to be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from .fields import Fields, Malformed
from .model import Event, Promised, Records, Restore
from .projection.model import Driver, Phase, Point, Profile, Projection, Wait
from .projection.rules import project

DATABASES, FILES, MANY_FILES = "databases", "files", "number-of-files"
BUILD_HOSTS, OPEN_HOSTS = "build-hosts", "open-hosts"
HOSTS_PHASES: Mapping[str, tuple[str, ...]] = {
    BUILD_HOSTS: ("first-contact", "ask-keepers", "lay-foundations", "require-foundations", "note-machines"),
    OPEN_HOSTS: ("open-hosts", "hand-over-keys"),
}
"""The steps of the runbook that take as long as there are hosts, by phase."""
VAULT_LINK, DISK = "vault-link", "disk"
_BEGIN, _OPEN = "begin-and-isolate", "open-to-customers"
_AMOUNT_OF = {DATABASES: "bytes", FILES: "bytes", MANY_FILES: "files", BUILD_HOSTS: "hosts", OPEN_HOSTS: "hosts"}


def projection_of(records: Records, promised: Promised) -> Projection | None:
    """Return how long the restart would take in production; None where none was part of the drill.

    Where production was not declared, everything is missing.
    """
    if not promised.begins_anew:
        return None
    profile = _spread(promised.production) if promised.production is not None else None
    target = promised.production_target or math.inf
    if profile is None:
        return Projection(
            target_s=target,
            expected_s=None,
            upper_95_s=None,
            phases=(),
            assumptions=(),
            missing=("the estate does not declare what production is",),
        )
    return project(phases_of(records, profile), profile, target_s=target)


def phases_of(records: Records, profile: Profile) -> tuple[Phase, ...]:
    """Return the phases of a restart as measured, each after those it waits for."""
    restores = records.restores or ()
    waits = tuple(wait.name for wait in profile.waits)
    both = (VAULT_LINK, DISK)
    return (
        Phase(name=_BEGIN, driver=Driver.NOTHING, points=_begun(records), after=waits),
        Phase(
            name=BUILD_HOSTS,
            driver=Driver.HOSTS,
            points=_points(restores, BUILD_HOSTS),
            after=(_BEGIN,),
            is_proportional=True,
        ),
        Phase(
            name=DATABASES,
            driver=Driver.BYTES,
            points=_points(restores, DATABASES),
            after=(BUILD_HOSTS,),
            resources=both,
        ),
        Phase(name=FILES, driver=Driver.BYTES, points=_points(restores, FILES), after=(BUILD_HOSTS,), resources=both),
        Phase(name=MANY_FILES, driver=Driver.FILES, points=_points(restores, MANY_FILES), after=(FILES,)),
        Phase(
            name=OPEN_HOSTS,
            driver=Driver.HOSTS,
            points=_points(restores, OPEN_HOSTS),
            after=(DATABASES, MANY_FILES),
            is_proportional=True,
        ),
        Phase(name=_OPEN, driver=Driver.NOTHING, points=_opened(records), after=(OPEN_HOSTS,)),
    )


def parse_production(value: object) -> tuple[Profile, float]:
    """Return what was pinned of production, and within how many seconds operations were promised to restart."""
    fields = Fields(value)
    amounts, rates = _stated(fields.all.get("amounts")), _stated(fields.all.get("rates"))
    waits = tuple(
        Wait(
            name=name,
            expected_s=one.number("expected_s"),
            at_most_s=one.number("at_most_s"),
            source=one.text("source"),
            after=one.texts_or_none("after"),
        )
        for name, one in _each(fields.all.get("waits"))
    )
    sources = {name: source for name, (_, source) in (amounts | rates).items()}
    profile = Profile(
        amounts={name: number for name, (number, _) in amounts.items()},
        rates={name: number for name, (number, _) in rates.items()},
        waits=waits,
        sources=sources,
    )
    return profile, fields.number("target_s")


def _spread(profile: Profile) -> Profile:
    """Return the profile with the hosts declared as the amount of each phase that takes as long as there are hosts."""
    hosts = profile.amounts.get("hosts")
    if hosts is None:
        return profile
    source = profile.sources.get("hosts", "")
    return Profile(
        amounts={**profile.amounts, **dict.fromkeys(HOSTS_PHASES, hosts)},
        rates=profile.rates,
        waits=profile.waits,
        sources={**profile.sources, **dict.fromkeys(HOSTS_PHASES, source)},
    )


def _each(value: object) -> list[tuple[str, Fields]]:
    if not isinstance(value, dict):
        raise Malformed("production is not told as amounts, rates and waits by name")
    return [(str(name), Fields(one)) for name, one in value.items()]


def _stated(value: object) -> dict[str, tuple[float, str]]:
    return {name: (float(one.amount("value")), one.text("source")) for name, one in _each(value)}


def _points(restores: Sequence[Restore], phase: str) -> tuple[Point, ...]:
    amount = _AMOUNT_OF[phase]
    return tuple(
        Point(amount=float(one.amounts[amount]), seconds=one.t1 - one.t0)
        for one in restores
        if one.phase == phase and amount in one.amounts
    )


def _begun(records: Records) -> tuple[Point, ...]:
    """From when the kit was fetched until the lost site was fenced; waits for persons are declared, not measured."""
    began, ended = _kit_begun(records), _last(records.events, "fenced")
    if began is None or ended is None or ended < began:
        return ()
    consents = records.approvals.consents if records.approvals is not None else ()
    waited = math.fsum(max(0.0, min(one.answered, ended) - max(one.asked, began)) for one in consents)
    return (Point(amount=1.0, seconds=max(0.0, ended - began - waited)),)


def _kit_begun(records: Records) -> float | None:
    """Return when the controller began to be rebuilt, as its end tells."""
    told = next((one for one in records.events or () if one.event == "controller-rebuilt"), None)
    began = told.detail.get("began") if told is not None else None
    return began if isinstance(began, float) else None


def _opened(records: Records) -> tuple[Point, ...]:
    """From the first workload that may be written to, until customers use the service."""
    began, ended = _first(records.events, "writable"), _last(records.events, "restored-verified")
    if began is None or ended is None or ended < began:
        return ()
    return (Point(amount=1.0, seconds=ended - began),)


def _first(events: Sequence[Event] | None, name: str) -> float | None:
    return min((event.t for event in events or () if event.event == name), default=None)


def _last(events: Sequence[Event] | None, name: str) -> float | None:
    return max((event.t for event in events or () if event.event == name), default=None)
