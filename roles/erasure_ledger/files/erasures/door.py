"""The door by which hosts of the estate, and nobody else, read the ledger and add to it: mutual TLS, one document each.

There is no way in here to change or remove a record. Keys are given to those hosts only that open customers' documents.
"""

from __future__ import annotations

import http.server
import json
import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from . import calls, rules
from .calls import Refused
from .disk import Shelf
from .rules import Wrong
from .settings import Settings

IDLE_S = 30.0
HANDSHAKE_S = 4.0
LARGEST = 1 << 20
MOST_AT_ONCE = 64
_GONE = 410


class Door(http.server.ThreadingHTTPServer):
    """Listens where the settings say. Certificates are read anew when their file has changed."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, settings: Settings, shelf: Shelf) -> None:
        self.settings, self.shelf = settings, shelf
        self._context: tuple[float, ssl.SSLContext] | None = None
        self._places = threading.Semaphore(MOST_AT_ONCE)
        super().__init__((settings.own.address, settings.own.port), Visit)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Take a connection; its handshake is made by its own thread."""
        plain, address = super().get_request()
        plain.settimeout(HANDSHAKE_S)
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
            self._answer(200, self._asked(who)(self._document()))
        except (Refused, Wrong) as refused:
            self.close_connection = True  # what was not read is not to be taken for another request
            self._answer(refused.code if isinstance(refused, Refused) else 400, {"refused": str(refused)})
        except (KeyError, TypeError, ValueError) as error:
            self.close_connection = True
            self._answer(400, {"refused": f"that can't be read: {error}"})

    def _who(self) -> str:
        subject = dict(part[0] for part in (self.request.getpeercert() or {}).get("subject", ()))
        return str(subject.get("commonName", ""))

    def _asked(self, who: str) -> Callable[[dict[str, Any]], Mapping[str, Any]]:
        settings = self.server.settings
        keepers = {one.name for one in settings.keepers}
        everybody = settings.writers | settings.readers_of_keys | keepers
        ways: dict[str, tuple[Callable[[dict[str, Any]], Mapping[str, Any]], frozenset[str] | set[str]]] = {
            "/records": (self._records, everybody),
            "/erased": (self._erased, everybody),
            "/live-keys": (self._live_keys, everybody),
            "/add": (self._add, settings.writers),
            "/keys": (self._keys, settings.readers_of_keys | keepers),
            "/add-key": (self._add_key, settings.readers_of_keys),
            "/kept-keys": (self._kept_keys, keepers),
        }
        if self.path not in ways:
            raise Refused(404, "nothing is done here by that name")
        way, may = ways[self.path]
        if who not in may:
            raise Refused(403, f"{who!r} may not do that")
        return way

    def _document(self) -> dict[str, Any]:
        length = int(self.headers.get("Content-Length", ""))
        if not 0 < length <= LARGEST:
            raise ValueError("it is empty or too large")
        document = json.loads(self.rfile.read(length))
        if not isinstance(document, dict):
            raise ValueError("it is no object")
        return document

    def _records(self, asked: dict[str, Any]) -> Mapping[str, Any]:
        shelf = self.server.shelf
        with shelf.lock:
            found = shelf.after(int(asked["after"]))[: min(int(asked["most"]), calls.PAGE)]
            return {**shelf.about(), "records": [record.words() for record in found]}

    def _erased(self, asked: dict[str, Any]) -> Mapping[str, Any]:
        return {"erased": [one for one in map(str, asked["subjects"]) if self.server.shelf.is_erased(one)]}

    def _live_keys(self, asked: dict[str, Any]) -> Mapping[str, Any]:
        return {"live": [one for one in map(str, asked["subjects"]) if self.server.shelf.keys_of(one)]}

    def _add(self, asked: dict[str, Any]) -> Mapping[str, Any]:
        now = time.time()
        entries = [rules.entry_in(words) for words in asked["entries"]]
        if any(entry.at > now + rules.AHEAD_S for entry in entries):
            raise Refused(422, "it is from the future: a clock is wrong")
        self.server.shelf.add(entries, now=now)
        return self.server.shelf.about()

    def _keys(self, asked: dict[str, Any]) -> Mapping[str, Any]:
        subject = str(asked["subject"])
        if self.server.shelf.is_erased(subject):
            raise Refused(_GONE, "the key was destroyed")
        return {"keys": self.server.shelf.keys_of(subject)}

    def _add_key(self, asked: dict[str, Any]) -> Mapping[str, Any]:
        if not self.server.shelf.add_key(asked):
            raise Refused(_GONE, "whose it is was erased")
        return {"kept": True}

    def _kept_keys(self, _: dict[str, Any]) -> Mapping[str, Any]:
        return {"keys": list(self.server.shelf.kept_keys())}

    def _answer(self, code: int, document: Mapping[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        """Tell nothing of what serves here."""
        return "erasures"

    def log_message(self, format: str, *args: Any) -> None:
        """Leave the journal to what matters."""
