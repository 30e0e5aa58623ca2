"""Get a script onto a host, and say how to start it there."""

from __future__ import annotations

import datetime as dt
import hashlib
from importlib import resources

from ..run.ports import Hands

_PLACE = "/run/secondsite"
NOT_SHIPPED = 2  # Python's own, when it can't open its script
_TIMEOUT = dt.timedelta(seconds=10)


def ship(hands: Hands, host: str, script: str, *words: str, user: str = "root") -> list[str]:
    """Copy ``remote/<script>.py`` to the host and return the command that runs it as ``user``.

    The copy lies in memory only, under a name that tells its content.

    Raises:
        Unreachable, ActionTimeout, ActionError: it could not be copied; nothing was run.
    """
    source, path = _source(script), _path(script)
    write = ["sudo", "-n", "tee", "--", path]
    if hands.run(host, write, stdin=source, timeout=_TIMEOUT, accept=(0, 1)).exit_code != 0:
        hands.run(host, ["sudo", "-n", "mkdir", "-p", "-m", "0755", "--", _PLACE], timeout=_TIMEOUT)
        hands.run(host, write, stdin=source, timeout=_TIMEOUT)
    return command_for(script, *words, user=user)


def command_for(script: str, *words: str, user: str = "root") -> list[str]:
    """Return the command that runs a shipped script; it ends with ``NOT_SHIPPED`` where the script is not there."""
    return ["sudo", "-n", "-u", user, "--", "/usr/bin/python3", "-I", "-u", _path(script), *words]


def _path(script: str) -> str:
    return f"{_PLACE}/{script}-{hashlib.sha256(_source(script).encode()).hexdigest()[:12]}.py"


def _source(script: str) -> str:
    return resources.files(f"{__package__}.remote").joinpath(f"{script}.py").read_text()
