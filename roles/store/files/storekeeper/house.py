"""What this host holds, what it is for each workload just now, and the way a workload is handed to the other site."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import sys
import threading
import time
from collections.abc import Iterator, Mapping

from .disk import Memories
from .quorum import Away, Quorum, connection_to
from .rules import Lease, Role, reasons_not_to_receive, role_of
from .settings import Settings

_LEASE_EVERY_S = 1.0
_WITHIN_S = 20.0


class NotNow(Exception):
    """A write is refused, with the reason; nothing was done."""


class Unfit(Exception):
    """What was asked can never be done; nothing was."""


class InDoubt(Exception):
    """A write may or may not be kept."""


class NotSent(Exception):
    """The peer does not hold what it should, with the reason."""


class Door:
    """Lets writers in while it is open; closing waits for those inside."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self.closed = False

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Be counted as a writer.

        Raises:
            NotNow: it is closed.
        """
        with self._changed:
            if self.closed:
                raise NotNow("the workload is being handed over")
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """Let nobody in any more, and return when everybody left."""
        with self._changed:
            self.closed = True
            if not self._changed.wait_for(lambda: not self._inside, timeout=5):
                self.closed = False
                raise NotNow("a write did not end within 5 s")

    def open(self) -> None:
        """Let writers in again."""
        with self._changed:
            self.closed = False


class Peer:
    """The other site's storekeeper, over one connection that stays open."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._context = settings.context(ssl.Purpose.SERVER_AUTH)
        self._lock = threading.Lock()
        self._open: http.client.HTTPSConnection | None = None

    def ask(self, method: str, path: str, body: bytes, *, epoch: int, timeout: float = 3.0) -> bytes:
        """Return the answer to a request.

        Raises:
            NotSent: there is no peer, it did not answer, or it refused.
        """
        peer = self._settings.peer
        if peer is None:
            raise NotSent("there is no other site")
        with self._lock:
            for fresh in (False, True):
                if fresh or self._open is None:
                    self._open = connection_to(
                        peer.name, peer.address, self._settings.port, context=self._context, timeout=timeout
                    )
                try:
                    self._open.request(method, path, body, {"X-Epoch": str(epoch)})
                    answer = self._open.getresponse()
                    said = answer.read()
                    break
                except (OSError, http.client.HTTPException) as error:
                    self._open.close()
                    self._open = None
                    if fresh or isinstance(error, TimeoutError):
                        raise NotSent(f"{peer.name}: {error or type(error).__name__}") from error
            else:
                raise NotSent(f"{peer.name} did not answer")
        if answer.status >= 300:
            raise NotSent(f"{peer.name} refused: {said[:300].decode(errors='replace')}")
        return said


