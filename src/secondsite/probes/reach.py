"""Whether addresses answer: watched from several vantage hosts, or tried once over many new flows."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict

from ..errors import ActionError, MeasurementError, Unreachable
from ..estate.model import Estate, Host, HostName, SiteKind
from ..run.ports import Hands, Stream
from .customers import lines_to, read_object
from .model import Answer, Hearing, Sighting, SiteLoss, Streak, Target
from .rules import after, hearings_that_count, site_loss
from .ship import NOT_SHIPPED, ship

ECHO = 0
TRY_TIMEOUT = dt.timedelta(milliseconds=500)
PATIENCE = {"least_s": 0.12, "most_s": 0.5, "factor": 8.0}  # ADR 0005
FLOWS = 8
_SCRIPT = "reach"
_FRESH_S = 1.2
_HTTPS = 443
_EVERY_S = {"web": 0.1, "database": 0.5}
_SERVING = (SiteKind.DATACENTER, SiteKind.VAULT)


def targets_for(estate: Estate, hosts: Collection[Host]) -> list[Target]:
    """Return what to try of these hosts: an echo of each, and the ports that the estate has them serve."""
    found = []
    for host in hosts:
        if host.address is not None:
            ports = [(ECHO, 0.1), *((port, _EVERY_S[group]) for group, port in _served(estate, host))]
            found += [
                Target(site=host.site, address=str(host.address), port=port, every_s=every) for port, every in ports
            ]
    return found


def _served(estate: Estate, host: Host) -> list[tuple[str, int]]:
    """Return the service's port where it may be served, and the port of the first cluster where one may lead."""
    serves = any(host.name in service.members.values() for service in estate.services)
    clusters = [
        int(one.settings["port"])
        for one in estate.workloads.values()
        if one.adapter == "patroni" and host.name in one.members.values()
    ]
    return [*([("web", _HTTPS)] if serves else []), *(("database", port) for port in clusters[:1])]


def serving_hosts(estate: Estate) -> list[Host]:
    """Return the hosts that a place outside should be able to hear."""
    return [host for host in estate.hosts.values() if estate.sites[host.site].kind in _SERVING]


def carrying_hosts(estate: Estate) -> list[Host]:
    """Return the hosts that a service or a workload stands on: those that must answer for anybody to be served."""
    names = {name for service in estate.services for name in service.members.values()}
    names |= {name for workload in estate.workloads.values() for name in workload.members.values()}
    return [host for name, host in estate.hosts.items() if name in names]


