"""The steps of fencing, for every kind of it: close, read back, open again. ``fences`` says which kinds there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..errors import JournalError, LeftOff, SecondsiteError
from ..run.functions import ActionFrom, ProbeFrom
from ..run.model import Json
from ..run.ports import Action, Fence, Outcome, Probe, Registry, StepContext

ISOLATION, POWER, LEASE = "isolation", "power", "lease"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verbs:
    """What the steps of one kind of fencing are called in plans; an empty name means that there is none."""

    read_back: str
    close: str = ""
    open: str = ""
    is_closed: str = ""
    is_open: str = ""


VERBS: Mapping[str, Verbs] = {
    ISOLATION: Verbs(close="isolate", open="lift", read_back="read-isolation", is_closed="isolated", is_open="lifted"),
    POWER: Verbs(
        close="power-off", open="power-on", read_back="read-outlet", is_closed="outlet-off", is_open="outlet-on"
    ),
    LEASE: Verbs(read_back="read-lease-end"),
}
"""By kind. A lease can't be made to end by anybody but its holder and time, so it is only read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What the steps below work with: an adapter for each kind of fencing."""

    fences: Mapping[str, Fence]

    def registry(self) -> Registry:
        """Name every action and probe."""
        actions: dict[str, Action] = {}
        probes: dict[str, Probe] = {}
        for kind, fence in self.fences.items():
            verbs = VERBS[kind]
            changing = {verbs.close: fence.close, verbs.open: fence.open}
            looking = {verbs.is_closed: fence.is_closed, verbs.is_open: fence.is_open}
            actions |= {name: _changes(do) for name, do in changing.items() if name}
            actions[verbs.read_back] = _reads(fence.read_back)
            probes |= {name: _looks(holds) for name, holds in looking.items() if name}
        return Registry(actions=actions, probes=probes)


def unless_another_confirms(arguments: Json, do: Callable[[], object]) -> Json:
    """Do it. Where the plan says that another kind may confirm the fencing, its failure is returned as what was found.

    Nothing is confirmed by it: the guard asks for what was read back, and what is missing there is unknown.
    """
    if arguments.get("another_may_confirm") is not True:
        do()
        return {}
    try:
        do()
    except (JournalError, LeftOff):
        raise
    except SecondsiteError as error:
        return {"trouble": error.what}
    return {}


def _changes(do: Callable[[Json], None]) -> Action:
    def perform(arguments: Json, _context: StepContext) -> Outcome:
        return Outcome(changed=True, detail=unless_another_confirms(arguments, lambda: do(arguments)))

    return ActionFrom(perform)


def _reads(read_back: Callable[[Json], Json]) -> Action:
    def perform(arguments: Json, _context: StepContext) -> Outcome:
        found: dict[str, object] = {}
        trouble = unless_another_confirms(arguments, lambda: found.update(read_back(arguments)))
        return Outcome(changed=False, detail={**found, **trouble})

    return ActionFrom(perform)


def _looks(holds: Callable[[Json], bool]) -> Probe:
    def look(arguments: Json, _context: StepContext) -> bool:
        return holds(arguments)

    return ProbeFrom(look)
