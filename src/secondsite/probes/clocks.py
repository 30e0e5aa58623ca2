"""Proof that instants from several hosts are instants on one clock."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..errors import MeasurementError
from ..estate.model import HostName
from ..run.ports import Hands
from .customers import read_object
from .model import Clocks, HostClock, Trip
from .rules import reasons_to_doubt_one_clock, uncertainty_s
from .ship import ship

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TIMEOUT = dt.timedelta(seconds=5)
_TRIPS = 3


def read_clocks(
    hands: Hands, hosts: Sequence[HostName], *, monotonic: Callable[[], float], boot_id: Path = _BOOT_ID
) -> Clocks:
    """Ask every host for its kernel's boot and, a few times, for its monotonic clock.

    Raises:
        Unreachable, ActionError: a host could not be asked.
        MeasurementError: a host's answer is no instant.
    """
    with ThreadPoolExecutor(max_workers=max(1, len(hosts))) as pool:
        clocks = pool.map(lambda host: _clock_of(hands, host, monotonic), hosts)
        return Clocks(controller=boot_id.read_text().strip(), hosts=dict(zip(hosts, clocks, strict=True)))


def document(clocks: Clocks) -> dict[str, object]:
    """Return the record ``clocks.json``."""
    return {
        "clock": "CLOCK_MONOTONIC",
        "controller": clocks.controller,
        "hosts": {host: clock.boot_id for host, clock in clocks.hosts.items()},
        "uncertainty_s": uncertainty_s(clocks),
        "doubts": list(reasons_to_doubt_one_clock(clocks)),
        "trips": {
            host: [{"before": trip.before, "remote": trip.remote, "after": trip.after} for trip in clock.trips]
            for host, clock in clocks.hosts.items()
        },
    }


def _clock_of(hands: Hands, host: HostName, monotonic: Callable[[], float]) -> HostClock:
    argv = ship(hands, host, "clock")
    readings = [_reading(hands, host, argv, monotonic) for _ in range(_TRIPS)]
    return HostClock(boot_id=readings[-1][0], trips=tuple(trip for _, trip in readings))


def _reading(hands: Hands, host: HostName, argv: Sequence[str], monotonic: Callable[[], float]) -> tuple[str, Trip]:
    before = monotonic()
    said = hands.run(host, argv, stdin="\n", timeout=_TIMEOUT).stdout.splitlines()
    after = monotonic()
    try:
        boot, instant = said
        return str(read_object(boot)["kernel"]), Trip(before=before, remote=float(instant), after=after)
    except (KeyError, ValueError) as error:
        raise MeasurementError(f"{host} was asked for its clock and said {' '.join(said)[:200]!r}") from error
