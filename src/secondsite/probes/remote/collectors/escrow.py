"""The packages of escrow that a host keeps, as digests: nothing is opened, and nothing here could open it."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from typing import Any

from .common import Settings
from .standby import PLACE

_SUFFIX = ".escrow"
_LARGEST = 1 << 18
_MOST = 400


def escrow(settings: Settings) -> dict[str, dict[str, Any]]:  # noqa: ARG001  every host keeps them at one place
    """Return by folder name what is kept: each file's digest, what manifest and last opening say, who may read."""
    if not os.path.isdir(PLACE):  # noqa: PTH112  see files.py
        return {}
    names = sorted(name for name in os.listdir(PLACE) if name.endswith(_SUFFIX) and not name.startswith("."))  # noqa: PTH208
    return {name: _described(f"{PLACE}/{name}") for name in names[:_MOST]}


def _described(folder: str) -> dict[str, Any]:
    about = os.lstat(folder)
    if not stat.S_ISDIR(about.st_mode):
        return {"private": False, "files": {}, "manifest": None, "opened": None, "trouble": "it is no folder"}
    private, files, texts = not about.st_mode & 0o077, {}, {}
    for name in sorted(os.listdir(folder))[:_MOST]:  # noqa: PTH208
        path = f"{folder}/{name}"
        about = os.lstat(path)
        if not stat.S_ISREG(about.st_mode) or about.st_size > _LARGEST:
            files[name] = ""
            continue
        private = private and not about.st_mode & 0o077
        with open(path, "rb") as file:  # noqa: PTH123
            content = file.read()
        files[name] = hashlib.sha256(content).hexdigest()
        if name.endswith(".json"):
            texts[name] = content
    told = {name: _read(texts.get(name)) for name in ("manifest.json", "opened.json")}
    return {
        "private": private,
        "files": files,
        "manifest": told["manifest.json"],
        "opened": told["opened.json"],
        "trouble": "",
    }


def _read(content: bytes | None) -> Any:
    """Return what a file says; None where it is not there or says nothing."""
    try:
        return None if content is None else json.loads(content)
    except ValueError:
        return None


SECTIONS = {"escrow": escrow}
