"""What hosts see of a try: before their firewall, behind it, and across it.

A temporary table of nftables that lets everything pass and only remembers marked packets. Its late chains see only what
the host's own rules accepted, so no listener and no responder is needed to tell "dropped" from "let in and closed".
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass

from ...errors import MeasurementError
from ...run.ports import Hands

MARK = 42  # a DSCP value that nothing else uses
TABLE = "secondsite_witness"
_TIMEOUT = dt.timedelta(seconds=10)
_SHELL = ("sudo", "-n", "--", "/bin/sh")
_END = f"""nft --json list table inet {TABLE}
listed=$?
nft destroy table inet {TABLE} || exit 1
exit $listed
"""
_WHERE = {"arrived": "prerouting priority -350", "entered": "input priority 300", "crossed": "forward priority 300"}
_TUPLE = "ip saddr . ip daddr . meta l4proto . th dport"

Seen = frozenset[tuple[str, str, str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnessed:
    """What one host remembers: source, target, protocol and port of each."""

    arrived: Seen
    entered: Seen
    crossed: Seen


def table() -> str:
    """Return the table, in the words of nft; one that was left behind is replaced."""
    lines = [f"table inet {TABLE}", f"delete table inet {TABLE}", f"table inet {TABLE} {{"]
    for name, hook in _WHERE.items():
        lines += [
            f"    set {name} {{ typeof {_TUPLE}; flags dynamic; size 65535; }}",
            f"    chain see_{name} {{",
            f"        type filter hook {hook}; policy accept;",
            f"        ip dscp {MARK} meta l4proto {{ tcp, udp }} add @{name} {{ {_TUPLE} }}",
            "    }",
        ]
    return "\n".join([*lines, "}", ""])


def begin(hands: Hands, host: str, *, first: str = "") -> None:
    """Let a host begin to remember, after its shell did what comes ``first``, whatever comes of that.

    Raises:
        Unreachable, ActionTimeout, ActionError: it could not.
    """
    script = f"{first}\nexec nft --file - <<'.'\n{table()}.\n"
    hands.run(host, _SHELL, stdin=script, timeout=_TIMEOUT)


def end(hands: Hands, host: str) -> Witnessed:
    """Return what a host remembers, and let it forget.

    Raises:
        MeasurementError: it said something else.
        Unreachable, ActionTimeout, ActionError: it could not.
    """
    return read(hands.run(host, _SHELL, stdin=_END, timeout=_TIMEOUT, limit=1 << 24).stdout)


def read(text: str) -> Witnessed:
    """Read what ``nft --json list table`` printed.

    Raises:
        MeasurementError: it is something else.
    """
    try:
        listed = {one["set"]["name"]: one["set"] for one in json.loads(text)["nftables"] if "set" in one}
        return Witnessed(**{name: _elements(listed[name]) for name in _WHERE})
    except (KeyError, TypeError, ValueError) as error:
        raise MeasurementError(f"a host did not say what it saw: {error!r}") from error


def _elements(listed: Mapping[str, object]) -> Seen:
    found = listed.get("elem", [])
    if not isinstance(found, list):
        raise TypeError(f"not a list of elements: {found!r}")
    return frozenset(_element(one["concat"]) for one in found)


def _element(words: list[object]) -> tuple[str, str, str, int]:
    source, target, protocol, port = words
    return str(source), str(target), str(protocol), int(str(port))
