"""Get a script onto a host, and say how to start it there."""

from __future__ import annotations

import datetime as dt
import hashlib
from importlib import resources

from ..run.ports import Hands

_PLACE = "/run/secondsite"
_TIMEOUT = dt.timedelta(seconds=10)


def ship(hands: Hands, host: str, script: str, *words: str, user: str = "root") -> list[str]:
    """Copy ``remote/<script>.py`` to the host and return the command that runs it as ``user``.

    The copy lies in memory only, under a name that tells its content.

    Raises:
        Unreachable, ActionTimeout, ActionError: it could not be copied; nothing was run.
    """
    source = resources.files(f"{__package__}.remote").joinpath(f"{script}.py").read_text()
    path = f"{_PLACE}/{script}-{hashlib.sha256(source.encode()).hexdigest()[:12]}.py"
    write = ["sudo", "-n", "tee", "--", path]
    if hands.run(host, write, stdin=source, timeout=_TIMEOUT, accept=(0, 1)).exit_code != 0:
        hands.run(host, ["sudo", "-n", "mkdir", "-p", "-m", "0755", "--", _PLACE], timeout=_TIMEOUT)
        hands.run(host, write, stdin=source, timeout=_TIMEOUT)
    return ["sudo", "-n", "-u", user, "--", "/usr/bin/python3", "-I", "-u", path, *words]
