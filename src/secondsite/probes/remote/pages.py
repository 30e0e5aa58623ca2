"""Ask a host for a test page, or wait where pages arrive: one file of plain Python, run on the host as root.

The order is JSON on standard input, the answer JSON on standard output. Test pages that are found are removed, and so
are those that came when nobody waited for them any more: a person's mailbox is no place for them.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ASKED = Path("/run/secondsite-pager/asked")
RECEIVED = Path("/var/lib/secondsite-pager/received")
MAILBOXES = Path("/var/lib/mailbox/persons")
_PAGE = re.compile(rb"^X-Secondsite-Page: (test-[a-z0-9-]{1,90})\r?$", re.MULTILINE)
_HEADERS = 4096
_STALE_S = 600.0
_AGAIN_S = 0.2


def ask(page: str) -> dict[str, bool]:
    """Have the pager of this host send a test page; one that does not run, or never ran, is not asked."""
    if not ASKED.is_dir():
        return {"asked": False}
    part = ASKED / f".{page}"
    part.touch()
    owner = pwd.getpwnam("pager")
    os.chown(part, owner.pw_uid, owner.pw_gid)
    part.replace(ASKED / page)
    return {"asked": True}


def received(waited: set[str]) -> Iterator[tuple[str, float]]:
    """Yield each page of these that the webhook's receiver keeps here, and when it came."""
    for path in RECEIVED.glob("test-*.json"):
        if found := _taken(path, path.stem, waited):
            yield found


def mailed(person: str, waited: set[str]) -> Iterator[tuple[str, float]]:
    """Yield each page of these that lies in a person's mailbox, and when it came."""
    folder = MAILBOXES / person / "new"
    for path in folder.iterdir() if folder.is_dir() else ():
        with path.open("rb") as file:
            named = _PAGE.search(file.read(_HEADERS))
        if named and (found := _taken(path, named[1].decode("ascii"), waited)):
            yield found


def _taken(path: Path, page: str, waited: set[str]) -> tuple[str, float] | None:
    """Take a test page away, and return it if it is waited for; others' are left as long as somebody may wait."""
    with contextlib.suppress(FileNotFoundError):  # another check took it
        at = path.stat().st_mtime
        if page in waited or time.time() - at > _STALE_S:
            path.unlink()
        return (page, at) if page in waited else None
    return None


def arrivals(waited: set[str], persons: list[str], *, webhook: bool, within_s: float) -> dict[str, dict[str, float]]:
    """Return by place when each page came there: ``webhook`` or a person's mailbox. Wait for those that did not yet."""
    found: dict[str, dict[str, float]] = {place: {} for place in (["webhook"] if webhook else []) + persons}
    until = time.monotonic() + within_s
    while True:
        for place, came in found.items():
            missing = waited - came.keys()
            came.update(received(missing) if place == "webhook" else mailed(place, missing))
        if all(waited <= came.keys() for came in found.values()) or time.monotonic() > until:
            return found
        time.sleep(_AGAIN_S)


def main() -> int:
    """Do what is ordered."""
    order = json.load(sys.stdin)
    if "ask" in order:
        told: object = ask(order["ask"])
    else:
        told = arrivals(set(order["await"]), order["persons"], webhook=order["webhook"], within_s=order["within_s"])
    json.dump(told, sys.stdout)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
