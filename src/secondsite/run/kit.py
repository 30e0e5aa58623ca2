"""What a run works with."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .deviations import AsItIsNow, nothing_known
from .model import StopOrder
from .ports import Approvers, Clock, Inbox, Journal, Observer, Registry, StandingOrders

Work = Callable[[], None]
Launch = Callable[[str, Work], None]


def in_thread(name: str, work: Work) -> None:
    """Start work in a thread that does not keep the process from ending."""
    threading.Thread(target=work, name=name, daemon=True).start()


def nobody_stops() -> StopOrder | None:
    """Say that nothing was stopped: for engines in a world that has no state directory."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """Everything a run works with. ``files`` is the run's copy of what the plan pins.

    ``stop_order`` is asked before each step: while there is an order, none is started. ``as_it_is_now`` says what the
    estate is when a run is begun or resumed.
    """

    journal: Journal
    registry: Registry
    orders: StandingOrders
    approvers: Approvers
    clock: Clock
    files: Path
    observers: tuple[Observer, ...] = ()
    stop_order: Callable[[], StopOrder | None] = nobody_stops
    as_it_is_now: AsItIsNow = nothing_known
    launch: Launch = in_thread
    inbox: Callable[[], Inbox] = queue.SimpleQueue
