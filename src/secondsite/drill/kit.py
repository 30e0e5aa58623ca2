"""What a conductor works with."""

from __future__ import annotations

from dataclasses import dataclass

from .ports import (
    Anew,
    Clock,
    Injector,
    Isolation,
    Markers,
    Persons,
    Records,
    Replication,
    Runs,
    SteadyState,
    Traffic,
    View,
    WritabilityWatch,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """Everything a conductor works with."""

    clock: Clock
    injector: Injector
    isolation: Isolation
    records: Records
    replication: Replication
    runs: Runs
    steady: SteadyState
    traffic: Traffic
    view: View
    writability: WritabilityWatch
    markers: Markers | None = None
    persons: Persons | None = None
    anew: Anew | None = None
