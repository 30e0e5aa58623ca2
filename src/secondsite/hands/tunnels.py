"""The keys of the tunnels between datacenters: one pair for each edge, made from one of the estate's secrets.

A host's key says nothing about the secret, nor about another host's key. Another secret makes all of them anew.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

_LENGTH = 32


def tunnel_keys(secret: str, hosts: Iterable[str]) -> Mapping[str, Mapping[str, str]]:
    """Return each host's ``private`` and ``public`` key as WireGuard writes them."""
    return {host: _pair(secret, host) for host in hosts}


def _pair(secret: str, host: str) -> Mapping[str, str]:
    kdf = HKDF(algorithm=SHA256(), length=_LENGTH, salt=None, info=f"secondsite tunnel {host}".encode())
    private = X25519PrivateKey.from_private_bytes(_clamped(kdf.derive(secret.encode())))
    return {
        "private": _text(private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())),
        "public": _text(private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)),
    }


def _clamped(key: bytes) -> bytes:
    """Return the key as WireGuard keeps it: what it writes back is then what it was given."""
    return bytes([key[0] & 248, *key[1:31], key[31] & 127 | 64])


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode("ascii")
