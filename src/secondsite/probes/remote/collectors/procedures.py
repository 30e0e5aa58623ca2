"""The procedures for persons that a host keeps, as digests."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import Any

from .common import Settings

PLACE = "/srv/runbooks"
PRINTED = "Printed on"
_LARGEST = 4 << 20
_MOST = 100


def digest_of(text: str) -> str:
    """Return the digest of a page without the line that says when it was printed."""
    lines = [line for line in text.splitlines() if not line.startswith(PRINTED)]
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def procedures(settings: Settings) -> dict[str, dict[str, Any]]:  # noqa: ARG001  every host keeps them at one place
    """Return by file name what is kept: its digest, when it says it was printed, and whether everybody may read."""
    if not os.path.isdir(PLACE):  # noqa: PTH112  see files.py
        return {}
    names = sorted(name for name in os.listdir(PLACE) if not name.startswith("."))[:_MOST]  # noqa: PTH208
    return {name: _described(f"{PLACE}/{name}") for name in names}


def _described(path: str) -> dict[str, Any]:
    about = os.lstat(path)
    if not stat.S_ISREG(about.st_mode) or about.st_size > _LARGEST:
        return {"digest": "", "printed": "", "readable": False}
    with open(path, encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123
        text = file.read()
    printed = next((line for line in text.splitlines() if line.startswith(PRINTED)), "")
    return {"digest": digest_of(text), "printed": printed[:80], "readable": bool(about.st_mode & stat.S_IROTH)}


SECTIONS = {"procedures": procedures}
