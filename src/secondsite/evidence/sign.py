"""Signed envelopes (DSSE over Ed25519). The one door to securesystemslib.

A threshold counts *distinct key bytes*: the library counts key ids, so one key under two ids would satisfy two of two.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import CryptoSigner, Signature, SSlibKey  # type: ignore[attr-defined]  # no __all__ there

from ..errors import EvidenceError
from .model import PublicKey, Trust

STATEMENT_TYPE = "application/vnd.in-toto+json"
STANDING_ORDER_TYPE = "application/vnd.secondsite.standing-order+json"
MOST_SIGNATURES = 64


class Identity:
    """A person or machine that signs: a name and an Ed25519 private key."""

    def __init__(self, name: str, signer: CryptoSigner) -> None:
        """Take a name and a key; see ``new_identity`` and ``load_identity``."""
        self.name = name
        self._signer = signer

    @property
    def public_key(self) -> PublicKey:
        """What others need to check this identity's signatures."""
        return PublicKey(name=self.name, public=self._signer.public_key.keyval["public"])

    def private_pem(self) -> bytes:
        """Return the private key as unencrypted PKCS#8."""
        return self._signer.private_bytes

    def sign_into(self, envelope: Envelope) -> None:
        """Add this identity's signature."""
        envelope.sign(self._signer)


def _door(public: str) -> SSlibKey:
    """Return the library's key; its id is the key itself, so that no id can stand for another key."""
    return SSlibKey(keyid=public, keytype="ed25519", scheme="ed25519", keyval={"public": public})


def _identity(name: str, key: Ed25519PrivateKey) -> Identity:
    return Identity(name, CryptoSigner(key, _door(key.public_key().public_bytes_raw().hex())))


def new_identity(name: str) -> Identity:
    """Return an identity with a fresh key."""
    return _identity(name, Ed25519PrivateKey.generate())


def save_identity(identity: Identity, path: Path) -> None:
    """Write the private key, readable by its owner only; an existing file is refused."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(identity.private_pem())


def load_identity(name: str, path: Path) -> Identity:
    """Return the identity whose private key is in ``path``.

    Raises:
        EvidenceError: the file can't be read or holds no Ed25519 key.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise EvidenceError(f"{path}: no private key could be read ({error})", not_done="nothing was signed") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise EvidenceError(f"{path}: the private key is not Ed25519", not_done="nothing was signed")
    return _identity(name, key)


def sign_bytes(payload: bytes, identities: Sequence[Identity], *, payload_type: str) -> dict[str, object]:
    """Return the DSSE envelope of ``payload``, signed by every identity; the same key twice is refused."""
    publics = [identity.public_key.public for identity in identities]
    if not publics or len(set(publics)) != len(publics):
        raise EvidenceError("each signature needs a key of its own", not_done="nothing was signed")
    envelope = Envelope(payload, payload_type, {})
    for identity in identities:
        identity.sign_into(envelope)
    document: dict[str, object] = envelope.to_dict()
    return document


def _decode(text: object, what: str) -> bytes:
    if not isinstance(text, str):
        raise EvidenceError(f"the envelope's {what} is missing")
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise EvidenceError(f"the envelope's {what} is not base64") from error
    if base64.b64encode(decoded).decode() != text:
        raise EvidenceError(f"the envelope's {what} is not the one base64 form of its bytes")
    return decoded


def _signatures(envelope: Mapping[str, object]) -> list[tuple[str, bytes]]:
    listed = envelope.get("signatures")
    if not isinstance(listed, list) or not 1 <= len(listed) <= MOST_SIGNATURES:
        raise EvidenceError("the envelope has no signatures, or too many")
    if not all(isinstance(item, dict) and set(item) == {"keyid", "sig"} for item in listed):
        raise EvidenceError("the envelope has a signature that is not key id and signature")
    return [(str(item["keyid"]), _decode(item["sig"], "signature")) for item in listed]


def _verifies(key: PublicKey, signature: bytes, pae: bytes) -> bool:
    try:
        _door(key.public).verify_signature(Signature(key.public, signature.hex()), pae)
    except UnverifiedSignatureError:
        return False
    return True


def _signers(
    signatures: Sequence[tuple[str, bytes]], keys: Sequence[PublicKey], pae: bytes
) -> tuple[tuple[PublicKey, ...], int]:
    """Return each key that signed, once, and how many signatures none of the keys verifies."""
    signed: dict[str, PublicKey] = {}
    strangers = 0
    for key_id, signature in signatures:
        key = next((key for key in keys if _verifies(key, signature, pae)), None)
        if key is None:
            strangers += 1
        elif key_id != key.public:
            raise EvidenceError(f"the key id of {key.name}'s signature is not that of its key")
        else:
            signed[key.public] = key
    return tuple(signed.values()), strangers


def open_envelope(
    envelope: Mapping[str, object], trust: Trust, *, payload_type: str
) -> tuple[bytes, tuple[PublicKey, ...]]:
    """Return the payload and the trusted keys that signed it.

    A signature counts for the key *bytes* that verify it, once; an id that says otherwise is refused.

    Raises:
        EvidenceError: the envelope is malformed, of another type, or signed by fewer different keys than needed.
    """
    if set(envelope) != {"payload", "payloadType", "signatures"}:
        raise EvidenceError("the envelope is not payload, payloadType and signatures")
    if envelope.get("payloadType") != payload_type:
        raise EvidenceError(f"the envelope is of type {envelope.get('payloadType')!r:.80}, not {payload_type}")
    payload = _decode(envelope.get("payload"), "payload")
    pae = Envelope(payload, payload_type, {}).pae()
    distinct = {key.public: key for key in reversed(trust.keys)}
    signed, strangers = _signers(_signatures(envelope), tuple(distinct.values()), pae)
    if strangers and not trust.others_may_sign:
        raise EvidenceError(f"{strangers} signatures are by none of the trusted keys ({trust.source}), or damaged")
    if len(signed) < trust.threshold:
        raise EvidenceError(
            f"signed by {len(signed)} of the trusted keys ({trust.source}), {trust.threshold} different ones are needed"
        )
    return payload, signed
