"""Signed statements of our own, such as standing orders: canonical JSON in a DSSE envelope."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from ..errors import EvidenceError
from .canonical import canonical
from .model import PublicKey, Trust
from .sign import STANDING_ORDER_TYPE, Identity, open_envelope, sign_bytes


def sign_statement(
    payload: Mapping[str, object], identities: Sequence[Identity], *, payload_type: str = STANDING_ORDER_TYPE
) -> dict[str, object]:
    """Return the envelope of a statement signed by every identity; floats are refused, durations are text."""
    return sign_bytes(canonical(payload), identities, payload_type=payload_type)


def verify_statement(
    envelope: Mapping[str, object],
    trusted: Sequence[PublicKey],
    *,
    threshold: int,
    payload_type: str = STANDING_ORDER_TYPE,
) -> dict[str, object]:
    """Return the statement, signed by at least ``threshold`` trusted keys that differ in their bytes.

    Raises:
        EvidenceError: it is malformed, not canonical, of another type, or signed by too few different keys.
    """
    try:
        trust = Trust(keys=tuple(trusted), threshold=threshold, source="the keys given")
    except ValueError as error:
        raise EvidenceError(str(error), not_done="the statement was not accepted") from error
    payload, _ = open_envelope(envelope, trust, payload_type=payload_type)
    try:
        statement = json.loads(payload)
    except ValueError as error:
        raise EvidenceError("the signed statement is not JSON") from error
    if not isinstance(statement, dict) or canonical(statement) != payload:
        raise EvidenceError("the signed statement is not a canonical JSON object")
    return statement
