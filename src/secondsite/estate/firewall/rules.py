"""Decide what to try from every host, to prove that what is declared passes and nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address

from ..model import Estate, Firewall, HostName, Protocol
from .edges.rules import between_routers, through_each_edge
from .model import SSH, Packet, Trial
from .passages.rules import Book, book_of, declared, flow_into, passages


def trials(estate: Estate) -> tuple[Trial, ...]:
    """Return every pair of hosts with every port that any service has, from the controller and through each edge too.

    Between hosts the management network is tried with SSH alone: nothing else is ever declared there.
    """
    firewall, book = declared(estate), book_of(passages(estate))
    ports = sorted({(protocol, port) for protocol, port in _spoken(firewall)}, key=lambda one: (one[0].value, one[1]))
    found: list[Trial] = []
    for source, target in itertools.permutations(estate.hosts.values(), 2):
        if source.address is not None and target.address is not None:
            packets = _packets(source.address, target.address, ports)
            found += [_trial(book, source.name, target.name, packet) for packet in packets]
    control = firewall.management.control
    for target in estate.hosts.values():
        packets = _packets(control, target.management, ports, by_management=True)
        found += [_trial(book, None, target.name, packet) for packet in packets]
    found += _between_managed(estate, firewall, book)
    found += through_each_edge(estate, firewall, book, ports)
    return (*found, *between_routers(estate, book, ports))


def _between_managed(estate: Estate, firewall: Firewall, book: Book) -> Iterator[Trial]:
    if firewall.management.interface is None:
        return
    for source, target in itertools.permutations(estate.hosts.values(), 2):
        packet = next(_packets(source.management, target.management, [(Protocol.TCP, SSH)], by_management=True))
        yield _trial(book, source.name, target.name, packet)


def _spoken(firewall: Firewall) -> Iterator[tuple[Protocol, int]]:
    yield Protocol.TCP, SSH
    for service in firewall.services.values():
        for protocol, ports in service.ports.items():
            for port in ports:
                yield protocol, port


def _packets(
    source: IPv4Address, target: IPv4Address, ports: Iterable[tuple[Protocol, int]], *, by_management: bool = False
) -> Iterator[Packet]:
    for protocol, port in ports:
        yield Packet(source=source, target=target, protocol=protocol, port=port, by_management=by_management)


def _trial(book: Book, source: HostName | None, target: HostName, packet: Packet) -> Trial:
    return Trial(source=source, target=target, packet=packet, flow=flow_into(book, target, packet))
