"""What each router is told: neighbours, tunnels, and what it may believe. Nouns only."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from ..model import HostName


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A router one speaks BGP with. ``networks`` are the only ones it is believed about."""

    host: HostName
    address: IPv4Address
    as_number: int
    networks: tuple[IPv4Network, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Uplink:
    """An edge's leg towards a carrier, called by its name. ``far`` is reached over this carrier only."""

    interface: str
    address: IPv4Interface
    carrier: Neighbour
    far: tuple[IPv4Network, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunnel:
    """One end of an encrypted tunnel to an edge of another datacenter, over one carrier.

    Interface and ``port`` are called alike at twins: by the carrier, and by the place of the edge at the other end.
    """

    interface: str
    over: HostName
    port: int
    endpoint: IPv4Address
    endpoint_port: int
    address: IPv4Interface
    peer: Neighbour


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeRouting:
    """What an edge is told. ``rank`` 0 is the edge that serves while all is well."""

    as_number: int
    router_id: IPv4Address
    network: IPv4Network
    gateway: IPv4Address
    rank: int
    twins: tuple[Neighbour, ...]
    uplinks: tuple[Uplink, ...]
    tunnels: tuple[Tunnel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierRouting:
    """What a carrier is told. ``networks`` it serves itself; ``watched`` are the hosts there that watch it."""

    as_number: int
    router_id: IPv4Address
    edges: tuple[Neighbour, ...]
    carriers: tuple[Neighbour, ...]
    networks: tuple[IPv4Network, ...]
    watched: tuple[IPv4Address, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRouting:
    """What a host is told whose site several carriers enter directly."""

    router_id: IPv4Address
    gateways: tuple[IPv4Address, ...]


RouterPlan = EdgeRouting | CarrierRouting | HostRouting
