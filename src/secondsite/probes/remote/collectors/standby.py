"""Copies of a controller's state that a host keeps: whether another controller could go on from them."""

from __future__ import annotations

import json
import os
import stat
import zlib
from typing import Any

from .common import Settings

PLACE = "/var/lib/secondsite-standby"
KIT_PLACE = "/var/lib/secondsite-kit"
_KIT, _KIT_NOTE = "kit.tar", "kit.json"
_JOURNAL = "journal.sqlite"
_MOST = 20
_SEALED = "secrets/"
# How a private key begins, whatever it is for; a copy holds none.
_KEYS = (b"AGE-SECRET-KEY-1", b"PRIVATE KEY-----")
_LARGEST_KEY = 1 << 16


def standby(settings: Settings) -> dict[str, dict[str, Any]]:  # noqa: ARG001  every host keeps them at one place
    """Return by file name what is kept: the newest run in it, whether it is whole, and who may read it."""
    if not os.path.isdir(PLACE):  # noqa: PTH112  see files.py
        return {}
    names = sorted(name for name in os.listdir(PLACE) if not name.startswith("."))[:_MOST]  # noqa: PTH208
    return {name: _described(f"{PLACE}/{name}") for name in names}


def _described(path: str) -> dict[str, Any]:
    about = os.lstat(path)
    told: dict[str, Any] = {"newest": "", "journal": False, "made": about.st_mtime, "sealed": [], "clear": []}
    told["private"] = not about.st_mode & 0o077
    if not stat.S_ISREG(about.st_mode):
        return {**told, "trouble": "it is no file"}
    import tarfile  # noqa: PLC0415  only a few hosts keep copies

    try:
        with tarfile.open(path, mode="r:gz") as archive:
            names, clear = _read(archive)
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        return {**told, "trouble": f"it can't be read: {error}"[:200]}
    runs = [name.split("/")[1] for name in names if name.startswith("runs/") and name.endswith("/plan.json")]
    sealed = [name[len(_SEALED) : -4] for name in names if name.startswith(_SEALED) and name.endswith(".age")]
    told |= {"newest": max(runs, default=""), "journal": _JOURNAL in names, "sealed": sealed, "clear": clear}
    return {**told, "trouble": ""}


def _read(archive: Any) -> tuple[list[str], list[str]]:
    """Return the names of all that is in a copy, and of what holds a private key as it is."""
    names, clear = [], []
    for member in archive:
        names.append(member.name)
        if member.isfile() and member.size <= _LARGEST_KEY:
            content = archive.extractfile(member).read()
            if any(key in content for key in _KEYS):
                clear.append(member.name)
    return names, clear[:_MOST]


def kit(settings: Settings) -> dict[str, Any]:  # noqa: ARG001  as above
    """Return what is noted of the kit that lies here, and the digest that it really has; nothing without one."""
    import hashlib  # noqa: PLC0415  as above

    path = f"{KIT_PLACE}/{_KIT}"
    if not os.path.isfile(path):  # noqa: PTH113  see files.py
        return {}
    about = os.lstat(path)
    with open(path, "rb") as stream:  # noqa: PTH123  as above
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    try:
        with open(f"{KIT_PLACE}/{_KIT_NOTE}", encoding="utf-8") as note:  # noqa: PTH123  as above
            noted = json.load(note)
    except (OSError, ValueError) as error:
        noted = {"trouble": str(error)[:200]}
    return {"noted": noted, "sha256": digest, "private": not about.st_mode & 0o077}


SECTIONS = {"standby": standby, "kit": kit}
