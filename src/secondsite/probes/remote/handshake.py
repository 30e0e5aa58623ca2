"""Shake hands with TLS listeners by address, with the name they should have: plain Python, run on a host as root.

Standard input: one line of JSON, {"listeners": [{"address", "port", "name", "speaks": "tls" or "postgresql"}]}.
Standard output: a JSON list in the same order, each with "trouble" (empty when all is well), "issuer", "protocol",
"bits" and "ends". The host's own certificate is shown to whoever asks, and only the estate's bundle is believed.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

TLS = "/etc/secondsite/tls"
TIMEOUT_S = 3.0
LEAST_BITS = 128
_ASK_FOR_TLS = struct.pack("!ii", 8, 80877103)


def client(directory: str = TLS) -> ssl.SSLContext:
    """Return a client that shows the host's certificate and believes the estate's authorities alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(f"{directory}/ca-bundle.crt")
    context.load_cert_chain(f"{directory}/host.crt", f"{directory}/host.key")
    return context


def shaken(listener: Mapping[str, object], context: ssl.SSLContext) -> dict[str, object]:
    """Return what one listener showed."""
    place = (str(listener["address"]), int(str(listener["port"])))
    try:
        with socket.create_connection(place, timeout=TIMEOUT_S) as wire:
            if listener["speaks"] == "postgresql":
                wire.sendall(_ASK_FOR_TLS)
                if wire.recv(1) != b"S":
                    return {"trouble": "it does not offer TLS"}
            return shaken_over(wire, str(listener["name"]), context)
    except OSError as error:
        return {"trouble": str(error)}


def shaken_over(wire: socket.socket, name: str, context: ssl.SSLContext) -> dict[str, object]:
    """Return what the other end of a wire showed when asked for a name."""
    try:
        with context.wrap_socket(wire, server_hostname=name) as secured:
            certificate, cipher = secured.getpeercert() or {}, secured.cipher()
            protocol = secured.version()
    except OSError as error:  # ssl's own errors are among them
        return {"trouble": str(getattr(error, "verify_message", "") or error)}
    bits = cipher[2] if cipher else 0
    return {
        "trouble": "" if bits >= LEAST_BITS else f"only {bits} bits",
        "issuer": _common_name(certificate.get("issuer")),
        "protocol": protocol,
        "bits": bits,
        "ends": certificate.get("notAfter", ""),
    }


def _common_name(name: Any) -> str:
    """Find the common name in what ssl hands out: a tuple of parts, each of pairs."""
    return str(next((value for part in name or () for kind, value in part if kind == "commonName"), ""))


def main() -> None:
    """Answer one order."""
    listeners = json.loads(sys.stdin.readline())["listeners"]
    context = client()
    with ThreadPoolExecutor(max_workers=8) as pool:
        print(json.dumps(list(pool.map(lambda one: shaken(one, context), listeners))))  # noqa: T201  its answer


if __name__ == "__main__":
    main()
