"""Isolation of a site at a carrier: set, read back, lifted (ADR 0005, rule 2).

The carrier holds a table with one set of fenced networks and a chain that drops everything from and to them ahead of
every other rule. Reading back looks at what the carrier's kernel enforces, not at what was sent.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network

from ..errors import ActionError, Effect
from ..estate.nftables.isolation import SET, TABLE, members, networks_dropped
from ..run.functions import word, words
from ..run.model import Json
from ..run.ports import Hands

KEPT = "/var/lib/secondsite/fenced.nft"
_NFT = ("sudo", "-n", "nft")
_ISOLATE = ("sudo", "-n", "/usr/local/sbin/secondsite-isolate")
_TIMEOUT = dt.timedelta(seconds=5)


class CarrierFilter:
    """The isolation filter of the estate's carriers."""

    def __init__(self, hands: Hands) -> None:
        """Connect to nothing yet."""
        self._hands = hands

    def isolate(self, carrier: str, networks: Sequence[IPv4Network]) -> None:
        """Drop everything from and to the networks, all at once. Harmless when they are dropped already.

        See ``keep`` for restarts.
        """
        self._hands.run(carrier, _ISOLATE, stdin=f"add {_listed(networks)}\n", timeout=_TIMEOUT)

    def get_ready(self, carrier: str) -> None:
        """Start at the carrier what ``isolate`` will need; it waits there and changes nothing."""
        self._hands.arm(carrier, _ISOLATE)

    def lift(self, carrier: str, networks: Sequence[IPv4Network]) -> None:
        """Let the networks' traffic pass again. Harmless when nothing was dropped.

        Raises:
            ActionError: the read-back still shows one of them fenced.
        """
        for network in networks:  # one by one: nft deletes nothing when one of several is not there
            self._hands.run(carrier, _ISOLATE, stdin=f"delete {_listed([network])}\n", timeout=_TIMEOUT, accept=(0, 1))
        self.keep(carrier)
        still = sorted(map(str, set(networks) & set(self.fenced(carrier))))
        if still:
            raise ActionError(f"{carrier} still isolates {', '.join(still)}", effect=Effect.NONE, retryable=True)

    def fenced(self, carrier: str) -> tuple[IPv4Network, ...]:
        """Read back which networks the carrier's kernel really drops, both ways and ahead of every accept.

        Raises:
            ActionError: the table can't be read, so nothing is known.
        """
        return networks_dropped(self._listing(carrier))

    def _fenced_set(self, carrier: str) -> tuple[IPv4Network, ...]:
        return tuple(network for item in self._listing(carrier) for network in members(item.get("set")))

    def _listing(self, carrier: str) -> Sequence[Mapping[str, object]]:
        result = self._hands.run(carrier, [*_NFT, "-j", "list", "table", "inet", TABLE], timeout=_TIMEOUT)
        try:
            items: Sequence[Mapping[str, object]] = json.loads(result.stdout)["nftables"]
        except (ValueError, KeyError, TypeError) as error:
            raise ActionError(
                f"{carrier}: the filter's read-back makes no sense: {error}", effect=Effect.NONE
            ) from error
        return items

    def keep(self, carrier: str) -> None:
        """Write down what is fenced now, where the carrier reads it when it starts (role carrier)."""
        elements = ", ".join(sorted(map(str, self._fenced_set(carrier))))
        kept = f"add element inet {TABLE} {SET} {{ {elements} }}\n" if elements else ""
        self._hands.run(carrier, ["sudo", "-n", "tee", "--", KEPT], stdin=kept, timeout=_TIMEOUT)


def _listed(networks: Sequence[IPv4Network]) -> str:
    return ",".join(map(str, networks))


class CarrierIsolation:
    """Fencing by isolation at one carrier (ADR 0005, rule 2)."""

    def __init__(self, carriers: CarrierFilter) -> None:
        """Connect to nothing yet."""
        self._filter = carriers

    def close(self, arguments: Json) -> None:
        """Have the carrier drop the networks."""
        self._filter.isolate(word(arguments, "carrier"), _networks(arguments))

    def open(self, arguments: Json) -> None:
        """Have the carrier let the networks through."""
        self._filter.lift(word(arguments, "carrier"), _networks(arguments))

    def read_back(self, arguments: Json) -> Json:
        """Say whether the carrier's kernel drops all of the networks.

        Raises:
            ActionError, Unreachable: that can't be read.
        """
        return {"dropping": {word(arguments, "carrier"): self.is_closed(arguments)}}

    def is_closed(self, arguments: Json) -> bool:
        """Say whether the carrier's kernel drops all of the networks."""
        return set(_networks(arguments)) <= set(self._filter.fenced(word(arguments, "carrier")))

    def is_open(self, arguments: Json) -> bool:
        """Say whether the carrier's kernel drops none of the networks."""
        return set(_networks(arguments)).isdisjoint(self._filter.fenced(word(arguments, "carrier")))


def _networks(arguments: Json) -> tuple[IPv4Network, ...]:
    """Return what to fence.

    Raises:
        ActionError: nothing is named: nothing fenced must never look like everything fenced.
    """
    found = tuple(IPv4Network(one) for one in words(arguments, "networks"))
    if not found:
        raise ActionError("no network is named that could be isolated", effect=Effect.NONE)
    return found
