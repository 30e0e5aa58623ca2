"""Configuration and own programs as digests, with what differs between twins by declaration put aside."""

from __future__ import annotations

import base64
import grp
import hashlib
import os
import pwd
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .common import Names, Settings

_TREES = ("/etc", "/usr/local")
_LARGEST = 2 << 20
# What is a host's own by its nature, or made on the host from what is compared anyway (a unit's enablement among it).
_OWN_PATTERNS = (
    r"/etc/(machine-id|hostname|adjtime|mtab|ld\.so\.cache|\.pwd\.lock|\.updated|udev/hwdb\.bin)",
    r"/etc/(passwd|group|shadow|gshadow|subuid|subgid)-?",
    r"/etc/ssh/ssh_host_.*",
    r"/etc/ssh/secondsite/(user_ca\.pub|first-contact)",
    r"/etc/ssl/(certs|private)/.*",
    r"/etc/secondsite/(tls/host\.|ca/).*",
    r"/etc/.*\.key",
    r"/etc/systemd/system/[^/]+\.(wants|requires)/.*",
    r"/etc/rc[0-9S]\.d/.*",
    r"/etc/python3[^/]*/.*",
    r"/etc/apparmor\.d/.*",
    r"/etc/.*(\.dpkg-(old|dist|new)|~)",
    r"/usr/local/.*(__pycache__/.*|\.pyc)",
)
_OWN = re.compile(rf"(?:{'|'.join(_OWN_PATTERNS)})\Z")
# A key of 32 bytes in base64 is a host's own wherever it stands; that there is one still counts.
_KEY = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{43}=")
_KEY_LETTERS = 43
_THERE = re.compile(r"\{there[^}]*\}")


def files(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return every file's digests, owner and mode. A link's target is its content.

    ``strict`` is over the text as it stands; ``loose`` over its words in any order, for lists that name both sites in
    the order of their names; ``there`` are the names of the other datacenter in it.
    """
    names = Names(settings)
    return {path: described(path, names) for tree in _TREES for path in _below(tree) if not _OWN.match(path)}


def _below(tree: str) -> Iterator[str]:
    for folder, folders, inside in os.walk(tree):
        folders[:] = [one for one in folders if not _OWN.match(f"{folder}/{one}/")]
        links = [one for one in folders if Path(folder, one).is_symlink()]
        yield from (f"{folder}/{one}" for one in (*inside, *links))


def described(path: str, names: Names) -> dict[str, Any]:
    """Return what is compared of one file."""
    about = os.lstat(path)
    if stat.S_ISLNK(about.st_mode):
        return {"strict": _digest(names.neutral(str(Path(path).readlink()))), "mode": "link"}
    mode = f"{stat.S_IMODE(about.st_mode):04o} {_user(about.st_uid)}:{_group(about.st_gid)}"
    if not stat.S_ISREG(about.st_mode) or about.st_size > _LARGEST:
        return {"strict": f"size {about.st_size}", "mode": mode}
    text = names.neutral(Path(path).read_text(errors="surrogateescape"))
    if _holds_a_key(text):
        text = _KEY.sub("{key}", text)
    found: dict[str, Any] = {"strict": _digest(text), "mode": mode}
    if "{there" in text or "{here" in text:
        found["loose"] = _digest(" ".join(sorted(re.findall(r"[^\s,;\"'\[\]]+", text))))
        found["there"] = sorted(_THERE.findall(text))
    return found


def _holds_a_key(text: str) -> bool:
    """Say whether the pattern would find a key. Looked for at each equals sign: that is ten times as fast."""
    at = text.find("=", _KEY_LETTERS)
    while at != -1:
        if _KEY.match(text, at - _KEY_LETTERS):
            return True
        at = text.find("=", at + 1)
    return False


def _digest(text: str) -> str:
    raw = hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=9).digest()
    return base64.b64encode(raw).decode("ascii")


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


SECTIONS = {"files": files}
