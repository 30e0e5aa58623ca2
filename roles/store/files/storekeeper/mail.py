"""Outgoing mail: a message is accepted when both sites hold it, and sent on from whichever site is the primary.

While the other site does not answer, the quorum is told first that it holds less than everything; until it has caught
up again, it can't be promoted without somebody's consent to a loss. Sending is at least once: a message that was sent
in the very moment of a failover may be sent again, under the same Message-ID.
"""

from __future__ import annotations

import contextlib
import email
import email.policy
import smtplib
import ssl
import threading
import time
from collections.abc import Iterator

from . import disk
from .house import House, InDoubt, NotNow, NotSent, Unfit
from .kept import Kept
from .quorum import Away
from .rules import Lease, Role

_TRY_AGAIN_S = 5.0
_SENT_KEPT_S = 7 * 86400


class Mail(Kept):
    """The queue of messages to be sent, and those that were."""

    def __init__(self, name: str, house: House) -> None:
        super().__init__(name, house)
        self.queue, self.sent = self.folder / "queue", self.folder / "sent"
        self._accepting = threading.Lock()
        self._waiting = threading.Event()
        self._next: dict[str, float] = {}

    # Accepting

    def accept(self, name: str, message: bytes, lease: Lease) -> bool:
        """Keep a message at both sites; say whether it is new. The same name again is the same message.

        Raises:
            Unfit: it is no message that could be sent.
            InDoubt: it is kept here, and neither the other site nor the quorum could be told.
        """
        recipients(message, self.house.settings.mail_routes)
        with self._accepting:
            if (self.sent / name).exists():
                return False
            is_new = not (self.queue / name).exists()
            disk.keep(self.queue / name, message)
            self._keep_at_peer(name, message, self.house.lease(self.name) or lease)
        self._waiting.set()
        return is_new

    def _keep_at_peer(self, name: str, message: bytes, lease: Lease) -> None:
        peer = self.house.settings.peer
        if peer is None or peer.name not in lease.in_sync:
            self.due.set()
            return
        try:
            self.house.peer.ask("PUT", f"/replica/mail/{name}", message, epoch=lease.epoch, timeout=1.5)
        except NotSent as error:
            try:
                alone = self.house.swap(self.name, expected=lease, new=lease.with_in_sync())
            except Away as away:
                raise InDoubt(f"{error}; {away}") from error
            if not alone:
                raise InDoubt(f"{error}; the lease has changed") from error
            self.due.set()

    def receive(self, name: str, message: bytes) -> None:
        """Keep what the primary accepted."""
        if not (self.sent / name).exists():
            disk.keep(self.queue / name, message)

    # Copying

    def copy(self, lease: Lease, *, whole: bool = False) -> None:
        """Send everything when the other site is not in sync, then have the quorum record that it is."""
        peer = self.house.settings.peer
        begun = time.time()
        if peer is not None and (peer.name not in lease.in_sync or whole):
            with self.passing:
                self.due.clear()
                self.rsync(lease)
                with self._accepting:
                    self.rsync(lease, "--delete")
                    self.whole_in, self.whole_at = lease.epoch, time.monotonic()
                    with contextlib.suppress(Away):
                        self.house.swap(self.name, expected=lease, new=lease.with_in_sync(peer.name))
        self.due.clear()
        self.stamp(lease, begun)

    # Sending

    def send_for_ever(self) -> None:
        """Send what waits, while this host is the primary."""
        while True:
            self._waiting.wait(1.0)
            self._waiting.clear()
            if self.house.role(self.name) is Role.PRIMARY and not self.house.doors[self.name].closed:
                self._send_all()

    def _send_all(self) -> None:
        now = time.monotonic()
        names = [path.name for path in sorted(self.queue.glob("[!.]*"))] if self.queue.is_dir() else []
        for name in names:
            if self._next.get(name, 0.0) > now:
                continue
            try:
                with self.house.writing(self.name) as lease:
                    self._send_on(name, lease)
                self._next.pop(name, None)
            except (NotNow, InDoubt):
                return
            except (OSError, smtplib.SMTPException) as error:
                self._next[name] = now + _TRY_AGAIN_S
                self.house.note("sending mail", f"{type(error).__name__}: {error}")
        self._forget_old()

    def _send_on(self, name: str, lease: Lease) -> None:
        routes = self.house.settings.mail_routes
        message = (self.queue / name).read_bytes()
        sender, wanted = recipients(message, routes)
        context = ssl.create_default_context(cafile=self.house.settings.tls["authorities"])
        for domain in sorted({address.rpartition("@")[2] for address in wanted}):
            place = routes[domain]
            with _Named(place.name, place.address, context) as server:
                server.sendmail(sender, [one for one in wanted if one.endswith(f"@{domain}")], message)
        disk.move(self.queue / name, self.sent / name)
        with contextlib.suppress(NotSent):  # the next whole pass tells it
            self.house.peer.ask("POST", f"/replica/mail/{name}/sent", b"", epoch=lease.epoch)
        self.house.note("sending mail", "")

    def mark_sent(self, name: str) -> None:
        """Take over that the primary sent it."""
        with contextlib.suppress(FileNotFoundError):
            disk.move(self.queue / name, self.sent / name)

    def _forget_old(self) -> None:
        limit = time.time() - _SENT_KEPT_S
        for path in self.sent.glob("[!.]*") if self.sent.is_dir() else ():
            if path.stat().st_mtime < limit:
                path.unlink()

    def ids(self) -> Iterator[str]:
        found = {path.name for folder in (self.queue, self.sent) if folder.is_dir() for path in folder.glob("[!.]*")}
        return iter(sorted(found))


class _Named(smtplib.SMTP):
    """A mail server by address that must take STARTTLS and prove its name."""

    def __init__(self, name: str, address: str, context: ssl.SSLContext) -> None:
        super().__init__(timeout=5)
        self._host = name
        self.connect(address, 25)
        self._host = name  # what STARTTLS checks
        self.starttls(context=context)


def recipients(message: bytes, routes: dict[str, object]) -> tuple[str, list[str]]:
    """Return the sender and the recipients of a message.

    Raises:
        Unfit: it names none, or one that no route leads to.
    """
    parsed = email.message_from_bytes(message, policy=email.policy.default)
    try:
        sender = parsed["From"].addresses[0].addr_spec
        wanted = [address.addr_spec for field in parsed.get_all("To", []) for address in field.addresses]
    except (AttributeError, IndexError) as error:
        raise Unfit("a message needs From and To") from error
    unknown = [address for address in wanted if address.rpartition("@")[2] not in routes]
    if not wanted or unknown or not parsed["Message-ID"]:
        raise Unfit(f"a message needs a Message-ID, and recipients that a route leads to; not {unknown}")
    return sender, wanted
