"""What follows from the declaration: packets that may pass, and tries that must come to something or to nothing."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from ..model import HostName, Protocol, SiteName

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

    ``crosses`` names the sites whose edges lie on the way.
    """

    source: HostName | None
    target: HostName
    packet: Packet
    flow: str | None
    crosses: tuple[SiteName, ...] = ()
