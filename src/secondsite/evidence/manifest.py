"""The list of a bundle's files by digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping

from ..errors import EvidenceError, Problem
from .canonical import canonical
from .model import FileEntry

MANIFEST, ENVELOPE, KEYS, RESULT = "manifest.json", "envelope.json", "keys.json", "result.json"
OUTSIDE_THE_MANIFEST = frozenset({MANIFEST, ENVELOPE})
SCHEMA_VERSION = 1


def sha256(content: bytes) -> str:
    """Return the digest as lower-case hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def entry(path: str, content: bytes) -> FileEntry:
    """Return a file's entry."""
    return FileEntry(path=path, sha256=sha256(content), size=len(content), lines=content.count(b"\n"))


def to_bytes(files: Mapping[str, bytes], *, drill: str) -> bytes:
    """Return the canonical manifest of every file, sorted by path."""
    entries = [entry(path, files[path]) for path in sorted(files) if path not in OUTSIDE_THE_MANIFEST]
    listed = [{"path": e.path, "sha256": e.sha256, "size": e.size, "lines": e.lines} for e in entries]
    return canonical({"schema_version": SCHEMA_VERSION, "drill": drill, "files": listed})


def _entry_from(item: object) -> FileEntry:
    if not isinstance(item, dict) or set(item) != {"path", "sha256", "size", "lines"}:
        raise EvidenceError("the manifest has an entry that is not path, sha256, size and lines")
    path, digest, size, lines = item["path"], item["sha256"], item["size"], item["lines"]
    if not (isinstance(path, str) and isinstance(digest, str) and isinstance(size, int) and isinstance(lines, int)):
        raise EvidenceError("the manifest has an entry of the wrong kind")
    return FileEntry(path=path, sha256=digest, size=size, lines=lines)


def from_bytes(content: bytes) -> dict[str, FileEntry]:
    """Return the entries by path.

    Raises:
        EvidenceError: it is not a canonical manifest, or names a path twice.
    """
    try:
        document = json.loads(content)
        canonical_again = canonical(document)
    except (ValueError, RecursionError) as error:
        raise EvidenceError("the manifest is not JSON") from error
    if not isinstance(document, dict) or canonical_again != content:
        raise EvidenceError("the manifest is not in canonical form")
    listed = document.get("files")
    if document.get("schema_version") != SCHEMA_VERSION or not isinstance(listed, list):
        raise EvidenceError("the manifest is not of schema version 1")
    entries = [_entry_from(item) for item in listed]
    by_path = {item.path: item for item in entries}
    if len(by_path) != len(entries):
        raise EvidenceError("the manifest names a path twice")
    return by_path


def _problem(path: str, what: str) -> Problem:
    return Problem(file=path, line=None, pointer="", what=what)


def differences(entries: Mapping[str, FileEntry], files: Mapping[str, bytes]) -> Iterator[Problem]:
    """Name every file that is missing, added or changed."""
    for path in sorted(set(entries) - set(files)):
        yield _problem(path, "the manifest names this file and the bundle lacks it")
    for path in sorted(set(files) - set(entries) - OUTSIDE_THE_MANIFEST):
        yield _problem(path, "the bundle holds this file and the manifest does not name it")
    for path in sorted(set(entries) & set(files)):
        stated, found = entries[path], entry(path, files[path])
        if found == stated:
            continue
        if found.size < stated.size:
            yield _problem(path, f"cut short: {found.size} bytes in {found.lines} lines, not {stated.size}")
        elif found.size > stated.size:
            yield _problem(path, f"grown: {found.size} bytes in {found.lines} lines, not {stated.size}")
        else:
            yield _problem(path, "its content is not what was sealed: the same size, another digest")
