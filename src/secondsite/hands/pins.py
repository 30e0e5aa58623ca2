"""Host keys that somebody obtained out of band, read from a file as OpenSSH writes it. None is ever learned here."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError, Problem
from ..estate.model import Host

KEY_TYPE = "ssh-ed25519"
_HASHED = "|1|"
_LARGEST = 4 << 20
_MISSING = f"no {KEY_TYPE} key is pinned there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """The keys a file holds for hosts: one line ``type key`` by management address, and what is wrong by host name.

    ``by_name`` are the hosts that it knows by their name only, not by their address.
    """

    keys: Mapping[str, str]
    problems: Mapping[str, str]
    by_name: frozenset[str] = frozenset()

    def lacks(self, host: Host, *, known: Mapping[str, str]) -> bool:
        """Say whether a host can't be believed: its key is doubtful here, or is neither here nor known already."""
        what = self.problems.get(host.name)
        return what is not None and not (what == _MISSING and str(host.management) in known)


def how_to_pin(host: Host, path: Path) -> str:
    """Return how a person pins a host's key without believing the network."""
    return f"ssh-keyscan -t ed25519 {host.management} >>{path}, then compare `ssh-keygen -lf {path}` with its console"


def read_pins(path: Path, hosts: Sequence[Host]) -> Pinned:
    """Find each host's key by its management address, else by its name. A file that is not there holds none.

    Raises:
        ConfigError: the file can't be read.
    """
    lines = list(_lines(path))
    keys: dict[str, str] = {}
    problems: dict[str, str] = {}
    by_name: set[str] = set()
    for host in hosts:
        found = _found(lines, str(host.management))
        if not found:
            found = _found(lines, str(host.name))
            by_name |= {str(host.name)} if found else set()
        if "" in found:
            problems[host.name] = "its key is revoked there"
        elif len(found) > 1:
            problems[host.name] = f"{len(found)} different {KEY_TYPE} keys are pinned there"
        elif found:
            keys[str(host.management)] = found[0]
        else:
            problems[host.name] = _MISSING
    return Pinned(keys=keys, problems=problems, by_name=frozenset(by_name))


def require_pinned(pinned: Pinned, hosts: Sequence[Host], path: Path) -> None:
    """Refuse when a host's key is not known, and say how to pin it.

    Raises:
        ConfigError: naming every such host.
    """
    problems = [
        Problem(file=str(path), line=None, pointer=f"/{host.name}", what=what, hint=how_to_pin(host, path))
        for host in hosts
        if (what := pinned.problems.get(host.name))
    ]
    if problems:
        raise ConfigError(problems, not_done="no host was contacted: a host's key is never learned from the network")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    names: str
    key: str
    revoked: bool

    def is_about(self, name: str) -> bool:
        return any(_matches(pattern, name) for pattern in self.names.split(","))


def _found(lines: Sequence[_Line], name: str) -> list[str]:
    """Return the different keys of a name; an empty one stands for a revoked key."""
    return list(dict.fromkeys("" if line.revoked else line.key for line in lines if line.is_about(name)))


def _lines(path: Path) -> Iterator[_Line]:
    try:
        text = path.read_bytes()[:_LARGEST].decode("ascii", errors="replace")
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError([Problem(file=str(path), line=None, pointer="", what=str(error.strerror))]) from error
    for line in text.splitlines():
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        match words:
            case [names, kind, key, *_] if kind == KEY_TYPE and marker in ("", "@revoked"):
                yield _Line(names=names, key=f"{kind} {key}", revoked=bool(marker))
            case _:
                continue


def _matches(pattern: str, name: str) -> bool:
    """Compare a plain or hashed name; patterns with wildcards pin nobody in particular."""
    if not pattern.startswith(_HASHED):
        return pattern == name
    try:
        salt, hashed = (base64.b64decode(part, validate=True) for part in pattern.removeprefix(_HASHED).split("|"))
    except (ValueError, binascii.Error):
        return False
    return hmac.compare_digest(hmac.new(salt, name.encode(), hashlib.sha1).digest(), hashed)
