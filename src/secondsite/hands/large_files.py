"""Large files to and from a host: each through an SSH connection of its own, never all in memory at once."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ..errors import ActionTimeout, Unreachable
from .processes import plain, scrubbed_environment

_LOST = 255  # what ssh itself ends with, see ssh(1)


def send_file(config: Path, host: str, argv: Sequence[str], *, content: Path | None, within_s: float) -> str:
    """Run a command on a host with a file as its input (nothing at all with None), and return what it printed.

    Raises:
        Unreachable: it could not be run, or did not end well.
        ActionTimeout: it did not end in time; what it did is not known.
    """
    return _run(config, host, argv, content=content, into=None, within_s=within_s).decode(errors="replace")


def fetch_file(config: Path, host: str, path: str, *, into: Path, within_s: float) -> None:
    """Copy a file that root can read on a host. What came of one that did not come to its end is taken away.

    Raises:
        Unreachable: the host can't be reached, or has no such file.
        ActionTimeout: it did not come in time.
    """
    into.parent.mkdir(parents=True, exist_ok=True)
    try:
        _run(config, host, ["sudo", "-n", "--", "cat", "--", path], content=None, into=into, within_s=within_s)
    except BaseException:
        into.unlink(missing_ok=True)
        raise


def _run(
    config: Path, host: str, argv: Sequence[str], *, content: Path | None, into: Path | None, within_s: float
) -> bytes:
    with (content or Path(os.devnull)).open("rb") as given, (into or Path(os.devnull)).open("wb") as out:
        try:
            ended = subprocess.run(
                ["ssh", "-F", str(config), "--", host, shlex.join(argv)],
                stdin=given,
                stdout=subprocess.PIPE if into is None else out,
                stderr=subprocess.PIPE,
                env=scrubbed_environment(),
                check=False,
                timeout=within_s,
            )
        except subprocess.TimeoutExpired as error:
            raise ActionTimeout(f"{host}: a file did not come or go in {within_s:.0f} s") from error
    if ended.returncode != 0:
        words = plain(" ".join(ended.stderr.decode(errors="replace").split()))[-200:] or "it gave no reason"
        lost = "connection lost: " if ended.returncode == _LOST else ""
        raise Unreachable(f"{host}: {lost}{words}", not_done="no file came or went whole")
    return ended.stdout or b""
