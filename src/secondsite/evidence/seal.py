"""Sealing: copy what a run left into a bundle, list it, sign the list, pack it."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..errors import EvidenceError
from .canonical import canonical
from .load import DEFAULT_THRESHOLD
from .manifest import ENVELOPE, KEYS, MANIFEST, RESULT, to_bytes
from .sign import STATEMENT_TYPE, Identity, sign_bytes
from .verify import recompute_document, statement_for

KEPT_OUT = "secrets"
SEALED = ("records", "plan.json", "files", "estate", "standing-order.json")


def collect(run: Path, names: Iterable[str] = SEALED) -> dict[str, bytes]:
    """Return the files of a run folder that are evidence; ``names`` are files or folders, and may be missing.

    Folders called ``secrets`` are left out, also encrypted ones: a bundle goes to outsiders.

    Raises:
        EvidenceError: there is a link or a device among them, or no ``records`` folder.
    """
    if not (run / "records").is_dir():
        raise EvidenceError(f"{run}: there is no records folder", not_done="nothing was sealed")
    files: dict[str, bytes] = {}
    for name in names:
        top = run / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if KEPT_OUT in path.relative_to(run).parts:
                continue
            if path.is_symlink():
                raise EvidenceError(f"{path}: a link can't be sealed", not_done="nothing was sealed")
            if path.is_file():
                files[path.relative_to(run).as_posix()] = path.read_bytes()
    return files


def _pretty(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def sealed_files(files: Mapping[str, bytes], identities: Sequence[Identity]) -> dict[str, bytes]:
    """Return the files with result, manifest, signed envelope and public keys added.

    The result is recomputed here from the records: nobody can state another one.
    """
    if taken := sorted({RESULT, KEYS, MANIFEST, ENVELOPE} & set(files)):
        raise EvidenceError(f"the names {', '.join(taken)} are the seal's own", not_done="nothing was sealed")
    document = recompute_document(files)
    drill, verdict = str(document["drill"]), str(document["verdict"])
    result = _pretty(document)
    keys = [{"name": key.name, "public": key.public} for key in (identity.public_key for identity in identities)]
    threshold = min(DEFAULT_THRESHOLD, len(keys))
    public = _pretty({"schema_version": 1, "threshold": threshold, "keys": keys})
    whole = {**files, RESULT: result, KEYS: public}
    manifest = to_bytes(whole, drill=drill)
    statement = statement_for(manifest, result, drill=drill, verdict=verdict)
    envelope = canonical(sign_bytes(statement, identities, payload_type=STATEMENT_TYPE))
    return {**whole, MANIFEST: manifest, ENVELOPE: envelope}


def pack(files: Mapping[str, bytes], *, name: str) -> bytes:
    """Return a .tar.gz with one folder; the same files give the same bytes."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(files):
            member = tarfile.TarInfo(f"{name}/{path}")
            member.size, member.mode = len(files[path]), 0o644
            archive.addfile(member, io.BytesIO(files[path]))
    return gzip.compress(raw.getvalue(), mtime=0)


def seal(run: Path, identities: Sequence[Identity], *, names: Iterable[str] = SEALED) -> Path:
    """Seal a run folder: write ``evidence/`` and ``evidence.tar.gz`` into it and return the archive's path.

    Raises:
        EvidenceError: it was sealed before, holds no records, or two identities share a key.
    """
    folder, archive = run / "evidence", run / "evidence.tar.gz"
    if folder.exists() or archive.exists():
        raise EvidenceError(f"{run}: is sealed already", not_done="nothing was changed")
    files = sealed_files(collect(run, names), identities)
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    archive.write_bytes(pack(files, name=run.name))
    return archive
