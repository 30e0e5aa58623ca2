"""Whether somebody looks for trouble on this host, whether pages wait here, and who was heard."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from .common import Settings, Unreadable

_RUN = Path("/run/secondsite-pager")


def pager(_: Settings, run: Path = _RUN) -> dict[str, Any]:
    """Return how long ago this host was looked at and told of, by a clock that nobody sets; None for never.

    Then how many pages wait to be sent and since when, why, and how long each other host was not heard.
    """
    look, tell = _read(run / "look.json"), _read(run / "tell.json")
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    since = tell["waiting_since"] if tell else None
    return {
        "looked_ago": now - look["at"] if look else None,
        "told_ago": now - tell["at"] if tell else None,
        "waiting": tell["waiting"] if tell else None,
        "waiting_for": None if since is None else time.time() - since,
        "failing": tell["failing"] if tell else {},
        "ages": tell["ages"] if tell else {},
    }


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise Unreadable(f"{path} can't be read: {error}") from error


SECTIONS = {"pager": pager}
