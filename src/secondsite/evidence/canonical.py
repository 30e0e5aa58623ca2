"""One byte string for one document (ADR 0003): the part of RFC 8785 that needs no floating-point numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ..errors import EvidenceError

LARGEST_INTEGER = 2**53 - 1


def _refuse_scalar(value: object, where: str) -> None:
    """Refuse a value that is no text, small integer, truth or null."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise EvidenceError(f"{where or '/'}: a lone surrogate is no text") from error
    elif isinstance(value, int):
        if abs(value) > LARGEST_INTEGER:
            raise EvidenceError(f"{where or '/'}: the integer is beyond 2**53 - 1")
    elif value is not None:
        raise EvidenceError(f"{where or '/'}: a {type(value).__name__} has no place in a canonical document")


def _refuse(value: object, where: str) -> None:
    """Refuse what the subset does not contain, at any depth."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise EvidenceError(f"{where or '/'}: a key is not a string")
            _refuse_scalar(key, where)
            _refuse(item, f"{where}/{key}")
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            _refuse(item, f"{where}/{number}")
    else:
        _refuse_scalar(value, where)


def _ordered(value: object) -> object:
    """Sort keys by their UTF-16 code units, as RFC 8785 does."""
    if isinstance(value, Mapping):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return {key: _ordered(value[key]) for key in keys}
    return [_ordered(item) for item in value] if isinstance(value, list | tuple) else value


def canonical(document: object) -> bytes:
    """Return the canonical bytes: UTF-8, no white space, keys by UTF-16 code units, no floats, no big integers."""
    _refuse(document, "")
    return json.dumps(_ordered(document), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
