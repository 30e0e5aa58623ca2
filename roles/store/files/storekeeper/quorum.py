"""The quorum, spoken to over etcd's JSON gateway with this host's certificate. Every read is linearizable."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import threading
from collections.abc import Mapping, Sequence

from .rules import PREFIX, Lease

_TIMEOUT_S = 1.5


class Away(Exception):
    """No member with a majority behind it answered."""


class Quorum:
    """Leases of all workloads. ``endpoints`` are (name, address, port), asked in this order."""

    def __init__(self, endpoints: Sequence[tuple[str, str, int]], *, context: ssl.SSLContext) -> None:
        self._endpoints = list(endpoints)
        self._context = context
        self._lock = threading.Lock()
        self._open: http.client.HTTPSConnection | None = None

    def leases(self) -> Mapping[str, str]:
        """Return every workload's lease as it is kept, by workload.

        Raises:
            Away: nobody with a majority answered.
        """
        words = {"key": _b64(PREFIX), "range_end": _b64(PREFIX[:-1] + "0")}
        answer = self._ask("/v3/kv/range", words)
        return {
            base64.b64decode(pair["key"]).decode().removeprefix(PREFIX): base64.b64decode(
                pair.get("value", "")
            ).decode()
            for pair in answer.get("kvs", [])
        }

    def swap(self, workload: str, *, expected: Lease | None, new: Lease) -> bool:
        """Put the new lease if the quorum still holds the expected one (None: none at all); say whether it did.

        Raises:
            Away: nobody answered; it may have been put or not.
        """
        key = _b64(PREFIX + workload)
        if expected is None:
            compare = {"key": key, "target": "CREATE", "result": "EQUAL", "create_revision": "0"}
        else:
            compare = {"key": key, "target": "VALUE", "result": "EQUAL", "value": _b64(expected.text())}
        put = {"request_put": {"key": key, "value": _b64(new.text())}}
        return bool(self._ask("/v3/kv/txn", {"compare": [compare], "success": [put]}).get("succeeded"))

    def _ask(self, path: str, words: Mapping[str, object]) -> dict:
        body = json.dumps(words)
        reasons = []
        with self._lock:
            for _ in range(len(self._endpoints)):
                try:
                    return self._post(path, body)
                except (OSError, http.client.HTTPException, ValueError) as error:
                    reasons.append(f"{self._endpoints[0][0]}: {error or type(error).__name__}")
                    self._leave()
        raise Away("; ".join(reasons))

    def _post(self, path: str, body: str) -> dict:
        name, address, port = self._endpoints[0]
        if self._open is None:
            self._open = _Named(name, address, port, context=self._context, timeout=_TIMEOUT_S)
        self._open.request("POST", path, body, {"Content-Type": "application/json"})
        answer = self._open.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise ValueError(f"{answer.status} {text[:200]!r}")
        return json.loads(text)

    def _leave(self) -> None:
        """Go on with the next endpoint."""
        if self._open is not None:
            self._open.close()
        self._open = None
        self._endpoints.append(self._endpoints.pop(0))


class _Named(http.client.HTTPSConnection):
    """A connection to an address whose certificate must carry another name."""

    def __init__(self, name: str, address: str, port: int, *, context: ssl.SSLContext, timeout: float) -> None:
        super().__init__(address, port, context=context, timeout=timeout)
        self._name, self._tls = name, context

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._name)


def connection_to(
    name: str, address: str, port: int, *, context: ssl.SSLContext, timeout: float
) -> http.client.HTTPSConnection:
    """Return a connection, not yet open, to a host by address that must prove its name."""
    return _Named(name, address, port, context=context, timeout=timeout)


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
