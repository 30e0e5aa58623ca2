"""Hold a copy's replication back, quietly: what a slow or cut link does, without anybody being told."""

from __future__ import annotations

import datetime as dt
import json

from ..run.ports import Hands

_TABLE = "secondsite_hold"
_NFT = ("sudo", "-n", "nft")
_TIMEOUT = dt.timedelta(seconds=5)
_AT_MOST = "15m"


class ReplicationHold:
    """Drops what comes from a database port, on the host of the copy, in a table of its own."""

    def __init__(self, hands: Hands) -> None:
        """Connect to nothing yet."""
        self._hands = hands

    def hold(self, node: str, *, port: int) -> None:
        """Let nothing from that port arrive at the node, from now on. One transaction; harmless when repeated.

        A drill that was killed lets nobody go: then the node's kernel does, after a quarter of an hour.
        """
        rules = (
            f"table inet {_TABLE} {{}}\n"
            f"delete table inet {_TABLE}\n"
            f"table inet {_TABLE} {{\n"
            f" set held {{ type inet_service; flags timeout; elements = {{ {port} timeout {_AT_MOST} }} }}\n"
            " chain hold {\n"
            "  type filter hook prerouting priority raw; policy accept;\n"
            "  tcp sport @held drop\n"
            " }\n}\n"
        )
        self._hands.run(node, [*_NFT, "-f", "-"], stdin=rules, timeout=_TIMEOUT)

    def let_go(self, node: str) -> None:
        """Let everything arrive again. Harmless when nothing was held."""
        rules = f"table inet {_TABLE} {{}}\ndelete table inet {_TABLE}\n"
        self._hands.run(node, [*_NFT, "-f", "-"], stdin=rules, timeout=_TIMEOUT)

    def is_held(self, node: str) -> bool:
        """Read back from the node's kernel."""
        listing = self._hands.run(node, [*_NFT, "-j", "list", "tables"], timeout=_TIMEOUT).stdout
        tables = [item["table"]["name"] for item in json.loads(listing)["nftables"] if "table" in item]
        return _TABLE in tables
