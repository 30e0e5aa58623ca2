"""Keep a copy of this controller's state where another one could go on from: sent while a run is under way."""

from __future__ import annotations

import base64
import datetime as dt
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import SecondsiteError
from ..estate.model import Estate
from ..run.model import RunState, Transition
from ..run.ports import Hands
from ..store.runs import RunStore
from ..store.standby import pack
from .places import safe_of

GROUP = "standby"
PLACE = "/var/lib/secondsite-standby"
_EVERY_S = 0.3
_SHARE = 10
"""A copy takes at most one part in so many of a processor's time: a run must not be slower for being copied."""
_PATIENCE_S = 30.0
"""So long a host that never had a copy may refuse one before anybody is told: new hosts let nobody in yet."""
_TIMEOUT = dt.timedelta(seconds=20)
_KEEP = (
    'umask 077; mkdir -p -- "$1" && base64 -d > "$1/.$2.new" && sync -- "$1/.$2.new"'
    ' && mv -- "$1/.$2.new" "$1/$2" && sync -- "$1"'
)


def standby_hosts(estate: Estate) -> tuple[str, ...]:
    """Name the hosts that keep copies."""
    return tuple(str(host.name) for host in estate.hosts.values() if GROUP in host.groups)


def copy_name(estate: Estate) -> str:
    """Return what the copy is called there."""
    return f"{estate.name}.tgz"


@dataclass(kw_only=True)
class Standby:
    """Sends a copy after what was recorded, to each host at its own pace; at the end, a last one.

    A copy may be older than what this controller did last. Whoever takes over looks at everything that is not in it
    before doing it (``run.interpreter``), so that nothing here has to wait for a copy to arrive.
    """

    estate: Estate
    store: RunStore
    hands: Hands
    say: Callable[[str], None]
    _due: dict[str, threading.Event] = field(default_factory=dict, init=False)
    _threads: list[threading.Thread] = field(default_factory=list, init=False)
    _stopping: threading.Event = field(default_factory=threading.Event, init=False)
    _silent: set[str] = field(default_factory=set, init=False)
    _sent: set[str] = field(default_factory=set, init=False)
    _failing: dict[str, float] = field(default_factory=dict, init=False)

    def __call__(self, _transition: Transition, /) -> None:
        """Take note that there is something to send."""
        for host in standby_hosts(self.estate):
            if host not in self._due:
                self._due[host] = threading.Event()
                thread = threading.Thread(target=self._keep_sending, args=(host,), name=f"standby {host}", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._due[host].set()

    def stop(self) -> None:
        """Send the last copy and end."""
        self._stopping.set()
        for event in self._due.values():
            event.set()
        for thread in self._threads:
            thread.join(_TIMEOUT.total_seconds())
        self._threads = []

    def _keep_sending(self, host: str) -> None:
        while True:
            self._due[host].wait()
            self._due[host].clear()
            last, begun = self._stopping.is_set(), self.store.clock.monotonic()
            self._send(host)
            if last:
                return
            self._stopping.wait(max(_EVERY_S, _SHARE * (self.store.clock.monotonic() - begun)))

    def _send(self, host: str) -> None:
        try:
            copy = base64.b64encode(packed(self.store, self.estate)).decode("ascii")
            argv = ["sudo", "-n", "--", "/bin/sh", "-c", _KEEP, "sh", PLACE, copy_name(self.estate)]
            self.hands.run(host, argv, stdin=copy, timeout=_TIMEOUT)
        except SecondsiteError as error:
            since = self._failing.setdefault(host, self.store.clock.monotonic())
            lasts = self.store.clock.monotonic() - since > _PATIENCE_S
            if host not in self._silent and (host in self._sent or lasts or self._stopping.is_set()):
                self.say(f"{host} has no copy of this controller's state: {error.what}")
                self._silent.add(host)
        else:
            self._sent.add(host)
            self._silent.discard(host)
            self._failing.pop(host, None)


def packed(store: RunStore, estate: Estate) -> bytes:
    """Return a copy of the state as it is now, with all that is sealed for the estate."""
    going = {RunState.OPEN, RunState.INTERRUPTED}
    open_runs = {one.folder.id for one in store.summaries() if one.state in going}
    return pack(store.state, open_runs=open_runs, secrets=safe_of(estate).directory)
