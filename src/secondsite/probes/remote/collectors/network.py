"""The firewall as it is loaded and as it would be at the next boot; who listens; who talks to whom."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from .common import Names, Settings, Unreadable, run

BEFORE_TRIES = {
    "firewall": ("nft", "-j", "list", "ruleset"),
    "peers": ("ss", "-H", "-n", "-t", "state", "established"),
}
"""What tries of the flows would show up in, by section. It may have been noted before them, in `settings["before"]`."""
_SAVED = "/etc/nftables.conf"
_PEER = re.compile(r"(?P<address>[0-9a-fA-F.:*%\[\]a-z]+):(?P<port>\d+|\*)\Z")


def firewall(settings: Settings) -> dict[str, Any]:
    """Return the rule set in neutral words, without counters and handles: live, and what the saved file would load."""
    names = Names(settings)
    live = json.loads(_shown(settings, "firewall"))
    return {"live": _neutral(live, names), "saved": _saved(names)}


def _shown(settings: Settings, section: str) -> str:
    """Return what the section's command printed before the tries, else what it prints now."""
    noted = Path(settings.get("before") or "/nowhere", section)
    try:
        return noted.read_text(errors="replace")
    except FileNotFoundError:
        return run(*BEFORE_TRIES[section])


def _saved(names: Names) -> list[Any] | dict[str, str]:
    """Load the saved file into a network namespace of its own and read it back there."""
    if not Path(_SAVED).is_file():
        return {"trouble": f"{_SAVED} is missing"}
    try:
        shown = run("unshare", "--net", "--", "/bin/sh", "-c", f"nft -f {_SAVED} && nft -j list ruleset")
    except Unreadable as error:
        return {"trouble": str(error)}
    return _neutral(json.loads(shown), names)


def _neutral(shown: dict[str, Any], names: Names) -> list[Any]:
    plain = [_stripped(part) for part in shown["nftables"] if "metainfo" not in part]
    neutral: list[Any] = json.loads(names.neutral(json.dumps(plain)))
    return neutral


def _stripped(part: Any) -> Any:
    """Return a part of the rule set without what counts or numbers it."""
    if isinstance(part, list):
        return [_stripped(one) for one in part]
    if not isinstance(part, dict):
        return part
    if set(part) == {"counter"} and isinstance(part["counter"], dict) and "packets" in part["counter"]:
        return {"counter": None}
    dropped = {"handle", "packets", "bytes", "expires"}
    return {key: _stripped(value) for key, value in part.items() if key not in dropped}


def listeners(_: Settings) -> list[dict[str, Any]]:
    """Return who listens, on addresses that others can reach."""
    found = []
    for line in run("ss", "-H", "-l", "-n", "-t", "-u", "-p").splitlines():
        words = line.split()
        if len(words) < 5 or words[0] not in ("tcp", "udp"):
            continue
        place = _PEER.match(words[4])
        if place is None or place["address"].startswith(("127.", "[::1]")):
            continue
        program = re.search(r'\(\("([^"]+)"', line)
        found.append(
            {
                "protocol": words[0],
                "address": place["address"].partition("%")[0],
                "port": int(place["port"]),
                "program": program[1] if program else "",
            }
        )
    return found


def peers(settings: Settings) -> list[dict[str, Any]]:
    """Return the connections this host opened: to which address and port they go."""
    listening = {one["port"] for one in listeners({})}
    found = []
    for line in _shown(settings, "peers").splitlines():
        words = line.split()
        ends = [_PEER.match(word) for word in words[2:4]]
        if len(ends) == 2 and ends[0] and ends[1] and int(ends[0]["port"]) not in listening:
            found.append({"address": ends[1]["address"], "port": int(ends[1]["port"])})
    return found


SECTIONS = {"firewall": firewall, "listeners": listeners, "peers": peers}
