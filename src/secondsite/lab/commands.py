"""Running the machine's own programs: argument lists, a time limit, an exit code that is looked at."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from ..errors import ActionError, ActionTimeout, Effect, UsageError

_NEXT = "secondsite lab down"


def run(argv: Sequence[str], *, stdin: str = "", timeout_s: float = 30.0) -> str:
    """Run a program and return what it printed.

    Raises:
        UsageError: the machine does not have it.
        ActionError: it ended with another code than 0; what it said is told.
        ActionTimeout: it did not end in time and was ended.
    """
    try:
        result = subprocess.run(
            argv, input=stdin, capture_output=True, text=True, errors="replace", timeout=timeout_s, check=False
        )
    except FileNotFoundError as error:
        raise UsageError(f"this machine lacks the program {argv[0]}", next_step="secondsite lab up names it") from error
    except subprocess.TimeoutExpired as error:
        raise ActionTimeout(f"{' '.join(argv)}: did not end in {timeout_s:.0f} s", next_step=_NEXT) from error
    if result.returncode != 0:
        reason = " ".join(result.stderr.split())[:500] or f"exit code {result.returncode}"
        raise ActionError(f"{' '.join(argv)}: {reason}", effect=Effect.UNKNOWN, next_step=_NEXT)
    return result.stdout
