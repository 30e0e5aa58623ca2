"""How a page gets to a person: by mail and by a webhook, from here or through a relay at either site or the vault.

A way took a page when whoever keeps it for the person said so: the mail server of the person's mailbox, or the receiver, which
names the digest of what it wrote to its disk.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import smtplib
import socket
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from datetime import datetime, timezone
from typing import Any

from .rules import checked
from .settings import MAIL, WEBHOOK, Place, Settings

TIMEOUT_S = 3.0
RELAYED_S = 8.0  # a relay has itself to try
LARGEST = 64 << 10
WHOLE_LINES = SMTP.clone(max_line_length=500)  # what is told stands in the mail as it is
_WORDS = {"trouble": "", "still": "still: ", "clear": "all clear: ", "test": "test: "}


class NotTaken(Exception):
    """A way did not take a page; the text says why."""


def trusting(tls: Mapping[str, str]) -> ssl.SSLContext:
    """Return a client with this host's certificate, which is read anew each time: certificates are renewed."""
    context = ssl.create_default_context(cafile=tls["authorities"])
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(tls["certificate"], tls["key"])
    return context


class Line(http.client.HTTPSConnection):
    """A connection by address to a host that must prove its name."""

    def __init__(self, place: Place, tls: Mapping[str, str], *, timeout: float = TIMEOUT_S) -> None:
        super().__init__(place.name, place.port, timeout=timeout, context=trusting(tls))
        self._address = place.address

    def connect(self) -> None:
        """Connect, and see that it is who it should be."""
        plain = socket.create_connection((self._address, self.port), self.timeout)
        try:
            self.sock = self._context.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise

    def ask(self, path: str, document: Any) -> bytes:
        """Return what was answered.

        Raises:
            NotTaken: the answer was not one of success.
            OSError, http.client.HTTPException: there was none.
        """
        self.request("POST", path, json.dumps(document, sort_keys=True).encode(), {"Content-Type": "application/json"})
        answer = self.getresponse()
        body = answer.read(LARGEST)
        if not 200 <= answer.status < 300:
            raise NotTaken(f"{self.host} answered {answer.status}: {body[:200].decode(errors='replace')}")
        return body


def deliver(settings: Settings, way: str, page: Mapping[str, Any]) -> str:
    """Have a way take a page, from here or else through a relay; return through whom.

    Raises:
        NotTaken: nobody could make it, and why.
    """
    reasons = []
    for relay in (None, *(one for one in settings.relays if one.name != settings.host)):
        try:
            if relay is None:
                send(settings, way, page)
                return settings.host
            _through(relay, settings, way, page)
            return relay.name
        except (NotTaken, OSError, http.client.HTTPException, smtplib.SMTPException, ValueError) as error:
            reasons.append(f"{relay.name if relay else 'from here'}: {error}")
    raise NotTaken("; ".join(reasons)[:600])


def send(settings: Settings, way: str, page: Mapping[str, Any]) -> None:
    """Have a way take a page, from here.

    Raises:
        NotTaken, OSError, http.client.HTTPException, smtplib.SMTPException: it did not.
    """
    {MAIL: _mail, WEBHOOK: _webhook}[way](settings, page)


def _through(relay: Place, settings: Settings, way: str, page: Mapping[str, Any]) -> None:
    line = Line(relay, settings.tls, timeout=RELAYED_S)
    try:
        line.ask(f"/relay/{way}", checked(page))
    finally:
        line.close()


def _webhook(settings: Settings, page: Mapping[str, Any]) -> None:
    line = Line(settings.ways[WEBHOOK], settings.tls)
    try:
        answer = line.ask("/page", checked(page))
    finally:
        line.close()
    expected = hashlib.sha256(json.dumps(checked(page), sort_keys=True).encode()).hexdigest()
    try:
        kept = json.loads(answer)["kept"]
    except (ValueError, KeyError, TypeError) as error:
        raise NotTaken(f"the receiver does not say what it kept: {answer[:80]!r}") from error
    if kept != expected:
        raise NotTaken("the receiver kept something else")


def _mail(settings: Settings, page: Mapping[str, Any]) -> None:
    place = settings.ways[MAIL]
    server = smtplib.SMTP(timeout=TIMEOUT_S, local_hostname=settings.host)
    try:
        server.connect(place.address, place.port)
        server._host = place.name  # what STARTTLS checks
        server.starttls(context=trusting(settings.tls))
        refused = server.sendmail(settings.sender, recipients(settings, page), message(settings, page))
    finally:
        server.close()
    if refused:
        raise NotTaken(f"{place.name} refused {', '.join(sorted(refused))}")


def recipients(settings: Settings, page: Mapping[str, Any]) -> list[str]:
    """Return the mailboxes of who is on call; a test goes to the same mailboxes, marked so that nobody need be woken."""
    if page["kind"] != "test":
        return list(settings.persons)
    return ["+test@".join(person.rsplit("@", 1)) for person in settings.persons]


def message(settings: Settings, page: Mapping[str, Any]) -> bytes:
    """Return a page as mail; sent twice it has the same Message-ID."""
    mail = EmailMessage(policy=WHOLE_LINES)
    mail["From"] = settings.sender
    mail["To"] = ", ".join(recipients(settings, page))
    words = f"{_WORDS[page['kind']]}{page['host']}: {page['text']}"
    mail["Subject"] = "".join(letter if letter.isprintable() else "?" for letter in words)[:200]
    mail["Date"] = format_datetime(datetime.fromtimestamp(page["at"], timezone.utc))
    mail["Message-ID"] = f"<{page['id']}@{settings.sender.rpartition('@')[2]}>"
    mail["X-Secondsite-Page"] = page["id"]
    since = datetime.fromtimestamp(page["since"], timezone.utc)
    mail.set_content(f"{words}\n\nsince {since:%Y-%m-%d %H:%M:%S} UTC, known on {page['host']} as {page['key']}\n")
    return mail.as_bytes()
