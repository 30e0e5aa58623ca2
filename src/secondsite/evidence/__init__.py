"""Records, digests, signatures, bundles, and their verification. Stands without the engine."""

from __future__ import annotations

from .assessment import Assessment, Judgement
from .canonical import canonical
from .load import load_bundle, load_trust, parse_trust
from .manifest import sha256
from .model import Bundle, PublicKey, Trust, Verification
from .recorded_roles import recorded_roles
from .roles import Roles
from .seal import pack, seal, sealed_files
from .service import assess, examine
from .sign import Identity, load_identity, new_identity, save_identity
from .statement import sign_statement, verify_statement
from .verify import raise_on, recompute_document, verify

__all__ = [
    "Assessment",
    "Bundle",
    "Identity",
    "Judgement",
    "PublicKey",
    "Roles",
    "Trust",
    "Verification",
    "assess",
    "canonical",
    "examine",
    "load_bundle",
    "load_identity",
    "load_trust",
    "new_identity",
    "pack",
    "parse_trust",
    "raise_on",
    "recompute_document",
    "recorded_roles",
    "save_identity",
    "seal",
    "sealed_files",
    "sha256",
    "sign_statement",
    "verify",
    "verify_statement",
]
