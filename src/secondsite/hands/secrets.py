"""The estate's shared secrets: made once, and kept in one file that is sealed for those who may open it (``age``)."""

from __future__ import annotations

import base64
import json
import secrets as chance
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ConfigError, Problem
from .age import Safe
from .escrow import own_safe

NAME = "secrets"
_UNSEALED = "secrets.json"  # how an earlier release kept them


@dataclass(frozen=True, slots=True, kw_only=True)
class TsigKey:
    """A key that signs DNS messages."""

    name: str
    algorithm: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """What the roles and the controller's own doors are given. Printing it shows nothing."""

    tsig_update: TsigKey
    tsig_transfer: TsigKey
    shop_token_secret: str = field(repr=False)
    customer_drill_password: str = field(repr=False)
    document: Mapping[str, object] = field(repr=False)


def make(directory: Path, *, safe: Safe | None = None) -> Secrets:
    """Make every secret that is missing and return all; those that exist stay as they are.

    Without ``safe``, the directory is a lab's own: keys are made beside the secrets.

    Raises:
        UsageError: they are sealed for others, or nobody is named who may open them.
        ConfigError: the file does not hold what it should.
    """
    kept = safe or own_safe(directory)
    kept.prepare()
    unsealed = directory / _UNSEALED
    existing: dict[str, object] = {}
    if kept.holds(NAME):
        existing = _document(kept.open(NAME).decode(), kept)
    elif unsealed.exists():
        existing = _document(unsealed.read_text(encoding="utf-8"), kept)
    document = _completed(_MAKERS, existing)
    if document != existing or not kept.holds(NAME):
        kept.seal(NAME, json.dumps(document, indent=1, sort_keys=True).encode())
    unsealed.unlink(missing_ok=True)
    return _parsed(document, kept)


def load(directory: Path, *, safe: Safe | None = None) -> Secrets:
    """Return the secrets made earlier.

    Raises:
        UsageError: there are none, or they are sealed for others.
        ConfigError: the file does not hold what it should.
    """
    kept = safe or own_safe(directory)
    return _parsed(_document(kept.open(NAME).decode(), kept), kept)


def ca_directory(directory: Path) -> Path:
    """Return where the public parts of the sites' TLS authorities lie."""
    return directory / "ca"


def _password() -> str:
    return chance.token_urlsafe(24)


def _tsig_secret() -> str:
    return base64.b64encode(chance.token_bytes(32)).decode("ascii")


_Makers = Mapping[str, "Callable[[], str] | _Makers"]


def _tsig_makers(name: str) -> _Makers:
    return {"name": lambda: name, "algorithm": lambda: "hmac-sha256", "secret": _tsig_secret}


_MAKERS: _Makers = {
    "tsig_update": _tsig_makers("secondsite-update"),
    "tsig_transfer": _tsig_makers("secondsite-transfer"),
    "postgres": dict.fromkeys(("superuser", "replication", "rewind", "shop", "control", "observer"), _password),
    "patroni_rest": {"username": lambda: "patroni", "password": _password},
    "etcd": dict.fromkeys(("root", "patroni", "cluster_token"), _password),
    "tunnels": _tsig_secret,
    "backup_producers": _password,
    "backup_prune": _password,
    "shop_token_secret": _password,
    "customer_drill_password": _password,
}


def _completed(makers: _Makers, existing: Mapping[str, object]) -> dict[str, object]:
    completed: dict[str, object] = dict(existing)
    for name, maker in makers.items():
        if callable(maker):
            completed.setdefault(name, maker())
        else:
            inner = existing.get(name, {})
            completed[name] = _completed(maker, inner if isinstance(inner, Mapping) else {})
    return completed


def _document(text: str, safe: Safe) -> dict[str, object]:
    where = str(safe.directory / f"{NAME}.age")
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        problem = Problem(file=where, line=error.lineno, pointer="", what="holds no JSON document")
        raise ConfigError([problem]) from error
    if not isinstance(document, dict):
        raise ConfigError([Problem(file=where, line=1, pointer="", what="holds no JSON object")])
    return document


def _parsed(document: Mapping[str, object], safe: Safe) -> Secrets:
    missing = list(_missing(_MAKERS, document, ""))
    if missing:
        where = str(safe.directory / f"{NAME}.age")
        raise ConfigError([Problem(file=where, line=None, pointer=at, what="missing") for at in missing])
    return Secrets(
        tsig_update=_tsig(document["tsig_update"]),
        tsig_transfer=_tsig(document["tsig_transfer"]),
        shop_token_secret=str(document["shop_token_secret"]),
        customer_drill_password=str(document["customer_drill_password"]),
        document=document,
    )


def _missing(makers: _Makers, document: object, at: str) -> list[str]:
    if not isinstance(document, Mapping):
        return [at or "/"]
    found: list[str] = []
    for name, maker in makers.items():
        here = f"{at}/{name}"
        if not callable(maker):
            found += _missing(maker, document.get(name), here)
        elif not isinstance(document.get(name), str) or not document[name]:
            found.append(here)
    return found


def _tsig(entry: object) -> TsigKey:
    if not isinstance(entry, Mapping):
        raise TypeError("checked by _missing")
    return TsigKey(name=str(entry["name"]), algorithm=str(entry["algorithm"]), secret=str(entry["secret"]))
