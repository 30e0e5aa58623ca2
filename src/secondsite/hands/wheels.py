"""Every package that the locks name, as files: gathered once with pip, to be kept for a day without an index."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import ActionError, Effect
from .processes import plain, run_process

_WHEELS = "wheels"
_TIMEOUT_S = 240.0


def gathered_wheels(locks: Sequence[Path], *, cache: Path, environment: Mapping[str, str]) -> Path:
    """Return the folder with every package of the locks for this machine's Python, fetched now if it is not there.

    Pip compares each with the digest in its lock, and takes ready-made packages only. ``environment`` tells it where
    its index is.

    Raises:
        ActionError: they can't be had; nothing half-gathered is left under that name.
    """
    tag = f"{sys.implementation.cache_tag}\0" + "\0".join(lock.read_text(encoding="utf-8") for lock in locks)
    there = cache / _WHEELS / hashlib.sha256(tag.encode()).hexdigest()[:16]
    if there.is_dir():
        return there
    part = there.with_name(f".{there.name}.{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        for lock in locks:
            _fetch(lock, part, environment)
        part.rename(there)
    except OSError as error:
        if not there.is_dir():  # else another one gathered them meanwhile
            raise ActionError(f"the packages can't be kept in {there}: {error}", effect=Effect.NONE) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return there


def _fetch(lock: Path, into: Path, environment: Mapping[str, str]) -> None:
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    argv += ["--only-binary=:all:", "--require-hashes", "--dest", str(into), "--requirement", str(lock)]
    ended = run_process(argv, timeout_s=_TIMEOUT_S, environment=environment)
    if ended.exit_code != 0:
        said = plain(ended.stderr, limit=4000).strip().splitlines()
        raise ActionError(
            f"the packages of {lock.name} can't be fetched: {said[-1] if said else 'pip gave no reason'}"[:300],
            effect=Effect.NONE,
            next_step="is the package index reachable, and pip there (python -m ensurepip)? Then provision again",
        )
