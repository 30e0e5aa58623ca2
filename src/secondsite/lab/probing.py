"""Knocking at an address every few milliseconds from a host's place, and saying for how long knocks went unanswered."""

from __future__ import annotations

import errno
import selectors
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import MeasurementError
from . import netns
from .model import LabSettings

EVERY_S = 0.01
ANSWER_WITHIN_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Knock:
    """One new connection that was tried: when, and whether anything came back in time (a refusal is an answer)."""

    at: float
    answered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """What knocks in a window of time came to. ``seconds`` spans the first lost knock to the last lost one."""

    seconds: float
    lost: int
    knocks: int


def outage(knocks: Sequence[Knock], *, since: float, until: float, every_s: float = EVERY_S) -> Outage:
    """Return for how long not every new connection got through.

    Raises:
        MeasurementError: hardly any knock was made in the window, so nothing was measured.
    """
    inside = [knock for knock in knocks if since <= knock.at < until]
    if len(inside) < (until - since) / every_s / 2:
        raise MeasurementError(f"only {len(inside)} knocks in {until - since:.1f} s: the machine could not keep up")
    lost = [knock.at for knock in inside if not knock.answered]
    return Outage(seconds=lost[-1] - lost[0] + every_s if lost else 0.0, lost=len(lost), knocks=len(inside))


class Knocker:
    """Knocks from one host of the lab until it is stopped; each knock is a new connection, as a new customer's is."""

    def __init__(self, settings: LabSettings, *, source: str, address: str, port: int) -> None:
        """Knock not yet."""
        self._namespace = netns.path_of(settings.namespace(source))
        self._target = (address, port)
        self._stopping = threading.Event()
        self._knocks: list[Knock] = []
        self._thread = threading.Thread(target=self._in_place, name=f"knocking from {source} at {address}", daemon=True)

    def __enter__(self) -> Knocker:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._stopping.set()
        self._thread.join()

    @property
    def knocks(self) -> Sequence[Knock]:
        """Return what is known so far, in the order of the tries."""
        return sorted(self._knocks, key=lambda knock: knock.at)

    def _in_place(self) -> None:
        netns.in_namespace(self._namespace, self._knock_on)

    def _knock_on(self) -> None:
        due = time.monotonic()
        with selectors.DefaultSelector() as selector:
            while not self._stopping.is_set():
                now = time.monotonic()
                if now >= due:
                    self._begin(selector, now)
                    due = max(due + EVERY_S, now - EVERY_S)
                for key, _ in selector.select(max(0.0, min(due - time.monotonic(), EVERY_S))):
                    self._end(selector, key, answered=self._came_back(key))
                self._give_up(selector)
            for key in list(selector.get_map().values()):
                self._forget(selector, key)

    def _begin(self, selector: selectors.BaseSelector, now: float) -> None:
        tried = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        code = tried.connect_ex(self._target)
        if code == errno.EINPROGRESS:
            selector.register(tried, selectors.EVENT_WRITE, now)
        else:
            tried.close()
            self._knocks.append(Knock(at=now, answered=code in (0, errno.ECONNREFUSED)))

    def _came_back(self, key: selectors.SelectorKey) -> bool:
        assert isinstance(key.fileobj, socket.socket)  # noqa: S101  only sockets are registered
        return key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in (0, errno.ECONNREFUSED)

    def _give_up(self, selector: selectors.BaseSelector) -> None:
        stale = time.monotonic() - ANSWER_WITHIN_S
        for key in [key for key in selector.get_map().values() if key.data < stale]:
            self._end(selector, key, answered=False)

    def _end(self, selector: selectors.BaseSelector, key: selectors.SelectorKey, *, answered: bool) -> None:
        self._knocks.append(Knock(at=key.data, answered=answered))
        self._forget(selector, key)

    def _forget(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        assert isinstance(key.fileobj, socket.socket)  # noqa: S101  only sockets are registered
        selector.unregister(key.fileobj)
        key.fileobj.close()
