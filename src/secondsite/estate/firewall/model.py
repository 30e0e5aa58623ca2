"""What follows from the declaration: packets that may pass, and tries that must come to something or to nothing."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from ..model import HostName, Protocol

SSH = 22
SSH_FLOW = "the controller's SSH"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """Packets that one flow lets pass: from ``sources`` to ``hosts``, whose addresses are among ``targets``.

    ``by_management`` says that they come from the controller, over the management network.
    """

    flow: str
    protocol: Protocol
    ports: tuple[int, ...]
    sources: tuple[IPv4Network, ...]
    targets: tuple[IPv4Network, ...]
    hosts: tuple[HostName, ...]
    by_management: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """The first packet of a connection; ``port`` is 0 where the protocol has none."""

    source: IPv4Address
    target: IPv4Address
    protocol: Protocol
    port: int = 0
    by_management: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One thing to try from a real host (None: from the controller). Without a ``flow`` it must meet silence.

    With ``via`` a lone first packet is handed to that edge,
    which the source knows by the address ``next_hop``.
    """

    source: HostName | None
    target: HostName
    packet: Packet
    flow: str | None
    via: HostName | None = None
    next_hop: IPv4Address | None = None


class Answer(enum.Enum):
    """How a try ended where it was begun. A refusal is an answer: something let the packet in. ``SENT`` awaits none."""

    OPEN = "open"
    REFUSED = "refused"
    SILENT = "silent"
    SENT = "sent"
    UNTOLD = "untold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of one trial: at its source, and what the hosts on its way saw of it.

    ``arrived`` and ``entered`` are the target's: before its firewall, and behind it; None is unknown. ``crossed`` names
    the edges whose firewall let it across. ``by`` says who spoke for a silent target, or why nothing is known.
    """

    trial: Trial
    answer: Answer
    by: str = ""
    arrived: bool | None = None
    entered: bool | None = None
    crossed: frozenset[HostName] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Everything that was tried at one time. ``blind`` are hosts that could not say what they saw, and why."""

    tried: tuple[Tried, ...]
    blind: Mapping[HostName, str] = field(default_factory=dict)
