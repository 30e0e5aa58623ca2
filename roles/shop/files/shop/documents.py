"""Customers' documents, at the store that may be written: mutual TLS, by the account's own id. The store seals them.

Blocking calls, each with a time limit; whoever serves customers makes them in a thread.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Mapping, Sequence

from .books import InDoubt
from .pool import Away
from .settings import Store

_TIMEOUT_S = 4.0
_LARGEST = 8 << 20
_KNOWN_FOR_S = 1.0


class Erased(Exception):
    """Whose documents they are was erased."""


class Documents:
    """The stores of both sites; which of them is the primary is asked of themselves."""

    def __init__(self, stores: Sequence[Store], tls: Mapping[str, str]) -> None:
        self._stores, self._tls = tuple(stores), tls
        self._primary: tuple[float, Store] | None = None

    def names(self, account: str) -> list[str]:
        """Return the names of an account's documents."""
        return [str(name) for name in json.loads(self._ask("GET", account) or b'{"names": []}')["names"]]

    def read(self, account: str, name: str) -> bytes | None:
        """Return a document, or None."""
        return self._ask("GET", account, name)

    def keep(self, account: str, name: str, document: bytes) -> None:
        """Have a document kept; it is on disk there when this returns."""
        self._ask("PUT", account, name, document)

    def remove(self, account: str, name: str) -> bool:
        """Have a document removed; say whether there was one."""
        return self._ask("DELETE", account, name) is not None

    def _ask(self, method: str, account: str, name: str = "", document: bytes | None = None) -> bytes | None:
        """Ask the primary.

        Raises:
            Away: no store is the primary just now, or it does not answer; nothing was done that was not asked to be.
            InDoubt: it may or may not be kept.
            Erased: the account is gone.
        """
        store = self._known_primary()
        path = f"/documents/customers/{account}" + (f"/{name}" if name else "")
        try:
            status, said = self._answer(store, method, path, document)
        except (OSError, http.client.HTTPException) as error:
            self._primary = None
            if method != "GET":
                raise InDoubt(f"{store.name}: {error}") from error
            raise Away(f"{store.name}: {error}") from error
        if status in (200, 201):
            return said
        if status == 404:
            return None
        if status == 410:
            raise Erased(account)
        self._primary = None
        if status == 202:
            raise InDoubt(f"{store.name} does not know whether it is kept")
        raise Away(f"{store.name} answered {status}: {said[:200].decode(errors='replace')}")

    def _known_primary(self) -> Store:
        if self._primary is not None and time.monotonic() - self._primary[0] < _KNOWN_FOR_S:
            return self._primary[1]
        for store in self._stores:
            try:
                status, said = self._answer(store, "GET", "/status", None)
                is_primary = status == 200 and json.loads(said)["workloads"]["documents"]["writable"]
            except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
                continue
            if is_primary:
                self._primary = (time.monotonic(), store)
                return store
        raise Away("no store may be written just now")

    def _answer(self, store: Store, method: str, path: str, document: bytes | None) -> tuple[int, bytes]:
        line = _Line(store, self._tls)
        try:
            line.request(method, path, document)
            answer = line.getresponse()
            return answer.status, answer.read(_LARGEST)
        finally:
            line.close()


class _Line(http.client.HTTPSConnection):
    """A connection by address to a store that must prove its name."""

    def __init__(self, store: Store, tls: Mapping[str, str]) -> None:
        context = ssl.create_default_context(cafile=tls["authorities"])
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(tls["certificate"], tls["key"])
        super().__init__(store.name, store.port, timeout=_TIMEOUT_S, context=context)
        self._address = store.address

    def connect(self) -> None:
        """Connect, and see that it is who it should be."""
        plain = socket.create_connection((self._address, self.port), self.timeout)
        try:
            self.sock = self._context.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise
