"""What became of a planted fault: noticed by the checks that must, and by no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...estate.model import Estate, Host
from ..model import Place, Result, Sabotage, State
from .twins import datacenters

States = Mapping[str, State]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """How one sabotage went: green, then red where it must, then green again."""

    sabotage: Sabotage
    host: str
    red: frozenset[str]
    missed: frozenset[str]
    alarms: frozenset[str]
    not_green_again: frozenset[str]
    seconds: float

    @property
    def noticed(self) -> bool:
        """Every check that must turn red did, and all were green again afterwards."""
        return not self.missed and not self.not_green_again


def states_of(results: Sequence[Result]) -> dict[str, State]:
    """Return how each check came out."""
    return {result.check.id: result.state for result in results}


def reasons_not_healthy(before: States) -> list[str]:
    """Name what keeps a fault from proving anything: what is red already, and what isn't known to be green."""
    return [f"{name} is {state.value}" for name, state in sorted(before.items()) if state is not State.PASSED]


def missed(sabotage: Sabotage, before: States, after: States) -> frozenset[str]:
    """Return the checks that should have turned red and did not. One that was red before proves nothing."""
    turned = {name for name, state in after.items() if state is State.FAILED and before.get(name) is State.PASSED}
    return sabotage.expect_red - turned


def alarms(sabotage: Sabotage, before: States, after: States) -> frozenset[str]:
    """Return the checks that moved though nothing that concerns them was changed."""
    moved = {name for name, state in after.items() if state is not before.get(name)}
    return frozenset(moved) - sabotage.expect_red - sabotage.may_red


def confirmed(sabotage: Sabotage, before: States, after: States, again: States) -> States:
    """Return how the checks came out when what moved without a reason was looked at a second time.

    A route that a busy host lost for a moment is back by then; what the fault itself has wrongly turned red is not.
    """
    doubtful = alarms(sabotage, before, after)
    return {name: again.get(name, state) if name in doubtful else state for name, state in after.items()}


def changed(before: States, after: States) -> frozenset[str]:
    """Return the checks that did not come out as before."""
    return frozenset(name for name in {*before, *after} if before.get(name) is not after.get(name))


def target(sabotage: Sabotage, estate: Estate) -> Host | None:
    """Return the host on which a sabotage is planted, if the estate has one."""
    first, second, *_ = datacenters(estate)
    hosts = {
        Place.PRIMARY: estate.hosts_at(first.name),
        Place.SECONDARY: estate.hosts_at(second.name),
        Place.ANYWHERE: tuple(estate.hosts.values()),
    }[sabotage.at]
    return next((host for group in sabotage.groups for host in hosts if group in host.groups), None)
