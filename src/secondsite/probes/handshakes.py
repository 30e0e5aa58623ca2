"""TLS as peers see it: who shakes hands with which listener, and what came of it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import permutations, product

from ..errors import MeasurementError, SecondsiteError
from ..estate.model import Estate, Host, HostName, SiteKind
from ..run.ports import Hands
from .ship import ship

_TIMEOUT = dt.timedelta(seconds=20)
_HTTPS = 443
_ETCD = (2379, 2380)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One TLS listener: where it is, under which name it is used, and how TLS begins there."""

    host: HostName
    address: str
    port: int
    name: str
    speaks: str = "tls"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """What one host met at one listener. ``trouble`` is empty when the handshake was as it must be."""

    source: HostName
    listener: Listener
    trouble: str
    issuer: str = ""

    @property
    def place(self) -> str:
        """Say who met whom."""
        return f"{self.source} -> {self.listener.name} at {self.listener.address}:{self.listener.port}"

    def __str__(self) -> str:
        """Read as one sentence."""
        return f"{self.place}: {self.trouble or 'ok'}"


def declared_handshakes(estate: Estate) -> Mapping[HostName, tuple[Listener, ...]]:
    """Return by host the listeners it has to reach: services from customers, databases and voters from their peers."""
    wanted: dict[HostName, dict[Listener, None]] = {}
    for source, listener in _pairs(estate):
        wanted.setdefault(source, {})[listener] = None
    return {source: tuple(listeners) for source, listeners in wanted.items()}


def _pairs(estate: Estate) -> Iterator[tuple[HostName, Listener]]:
    customers = [host.name for host in estate.hosts.values() if estate.sites[host.site].kind is SiteKind.CUSTOMERS]
    for service in estate.services:
        offered = [
            _listener(estate.hosts[member], _HTTPS, name=service.dns_name) for member in service.members.values()
        ]
        yield from product(customers, offered)
    for workload in estate.workloads.values():
        if workload.adapter == "patroni":
            port = int(workload.settings["port"])
            yield from _among(estate, list(workload.members.values()), port, speaks="postgresql")
    for port in _ETCD:
        yield from _among(estate, estate.quorum.members if estate.quorum is not None else (), port)


def _among(
    estate: Estate, members: Sequence[HostName], port: int, *, speaks: str = "tls"
) -> Iterator[tuple[HostName, Listener]]:
    """Yield every member with the same port of every other member."""
    for source, other in permutations(members, 2):
        yield source, _listener(estate.hosts[other], port, speaks=speaks)


def _listener(host: Host, port: int, *, name: str = "", speaks: str = "tls") -> Listener:
    return Listener(host=host.name, address=str(host.address), port=port, name=name or host.name, speaks=speaks)


def shake_hands(hands: Hands, wanted: Mapping[HostName, Sequence[Listener]]) -> tuple[Handshake, ...]:
    """Make every handshake, from all sources at once.

    Raises:
        MeasurementError: a source could not be asked; nothing is known then.
    """
    with ThreadPoolExecutor(max_workers=max(1, len(wanted))) as pool:
        found = pool.map(lambda item: _from(hands, item[0], item[1]), wanted.items())
        return tuple(one for several in found for one in several)


def _from(hands: Hands, source: HostName, listeners: Sequence[Listener]) -> list[Handshake]:
    try:
        command = ship(hands, source, "handshake")
        order = json.dumps({"listeners": [asdict(one) for one in listeners]})
        answers = json.loads(hands.run(source, command, stdin=f"{order}\n", timeout=_TIMEOUT).stdout)
        return [
            Handshake(source=source, listener=one, trouble=str(answer["trouble"]), issuer=str(answer.get("issuer", "")))
            for one, answer in zip(listeners, answers, strict=True)
        ]
    except (SecondsiteError, ValueError, KeyError, TypeError) as error:
        raise MeasurementError(f"what {source} meets at TLS listeners is not known: {error}") from error


def reasons_not_rotated(
    met: Sequence[Handshake], *, estate: Estate, issuers: Mapping[str, str], known: Collection[str] = ()
) -> Iterator[str]:
    """Yield every handshake that failed, or showed another authority's certificate than ``issuers`` has for its site.

    ``known`` are places that failed before anything was changed: they count again once their site has a new issuer.
    """
    if not met:
        yield "no listener was tried"
    for one in met:
        wanted = issuers.get(estate.hosts[one.listener.host].site)
        if one.trouble and (wanted is not None or one.place not in known):
            yield str(one)
        elif wanted is not None and one.issuer != wanted:
            yield f"{one.place} shows a certificate of {one.issuer!r}, not of {wanted!r}"
