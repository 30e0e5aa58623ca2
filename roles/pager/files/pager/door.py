"""The door by which hosts of the estate, and nobody else, bring heartbeats and pages: mutual TLS, one small document each."""

from __future__ import annotations

import hashlib
import http.client
import http.server
import json
import os
import smtplib
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from . import disk, rules, spool, ways
from .heard import Heard
from .settings import WAYS, Settings

IDLE_S = 45.0  # heartbeats come more often by the same connection
MOST_AT_ONCE = 128
RECEIVED_KEPT = 2000


class Refused(Exception):
    """What was asked is not done; the number is HTTP's."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class Door(http.server.ThreadingHTTPServer):
    """Listens where the settings say. Certificates are read anew when their file has changed."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, settings: Settings, heard: Heard, *, state: Path) -> None:
        if settings.listens is None:
            raise ValueError("this host listens nowhere")
        self.settings, self.heard = settings, heard
        self.received = state / "received"
        self.received.mkdir(parents=True, exist_ok=True)
        self._context: tuple[float, ssl.SSLContext] | None = None
        self._places = threading.Semaphore(MOST_AT_ONCE)
        super().__init__((settings.listens.address, settings.listens.port), Visit)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Take a connection; its handshake is made by its own thread."""
        plain, address = super().get_request()
        plain.settimeout(ways.TIMEOUT_S)
        return self._trusting().wrap_socket(plain, server_side=True, do_handshake_on_connect=False), address

    def _trusting(self) -> ssl.SSLContext:
        tls = self.settings.tls
        changed = max(os.stat(tls[name]).st_mtime for name in ("certificate", "authorities"))
        if self._context is None or self._context[0] != changed:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cafile=tls["authorities"])
            context.load_cert_chain(tls["certificate"], tls["key"])
            self._context = (changed, context)
        return self._context[1]

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection, unless too many are served already."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say in one line what went wrong with a connection; others go on."""
        error = sys.exc_info()[1]
        if not isinstance(error, (TimeoutError, ConnectionError, ssl.SSLError)):
            print(f"from {client_address[0]}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)


class Visit(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Door

    def setup(self) -> None:
        """Shake hands before anything is read."""
        self.request.do_handshake()
        self.request.settimeout(IDLE_S)
        super().setup()

    def do_POST(self) -> None:
        """Do what is asked, by whoever has the certificate of a host that may."""
        try:
            who = self._who()
            answer = self._asked(self.path)(who, self._document())
            self._answer(200, answer)
        except Refused as refused:
            self.close_connection = True  # what was not read is not to be taken for another request
            self._answer(refused.code, {"refused": str(refused)})

    def _who(self) -> str:
        subject = dict(part[0] for part in (self.request.getpeercert() or {}).get("subject", ()))
        name = str(subject.get("commonName", ""))
        if name not in self.server.settings.senders:
            raise Refused(403, f"{name!r} may not come here")
        return name

    def _document(self) -> dict[str, Any]:
        try:
            length = int(self.headers.get("Content-Length", ""))
            if not 0 < length <= ways.LARGEST:
                raise ValueError("it is empty or too large")
            document = json.loads(self.rfile.read(length))
            if not isinstance(document, dict):
                raise ValueError("it is no object")
        except ValueError as error:
            raise Refused(400, f"that can't be read: {error}") from error
        return document

    def _asked(self, path: str) -> Callable[[str, dict[str, Any]], Mapping[str, Any]]:
        settings = self.server.settings
        known: dict[str, Callable[[str, dict[str, Any]], Mapping[str, Any]]] = {"/heartbeat": self._heartbeat}
        if settings.receives:
            known["/page"] = self._page
        if settings.relays_pages:
            known |= {f"/relay/{way}": lambda _, page, way=way: self._relay(way, page) for way in WAYS}
        if path not in known:
            raise Refused(404, "nothing is done here by that name")
        return known[path]

    def _heartbeat(self, who: str, beat: dict[str, Any]) -> Mapping[str, Any]:
        try:
            self.server.heard.note(who, beat)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Refused(400, f"that is no heartbeat: {error}") from error
        return {"heard": who}

    def _page(self, _: str, page: dict[str, Any]) -> Mapping[str, Any]:
        page = page_in(page)
        disk.place(self.server.received / f"{page['id']}.json", page, durable=True)
        spool.forget(sorted(self.server.received.glob("[!.]*.json")), keep=RECEIVED_KEPT)
        return {"kept": hashlib.sha256(json.dumps(page, sort_keys=True).encode()).hexdigest()}

    def _relay(self, way: str, page: dict[str, Any]) -> Mapping[str, Any]:
        try:
            ways.send(self.server.settings, way, page_in(page))
        except (ways.NotTaken, OSError, smtplib.SMTPException, http.client.HTTPException) as error:
            raise Refused(502, f"{way}: {error}") from error
        return {"taken": way}

    def _answer(self, code: int, document: Mapping[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        """Tell nothing of what serves here."""
        return "pager"

    def log_message(self, format: str, *args: Any) -> None:
        """Leave the journal to what matters."""


def page_in(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the page that was brought.

    Raises:
        Refused: it is none.
    """
    try:
        return rules.checked(document)
    except ValueError as error:
        raise Refused(400, str(error)) from error
