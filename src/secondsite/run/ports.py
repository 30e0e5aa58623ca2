"""What the run room needs from outside."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """What a remote command left: its exit code and its output, each cut at a stated size."""

    exit_code: int
    stdout: str
    stderr: str
    truncated: bool = False


class Hands(Protocol):
    """Remote commands over connections that stay open."""

    def open(self, hosts: Sequence[str]) -> Mapping[str, str]:
        """Connect to each host in parallel; return the reason for each one that can't be reached."""
        ...

    def run(
        self, host: str, argv: Sequence[str], *, timeout: dt.timedelta, stdin: str = "", accept: Sequence[int] = (0,)
    ) -> CommandResult:
        """Run one command.

        Raises:
            Unreachable: no connection could be made, so nothing was run.
            ActionTimeout: it was started and no answer came; the effect is unknown.
            ActionError: the exit code is not in ``accept``.
        """
        ...

    def stream(self, host: str, argv: Sequence[str], *, stdin: str, on_line: Callable[[str], None]) -> Stream:
        """Start a long command whose output lines are handed over as they come."""
        ...


class Stream(Protocol):
    """A remote command that is still running."""

    def stop(self) -> None:
        """End it and wait until its last line was handed over."""
        ...

    def alive(self) -> bool:
        """Say whether it is still running and connected."""
        ...
