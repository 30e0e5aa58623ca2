"""Bundles and trusted keys, from folders and archives; hostile names, links and sizes are refused."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import EvidenceError
from .model import Bundle, PublicKey, Trust

MOST_FILES = 20_000
MOST_BYTES = 2 << 30
DEFAULT_THRESHOLD = 2


class _Basket:
    """Collects files under the limits."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self.files: dict[str, bytes] = {}
        self.size = 0

    def room_for(self, name: str, size: int) -> None:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not name or str(path) != name:
            raise EvidenceError(f"{self.source}: {name!r:.200} is not a plain relative path")
        if name in self.files:
            raise EvidenceError(f"{self.source}: {name!r:.200} stands twice in the archive")
        self.size += size
        if self.size > MOST_BYTES or len(self.files) >= MOST_FILES:
            raise EvidenceError(f"{self.source}: more than {MOST_FILES} files or {MOST_BYTES} bytes")


def _from_folder(source: Path) -> dict[str, bytes]:
    basket = _Basket(source)
    for path in sorted(source.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise EvidenceError(f"{path}: a bundle holds plain files only, no links or devices")
        if path.is_file():
            name = path.relative_to(source).as_posix()
            basket.room_for(name, path.stat().st_size)
            basket.files[name] = path.read_bytes()
    return basket.files


def _from_archive(source: Path) -> dict[str, bytes]:
    basket = _Basket(source)
    with tarfile.open(source, "r:gz") as archive:
        for member in archive:
            if member.isdir():
                continue
            content = archive.extractfile(member) if member.isreg() else None
            if content is None:
                raise EvidenceError(f"{source}: {member.name!r:.200} is not a plain file")
            _, _, name = member.name.partition("/")
            basket.room_for(name, member.size)
            basket.files[name] = content.read()
    return basket.files


def load_bundle(source: Path) -> Bundle:
    """Return a bundle's files, from a folder or a .tar.gz with one folder in it.

    Raises:
        EvidenceError: it isn't there, can't be read, or holds what no bundle holds.
    """
    if not source.exists():
        raise EvidenceError(f"{source}: there is no such bundle", not_done="nothing was verified")
    try:
        files = _from_folder(source) if source.is_dir() else _from_archive(source)
    except (OSError, EOFError, tarfile.TarError) as error:
        raise EvidenceError(f"{source}: the bundle can't be read ({error})", not_done="nothing was verified") from error
    if not files:
        raise EvidenceError(f"{source}: the bundle is empty", not_done="nothing was verified")
    return Bundle(source=str(source), files=files)


def _trust_from(document: dict[str, Any], source: str) -> Trust:
    keys = tuple(PublicKey(name=str(item["name"]), public=item["public"]) for item in document["keys"])
    threshold = document.get("threshold", DEFAULT_THRESHOLD)
    if document["schema_version"] != 1 or isinstance(threshold, bool) or not isinstance(threshold, int):
        raise ValueError("schema_version must be 1 and threshold a whole number")
    if len({key.public for key in keys}) != len(keys):
        raise ValueError("the same key stands under two names: that would be one signer counted twice")
    return Trust(keys=keys, threshold=threshold, source=source)


def parse_trust(content: bytes, *, source: str) -> Trust:
    """Return the trusted keys of a document ``{"schema_version": 1, "threshold": 2, "keys": [{"name", "public"}]}``.

    Raises:
        EvidenceError: it is malformed, or the same key bytes stand in it under two names.
    """
    try:
        return _trust_from(json.loads(content), source)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise EvidenceError(
            f"{source}: not a list of trusted keys ({error})", not_done="nothing was verified"
        ) from error


def load_trust(path: Path) -> Trust:
    """Return the trusted keys from a file."""
    try:
        return parse_trust(path.read_bytes(), source=str(path))
    except OSError as error:
        raise EvidenceError(f"{path}: can't be read ({error})", not_done="nothing was verified") from error