class House:
    """Leases, roles and doors of every workload here."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.memories = Memories(settings.root / ".memory")
        self.doors = {workload: Door() for workload in settings.workloads}
        self.peer = Peer(settings)
        self._quorum = Quorum(
            [(place.name, place.address, 2379) for place in settings.quorum],
            context=settings.context(ssl.Purpose.SERVER_AUTH),
        )
        self._leases: dict[str, Lease] = {}
        self._standby_since: dict[str, float | None] = dict.fromkeys(settings.workloads, time.monotonic())
        self._read_at: float | None = None
        self._reading = threading.Lock()
        self.trouble: dict[str, str] = {}

    # What the quorum says

    def refresh(self) -> None:
        """Read all leases now.

        Raises:
            Away: the quorum does not answer; what was read before ages on.
        """
        with self._reading:
            begun = time.monotonic()
            kept = self._quorum.leases()
            leases = {name: Lease.parsed(text) for name, text in kept.items() if name in self.doors}
            for name, lease in leases.items():
                self.memories.note_epoch(name, lease.epoch)
            self._take(leases)
            self._read_at = begun

    def begin(self) -> tuple[str, ...]:
        """Claim every workload that nobody ever held, read all leases now, and name what was claimed.

        Raises:
            Away: the quorum does not answer; something may have been claimed.
        """
        held = self._quorum.leases()
        first = Lease(primary=self.settings.host, epoch=1)
        fresh = [name for name in self.doors if name not in held and not self.memories.of(name).epoch]
        claimed = tuple(name for name in fresh if self._quorum.swap(name, expected=None, new=first))
        self.refresh()
        return claimed

    def watch(self) -> None:
        """Read the leases for ever."""
        while True:
            try:
                self.refresh()
            except (Away, ValueError, OSError) as error:
                self.note("quorum", str(error))
            else:
                self.note("quorum", "")
            time.sleep(_LEASE_EVERY_S)

    def lease(self, workload: str) -> Lease | None:
        """Return the lease as last read."""
        return self._leases.get(workload)

    def role(self, workload: str) -> Role:
        """Return what this host is for the workload now."""
        age = None if self._read_at is None else time.monotonic() - self._read_at
        known = self.memories.of(workload).epoch
        return role_of(self.settings.host, self._leases.get(workload), age_s=age, known_epoch=known)

    def swap(self, workload: str, *, expected: Lease, new: Lease) -> bool:
        """Change the lease if it is still the expected one, and know the new one at once."""
        swapped = self._quorum.swap(workload, expected=expected, new=new)
        if swapped:
            with self._reading:
                self.memories.note_epoch(workload, new.epoch)
                self._take({**self._leases, workload: new})
        return swapped

    def _take(self, leases: dict[str, Lease]) -> None:
        """Go by these leases from now on. Only by one of them does this host ever become a primary."""
        leads = {name for name, lease in leases.items() if lease.primary == self.settings.host}
        self._standby_since |= dict.fromkeys(leads)
        self._leases = leases
        ended = {name for name, since in self._standby_since.items() if since is None} - leads
        self._standby_since |= dict.fromkeys(ended, time.monotonic())

    def standby_since(self, workload: str) -> float | None:
        """Return since when, on the monotonic clock, this host has had no lease to write by; None while it has one."""
        return self._standby_since.get(workload)

    # Writing and receiving

    @contextlib.contextmanager
    def writing(self, workload: str) -> Iterator[Lease]:
        """Let one write in; it counts only if this host is still the primary, of the same epoch, at its end.

        Raises:
            NotNow: this host may not write.
            InDoubt: it was written, and the right to write was lost meanwhile.
        """
        with self.doors[workload].inside():
            lease = self._lease_to_write(workload)
            yield lease
            try:
                after = self._lease_to_write(workload)
            except NotNow as error:
                raise InDoubt(str(error)) from error
            if after.epoch != lease.epoch:
                raise InDoubt("another epoch began meanwhile")

    def _lease_to_write(self, workload: str) -> Lease:
        lease = self._leases.get(workload)
        if lease is None or self.role(workload) is not Role.PRIMARY:
            raise NotNow(f"{self.settings.host} is not the primary of {workload}")
        return lease

    def require_sender(self, workload: str, sender: str, epoch: int) -> None:
        """Return if the sender may overwrite this copy.

        Raises:
            NotNow: it may not, with every reason.
        """
        lease = self._leases.get(workload)
        if lease is None or lease.primary != sender or lease.epoch != epoch:
            with contextlib.suppress(Away):
                self.refresh()
        known = self.memories.of(workload).epoch
        reasons = list(
            reasons_not_to_receive(
                host=self.settings.host, sender=sender, epoch=epoch, lease=self._leases.get(workload), known_epoch=known
            )
        )
        if reasons:
            raise NotNow("; ".join(reasons))

    def note(self, what: str, why: str) -> None:
        """Remember trouble, and say it once."""
        if self.trouble.get(what, "") != why:
            sys.stderr.write(json.dumps({"event": "trouble" if why else "well again", "what": what, "why": why}) + "\n")
            sys.stderr.flush()
        self.trouble[what] = why

    def status(self) -> Mapping[str, object]:
        """Say what is known of every workload."""
        now, mono = time.time(), time.monotonic()
        said: dict[str, object] = {}
        for name, door in self.doors.items():
            lease, memory, role = self.lease(name), self.memories.of(name), self.role(name)
            said[name] = {
                "role": role.value,
                "writable": role is Role.PRIMARY and not door.closed,
                "primary": lease.primary if lease else None,
                "epoch": lease.epoch if lease else None,
                "in_sync": list(lease.in_sync) if lease else [],
                "known_epoch": memory.epoch,
                "through": memory.through,
                "through_epoch": memory.through_epoch,
                "lag_s": None if memory.through is None else max(0.0, now - memory.through),
                "trouble": self.trouble.get(name, ""),
            }
        age = None if self._read_at is None else mono - self._read_at
        return {
            "host": self.settings.host,
            "lease_age_s": age,
            "quorum": self.trouble.get("quorum", ""),
            "workloads": said,
        }
