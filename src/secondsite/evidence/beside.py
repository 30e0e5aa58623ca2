"""Assessments on disk: beside the bundle, never in it, and never one over another."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import EvidenceError, UsageError

LARGEST = 4 << 20
MOST = 100


def path_beside(bundle: Path, assessor: str) -> Path:
    """Return where somebody's assessment of a bundle lies: the folder and the archive of one bundle share it."""
    bundle = bundle.resolve()
    return bundle.with_name(f"{_prefix(bundle)}{assessor}.json")


def load_assessments(bundle: Path) -> Mapping[str, bytes]:
    """Return every assessment beside a bundle, by file name.

    Raises:
        EvidenceError: one can't be read, is a link or too large, or there are too many.
    """
    bundle = bundle.resolve()
    found = sorted(
        path for path in bundle.parent.iterdir() if path.name.startswith(_prefix(bundle)) and path.suffix == ".json"
    )
    if len(found) > MOST:
        raise EvidenceError(f"{bundle.parent}: more than {MOST} assessments", not_done="none was verified")
    return {path.name: _read(path) for path in found}


def keep_assessment(bundle: Path, assessor: str, content: bytes) -> Path:
    """Write an assessment beside its bundle, whole or not at all, and return where.

    Raises:
        UsageError: this person's is there already, or it can't be written; what is there stays.
    """
    path = path_beside(bundle, assessor)
    try:
        with _partial(path.parent, content) as partial:
            os.link(partial, path)  # unlike a rename it fails where something is
    except FileExistsError as error:
        raise UsageError(
            f"{path} is there already: an assessment is not written over",
            not_done="nothing was written",
            next_step="to give another one, move that one away, where whoever keeps the evidence sees it",
        ) from error
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror}", not_done="nothing was written") from error
    return path


@contextlib.contextmanager
def _partial(folder: Path, content: bytes) -> Iterator[Path]:
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".assessment-") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        Path(file.name).chmod(0o644)
        yield Path(file.name)


def _prefix(bundle: Path) -> str:
    return f"{bundle.name.removesuffix('.tar.gz')}.assessment-"


def _read(path: Path) -> bytes:
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST:
            raise EvidenceError(f"{path}: an assessment is a plain file of at most {LARGEST} bytes")
        return path.read_bytes()
    except OSError as error:
        raise EvidenceError(f"{path}: can't be read ({error})") from error
