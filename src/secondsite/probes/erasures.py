"""Ask every database and every store what it still has of whoever was erased: reading only."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..checks.model import Section
from ..errors import SecondsiteError
from ..estate.model import Estate, HostName
from ..run.ports import Hands

_TIMEOUT = dt.timedelta(seconds=40)
_ASKED = {
    "database": ("sudo", "-n", "/usr/local/sbin/accountctl", "audit"),
    "store": ("sudo", "-n", "/usr/local/bin/storectl", "erased"),
}


def audited(hands: Hands, estate: Estate) -> Section:
    """Return what each of them told, by the host's name; ``trouble`` in its place says why it told nothing."""
    asked = {
        host.name: argv for host in estate.hosts.values() for group, argv in _ASKED.items() if group in host.groups
    }

    def ask(name: HostName) -> Mapping[str, Any]:
        try:
            ended = hands.run(name, list(asked[name]), timeout=_TIMEOUT, accept=(0, 1, 3, 4))
            if ended.exit_code != 0:
                return {"trouble": " ".join((ended.stderr or ended.stdout).split())[-300:] or "it did not say why"}
            told: dict[str, Any] = json.loads(ended.stdout)
        except (SecondsiteError, ValueError, TypeError) as error:
            return {"trouble": str(error)[:300]}
        return {**told, "trouble": ""}

    with ThreadPoolExecutor(max_workers=max(1, len(asked))) as pool:
        return Section(value=dict(zip(asked, pool.map(ask, asked), strict=True)))
