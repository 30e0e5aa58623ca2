"""Whether hosts answer SSH, asked from the control namespace."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from . import netns
from .model import LabSettings

_PORT = 22
_BANNER = b"SSH-2.0"
_TRY_AGAIN_AFTER_S = 0.05
_ONE_TRY_S = 1.0


@dataclass(slots=True)
class _Asking:
    """Connections under way, and who has answered when; lives in one thread for one question."""

    waiting: dict[str, str]
    answered: dict[str, float] = field(default_factory=dict)
    again_at: dict[str, float] = field(default_factory=dict)
    open: dict[str, tuple[socket.socket, float]] = field(default_factory=dict)


def wait_for_ssh(settings: LabSettings, addresses: Mapping[str, str], *, within_s: float) -> dict[str, float]:
    """Return the instant at which each host sent its SSH banner; a host that never did is absent."""
    return netns.in_namespace(netns.path_of(settings.control), lambda: _ask(addresses, within_s))


def _ask(addresses: Mapping[str, str], within_s: float) -> dict[str, float]:
    asking = _Asking(waiting=dict(addresses))
    until = time.monotonic() + within_s
    with selectors.DefaultSelector() as selector:
        while asking.waiting and time.monotonic() < until:
            _begin_due(asking, selector)
            for key, _ in selector.select(_TRY_AGAIN_AFTER_S):
                _listen(asking, selector, key.data)
            _give_up_stale(asking, selector)
        for connection, _ in asking.open.values():
            connection.close()
    return asking.answered


def _begin_due(asking: _Asking, selector: selectors.BaseSelector) -> None:
    now = time.monotonic()
    for host, address in asking.waiting.items():
        if host not in asking.open and asking.again_at.get(host, 0.0) <= now:
            connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            connection.settimeout(0)
            number = connection.connect_ex((address, _PORT))
            if number in (0, errno.EINPROGRESS):
                asking.open[host] = (connection, now + _ONE_TRY_S)
                selector.register(connection, selectors.EVENT_READ, host)
            else:
                connection.close()
                asking.again_at[host] = now + _TRY_AGAIN_AFTER_S


def _listen(asking: _Asking, selector: selectors.BaseSelector, host: str) -> None:
    connection, _ = asking.open[host]
    heard = b""
    with contextlib.suppress(OSError):
        heard = connection.recv(len(_BANNER))
    if heard == _BANNER:
        asking.answered[host] = time.monotonic()
        del asking.waiting[host]
    _drop(asking, selector, host)


def _give_up_stale(asking: _Asking, selector: selectors.BaseSelector) -> None:
    now = time.monotonic()
    for host in [host for host, (_, stale_at) in asking.open.items() if stale_at < now]:
        _drop(asking, selector, host)


def _drop(asking: _Asking, selector: selectors.BaseSelector, host: str) -> None:
    connection, _ = asking.open.pop(host)
    selector.unregister(connection)
    connection.close()
    asking.again_at[host] = time.monotonic() + _TRY_AGAIN_AFTER_S


def answers_ping(namespace: str, addresses: Mapping[str, str]) -> dict[str, bool]:
    """Return which addresses answer one echo request within a second, asked from a namespace of the lab."""
    return netns.in_namespace(netns.path_of(namespace), lambda: _ping(addresses))


def _ping(addresses: Mapping[str, str]) -> dict[str, bool]:
    answered = dict.fromkeys(addresses, False)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sender:
        sender.settimeout(0.05)
        mark = os.getpid() & 0xFFFF
        for address in addresses.values():
            with contextlib.suppress(OSError):
                sender.sendto(_echo_request(mark), (address, 0))
        until = time.monotonic() + 1.0
        while time.monotonic() < until and not all(answered.values()):
            with contextlib.suppress(TimeoutError):
                packet, (source, _) = sender.recvfrom(2048)
                if packet[20] == 0:  # echo reply
                    answered |= {host: True for host, address in addresses.items() if address == source}
    return answered


def _echo_request(mark: int) -> bytes:
    header = bytes([8, 0, 0, 0, mark >> 8, mark & 0xFF, 0, 1])
    total = sum(int.from_bytes(header[index : index + 2], "big") for index in range(0, len(header), 2))
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return header[:2] + checksum.to_bytes(2, "big") + header[4:]
