"""Get a script onto a host, and say how to start it there."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from importlib import resources

from ..run.ports import Hands

APPROVED = "/usr/local/lib/secondsite/scripts"
_PLACE = "/run/secondsite"
NOT_SHIPPED = 2  # Python's own, when it can't open its script
_TIMEOUT = dt.timedelta(seconds=10)


def scripts() -> Mapping[str, str]:
    """Return every script there is, by a name that tells its content. Role ``access`` lays them on hosts."""
    folder = resources.files(f"{__package__}.remote")
    found = (entry for entry in folder.iterdir() if entry.name.endswith(".py") and not entry.name.startswith("_"))
    sources = {entry.name.removesuffix(".py"): entry.read_text(encoding="utf-8") for entry in found}
    return {_file_name(name, source): source for name, source in sorted(sources.items())}


def ship(hands: Hands, host: str, script: str, *words: str, user: str = "root") -> list[str]:
    """Return the command that runs ``remote/<script>.py`` on the host as ``user``.

    Where this very script is approved already, nothing is copied, and an identity that may run approved scripts and
    nothing else can use it. Elsewhere it is copied into memory, which needs full rights.

    Raises:
        Unreachable, ActionTimeout, ActionError: it could not be copied; nothing was run.
    """
    source = resources.files(f"{__package__}.remote").joinpath(f"{script}.py").read_text(encoding="utf-8")
    name = _file_name(script, source)
    path = f"{APPROVED}/{name}"
    if hands.run(host, ["test", "-r", path], timeout=_TIMEOUT, accept=(0, 1)).exit_code != 0:
        path = _copied(hands, host, name, source)
    return ["sudo", "-n", "-u", user, "--", "/usr/bin/python3", "-I", "-u", path, *words]


def _copied(hands: Hands, host: str, name: str, source: str) -> str:
    path = f"{_PLACE}/{name}"
    write = ["sudo", "-n", "tee", "--", path]
    if hands.run(host, write, stdin=source, timeout=_TIMEOUT, accept=(0, 1)).exit_code != 0:
        hands.run(host, ["sudo", "-n", "mkdir", "-p", "-m", "0755", "--", _PLACE], timeout=_TIMEOUT)
        hands.run(host, write, stdin=source, timeout=_TIMEOUT)
    return path


def _file_name(script: str, source: str) -> str:
    return f"{script}-{hashlib.sha256(source.encode()).hexdigest()[:12]}.py"
