"""Proof that instants from several hosts are instants on one clock."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..errors import MeasurementError
from ..estate.model import HostName
from ..run.ports import Hands
from .model import Clocks, HostClock, Trip
from .rules import reasons_to_doubt_one_clock, uncertainty_s

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_READ = ("/usr/bin/python3", "-I", "-S", "-c", "import time; print(repr(time.monotonic()))")
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
    boot_id = hands.run(host, ["cat", str(_BOOT_ID)], timeout=_TIMEOUT).stdout.strip()
    return HostClock(boot_id=boot_id, trips=tuple(_trip(hands, host, monotonic) for _ in range(_TRIPS)))


def _trip(hands: Hands, host: HostName, monotonic: Callable[[], float]) -> Trip:
    before = monotonic()
    said = hands.run(host, _READ, timeout=_TIMEOUT).stdout.strip()
    after = monotonic()
    try:
        return Trip(before=before, remote=float(said), after=after)
    except ValueError as error:
        raise MeasurementError(f"{host} was asked for its clock and said {said[:80]!r}") from error
