"""Where somebody looks at an estate: hands on its hosts, and what is needed to judge what they tell; nothing that acts.

Much less is imported than for a bench, which takes as long as all hosts need to answer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..estate.model import Estate
from ..hands.age import Safe
from ..hands.keys import USER, Trust
from ..hands.ssh import SshHands, SshTarget
from ..lab.netns import enter_control
from ..store.clock import SystemClock
from .places import lab_of, safe_of, state_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookout:
    """Everything that a look at an estate needs."""

    estate: Estate
    state: Path
    clock: SystemClock
    hands: SshHands
    trust: Trust
    safe: Safe


@contextlib.contextmanager
def open_lookout(estate: Estate) -> Iterator[Lookout]:
    """Get ready to look at an estate: for a lab, inside its control namespace and nowhere else.

    Raises:
        UsageError: the lab is not up.
    """
    lab, state, clock = lab_of(estate), state_of(estate), SystemClock()
    if lab is not None:
        enter_control(lab)
    safe = safe_of(estate)
    trust = Trust(state / "keys", list(estate.hosts.values()), safe=safe)
    trust.prepare(now=clock.now())
    hands = SshHands(targets_of(estate, trust, USER), known_hosts=trust.pins, monotonic=clock.monotonic)
    try:
        yield Lookout(estate=estate, state=state, clock=clock, hands=hands, trust=trust, safe=safe)
    finally:
        hands.close()


def targets_of(estate: Estate, trust: Trust, user: str) -> dict[str, SshTarget]:
    """Return where every host answers, and with which identity a user of its comes."""
    return {
        host.name: SshTarget(
            host=host.name, address=str(host.management), user=user, key_file=trust.identity(host.site, user)
        )
        for host in estate.hosts.values()
    }
