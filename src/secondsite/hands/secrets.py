"""The estate's shared secrets: made once, kept in one file that only the controller's user may read.

They lie unencrypted (mode 0600) in the state directory; ``LIMITATION`` is what a report has to say about that.
"""

from __future__ import annotations

import base64
import json
import secrets as chance
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ConfigError, Problem, UsageError

LIMITATION = "the estate's secrets and SSH authorities lie unencrypted (mode 0600) in the controller's state directory"

_FILE = "secrets.json"


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


def make(directory: Path) -> Secrets:
    """Make every secret that is missing and return all; those that exist stay as they are."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    (directory / "ca").mkdir(mode=0o700, exist_ok=True)
    path = directory / _FILE
    existing = _read(path) if path.exists() else {}
    document = _completed(_MAKERS, existing)
    if document != existing:
        partial = path.with_name(f".{_FILE}.new")
        partial.touch(mode=0o600)
        partial.write_text(json.dumps(document, indent=1, sort_keys=True), encoding="utf-8")
        partial.rename(path)
    return _parsed(document, path)


def load(directory: Path) -> Secrets:
    """Return the secrets made earlier.

    Raises:
        UsageError: there are none.
        ConfigError: the file does not hold what it should.
    """
    path = directory / _FILE
    if not path.exists():
        raise UsageError(f"no secrets at {path}", not_done="nothing was attempted", next_step="secondsite provision")
    return _parsed(_read(path), path)


def ca_directory(directory: Path) -> Path:
    """Return where the roles keep the sites' TLS authorities, on the controller."""
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


def _read(path: Path) -> dict[str, object]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        problem = Problem(file=str(path), line=error.lineno, pointer="", what="not a JSON document")
        raise ConfigError([problem]) from error
    if not isinstance(document, dict):
        raise ConfigError([Problem(file=str(path), line=1, pointer="", what="not a JSON object")])
    return document


def _parsed(document: Mapping[str, object], path: Path) -> Secrets:
    missing = list(_missing(_MAKERS, document, ""))
    if missing:
        raise ConfigError([Problem(file=str(path), line=None, pointer=at, what="missing") for at in missing])
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
