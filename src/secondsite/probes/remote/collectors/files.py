"""Configuration and own programs as digests, with what differs between twins by declaration put aside."""

from __future__ import annotations

import base64
import functools
import grp
import hashlib
import os
import pwd
import re
import stat
from collections.abc import Iterator
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
    r"/etc/secondsite/(tls/host\.|ca/|host\.json).*",
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
        links = [one for one in folders if os.path.islink(f"{folder}/{one}")]  # noqa: PTH114  see _content
        yield from (f"{folder}/{one}" for one in (*inside, *links))


def described(path: str, names: Names) -> dict[str, Any]:
    """Return what is compared of one file."""
    about = os.lstat(path)
    if stat.S_ISLNK(about.st_mode):
        return {"strict": _digest(names.neutral(os.readlink(path))), "mode": "link"}  # noqa: PTH115  see _content
    mode = f"{stat.S_IMODE(about.st_mode):04o} {_user(about.st_uid)}:{_group(about.st_gid)}"
    if not stat.S_ISREG(about.st_mode) or about.st_size > _LARGEST:
        return {"strict": f"size {about.st_size}", "mode": mode}
    raw = _content(path)
    if not names.concern(raw) and b"=" not in raw:
        return {"strict": _digest_of(raw), "mode": mode}
    text = names.neutral(raw.decode(errors="surrogateescape"))
    if _holds_a_key(text):
        text = _KEY.sub("{key}", text)
    found: dict[str, Any] = {"strict": _digest(text), "mode": mode}
    if "{there" in text or "{here" in text:
        found["loose"] = _digest(" ".join(sorted(re.findall(r"[^\s,;\"'\[\]]+", text))))
        found["there"] = sorted(_THERE.findall(text))
    return found


def _content(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  a thousand files: what pathlib costs is felt here
        return file.read()


def _holds_a_key(text: str) -> bool:
    """Say whether the pattern would find a key. Looked for at each equals sign: that is ten times as fast."""
    at = text.find("=", _KEY_LETTERS)
    while at != -1:
        if _KEY.match(text, at - _KEY_LETTERS):
            return True
        at = text.find("=", at + 1)
    return False


def _digest(text: str) -> str:
    return _digest_of(text.encode(errors="surrogateescape"))


def _digest_of(raw: bytes) -> str:
    return base64.b64encode(hashlib.blake2b(raw, digest_size=9).digest()).decode("ascii")


@functools.cache
def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@functools.cache
def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


SECTIONS = {"files": files}
