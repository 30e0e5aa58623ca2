"""What the drill room needs from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerCut:
    """What an injector did: instants are seconds on the machine's monotonic clock."""

    hosts: tuple[str, ...]
    first_wire_dropped_at: float
    last_wire_dropped_at: float
    last_init_killed_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Proof of a cut: what was heard from the hosts, seen from outside, in a window after it."""

    hosts: tuple[str, ...]
    watched_from: float
    watched_until: float
    packets_heard: int
    answers: tuple[str, ...]

    @property
    def proven(self) -> bool:
        """Nothing was heard and nothing answered."""
        return self.packets_heard == 0 and not self.answers


class Injector(Protocol):
    """Brings faults about and takes them back."""

    def cut_power(self, hosts: Sequence[str]) -> PowerCut:
        """Drop every wire of the hosts from outside, all at once, then end their machines."""
        ...

    def prove_silence(self, hosts: Sequence[str], *, seconds: float) -> Silence:
        """Listen on the hosts' wires from outside and try to reach them."""
        ...

    def restore_power(self, hosts: Sequence[str]) -> None:
        """Join the wires again and start the machines; return when they answer SSH."""
        ...

    def leftovers(self) -> tuple[str, ...]:
        """Name every injected fault that is still in force."""
        ...