class SiteWatch:
    """Watches sites from several vantage hosts at once; a stream that breaks is opened again."""

    def __init__(
        self, hands: Hands, *, targets: Sequence[Target], vantage: Sequence[HostName], monotonic: Callable[[], float]
    ) -> None:
        """Watch nothing yet."""
        self._hands, self._targets, self._vantage, self._monotonic = hands, targets, vantage, monotonic
        self._streaks: dict[tuple[str, str], Streak] = {}
        self._troubles: dict[str, str] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin."""
        for host in self._vantage:
            thread = threading.Thread(target=self._watch_from, args=(host,), name=f"watch from {host}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def loss_of(self, site: str, *, addresses: Collection[str], silence: dt.timedelta) -> SiteLoss:
        """Say whether the site is lost now."""
        with self._lock:
            streaks, troubles = dict(self._streaks), dict(self._troubles)
        found = site_loss(
            streaks,
            site=site,
            addresses=addresses,
            vantage=self._vantage,
            silence_s=silence.total_seconds(),
            now=self._monotonic(),
            fresh_s=_FRESH_S,
        )
        return SiteLoss(lost=found.lost, reasons=(*found.reasons, *troubles.values()))

    def stop(self, *, wait: bool = True) -> None:
        """End every stream. Without ``wait`` they end by themselves a moment later: during a failover moments count."""
        self._stopping.set()
        for thread in self._threads if wait else ():
            thread.join(2)

    def _watch_from(self, host: HostName) -> None:
        while not self._stopping.is_set():
            try:
                stream = self._open(host)
            except (Unreachable, ActionError) as error:
                with self._lock:
                    self._troubles[host] = f"{host}: {error.what}"
                self._stopping.wait(0.2)
                continue
            with self._lock:
                self._troubles.pop(host, None)
            while stream.alive() and not self._stopping.wait(0.05):
                pass
            stream.stop()

    def _open(self, host: HostName) -> Stream:
        argv = ship(self._hands, host, _SCRIPT, "watch")
        order = {
            "targets": [asdict(target) for target in self._targets],
            "timeout_s": TRY_TIMEOUT.total_seconds(),
            "vantage": host,
        }
        return self._hands.stream(host, argv, stdin=json.dumps(order) + "\n", on_line=lines_to(self._take(host)))

    def _take(self, host: HostName) -> Callable[[Mapping[str, object]], None]:
        def take(line: Mapping[str, object]) -> None:
            with contextlib.suppress(KeyError, ValueError):  # not a sighting: the host's silence shows as staleness
                seen = sighting(line, vantage=host)
                with self._lock:
                    key = (seen.vantage, seen.address)
                    self._streaks[key] = after(self._streaks.get(key), seen)

        return take


def sighting(line: Mapping[str, object], *, vantage: str) -> Sighting:
    """Read one line of a watch; whose it is, the stream it came by decides.

    Raises:
        KeyError, ValueError: it isn't one.
    """
    return Sighting(
        t=float(str(line["t"])),
        asked=float(str(line["asked"])),
        vantage=vantage,
        site=str(line["site"]),
        address=str(line["address"]),
        port=int(str(line["port"])),
        answer=Answer(line["answer"]),
    )


def try_silence(
    hands: Hands,
    host: HostName,
    *,
    addresses: Collection[str],
    references: Collection[str],
    ready: Sequence[str] | None = None,
) -> Mapping[str, Hearing]:
    """Try each address once, over at least eight new flows each, and return what was heard.

    Silence counts only if one of the references answered the same host at the same time. ``ready`` is the command that
    ``get_ready_to_try_silence`` started.

    Raises:
        MeasurementError: the tries could not be made or told.
    """
    ports = (443, 5432, ECHO)
    targets = [
        {"site": "", "address": address, "port": port} for address in (*addresses, *references) for port in ports
    ]
    order = {"targets": targets, "references": list(references), "flows": FLOWS, "patience": PATIENCE}
    argv, said = ready or ship(hands, host, _SCRIPT, "silence"), json.dumps(order) + "\n"
    ended = hands.run(host, argv, stdin=said, timeout=dt.timedelta(seconds=5), accept=(0, NOT_SHIPPED))
    if ended.exit_code == NOT_SHIPPED:  # the host was restarted since
        argv = ship(hands, host, _SCRIPT, "silence")
        ended = hands.run(host, argv, stdin=said, timeout=dt.timedelta(seconds=5))
    seen = read_object(ended.stdout)
    try:
        heard = {address: _hearing(seen[address]) for address in (*addresses, *references)}
    except (KeyError, TypeError, ValueError) as error:
        raise MeasurementError(f"{host} did not say what it heard: {error!r}") from error
    return hearings_that_count(heard, references=references)


def get_ready_to_try_silence(hands: Hands, host: HostName) -> Sequence[str]:
    """Start at the host what ``try_silence`` will need, and return it; it waits there and sends nothing."""
    command = ship(hands, host, _SCRIPT, "silence")
    hands.arm(host, command)
    return command


def _hearing(words: object) -> Hearing:
    if not isinstance(words, dict):
        raise TypeError(f"not a hearing: {words!r}")
    heard = tuple(str(one) for one in words["heard"])
    return Hearing(
        flows=int(words["flows"]),
        answers=int(words["answers"]),
        heard=heard,
        listened_s=float(words["listened_s"]),
    )
