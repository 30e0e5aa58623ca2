"""Sites, hosts, workloads and their objectives: nouns only."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network
from typing import NewType

from .production.model import Production

SiteName = NewType("SiteName", str)
HostName = NewType("HostName", str)
WorkloadName = NewType("WorkloadName", str)
ZoneName = NewType("ZoneName", str)


class SiteKind(enum.Enum):
    """What a site is in the estate."""

    DATACENTER = "datacenter"
    VAULT = "vault"
    CARRIER = "carrier"
    CUSTOMERS = "customers"
    HEADQUARTERS = "headquarters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Objectives:
    """What the business agreed to for one workload (ISO 22301's terms)."""

    rto: dt.timedelta
    rpo: dt.timedelta
    mtpd: dt.timedelta

    def __post_init__(self) -> None:
        """Refuse objectives that can't be meant."""
        if not dt.timedelta(0) < self.rto <= self.mtpd:
            raise ValueError(f"need 0 < rto <= mtpd, got rto={self.rto}, mtpd={self.mtpd}")
        if self.rpo < dt.timedelta(0):
            raise ValueError(f"need rpo >= 0, got rpo={self.rpo}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A managed host. ``management`` is its out-of-band address, ``address`` what customers and sites see."""

    name: HostName
    site: SiteName
    management: IPv4Address
    address: IPv4Address | None
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A failure domain."""

    name: SiteName
    kind: SiteKind
    network: IPv4Network | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A wire between a carrier and a site.

    ``duct`` is the physical element it lies in: links in one duct are a shared risk. It ends either at the site's
    edges, in the network ``transit`` (the carrier is its first address, then the edges in inventory order), or in the
    site's own network, where the carrier has the address ``gateway``.
    """

    name: str
    carrier: HostName
    site: SiteName
    duct: str | None = None
    transit: IPv4Network | None = None
    gateway: IPv4Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """How the sites find each other: numbers of autonomous systems, and addresses that belong to no single host.

    Carriers meet on ``exchange``; ``tunnels`` holds the ends of the encrypted tunnels between datacenters; the edges of
    a site share its address in ``gateways``.
    """

    as_numbers: Mapping[SiteName, int]
    gateways: Mapping[SiteName, IPv4Address]
    tunnels: IPv4Network
    exchange: IPv4Network | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A thing that must survive.

    ``members`` maps each site that can hold it to the host there; ``settings`` are the adapter's own words.
    ``is_control_arm`` marks the workload whose loss a drill must be able to see; it is never judged by an RPO of zero.
    ``from_vault`` is what was agreed for the day on which only the vault's copy is left.
    """

    name: WorkloadName
    adapter: str
    home: SiteName
    members: Mapping[SiteName, HostName]
    objectives: Objectives
    depends_on: tuple[WorkloadName, ...] = ()
    is_control_arm: bool = False
    from_vault: Objectives | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def takes_markers(self) -> bool:
        """Say whether customers do not write to it themselves, so that a drill plants markers to count its loss by."""
        return self.adapter == "store"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What customers see: one DNS name, served by one host of each site that can hold it."""

    name: str
    dns_name: str
    zone: str
    ttl: dt.timedelta
    name_server: HostName
    members: Mapping[SiteName, HostName]
    workloads: tuple[WorkloadName, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """When a site counts as lost: silent from every vantage host for ``silence``."""

    vantage: tuple[HostName, ...]
    silence: dt.timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Quorum:
    """The voters that hold leases and agreement between sites."""

    adapter: str
    members: tuple[HostName, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLevel:
    """What customers must see before a service counts as restored, and how long it must hold (``sustained``)."""

    success_ratio: float
    latency: dt.timedelta
    sustained: dt.timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillWindow:
    """When drills may be held: on these days (Monday is 0), from ``begins`` to ``ends`` in the zone's own time.

    One that ends no later than it begins ends on the next day.
    """

    days: frozenset[int]
    begins: dt.time
    ends: dt.time
    zone: dt.tzinfo
    zone_name: str

    def opening_on(self, day: dt.date) -> tuple[dt.datetime, dt.datetime] | None:
        """Return from when until when it is open that begins on this day, or None if none does."""
        if day.weekday() not in self.days:
            return None
        last = day if self.ends > self.begins else day + dt.timedelta(days=1)
        begins, ends = dt.datetime.combine(day, self.begins, self.zone), dt.datetime.combine(last, self.ends, self.zone)
        return begins.astimezone(dt.UTC), ends.astimezone(dt.UTC)

    def __str__(self) -> str:
        """Say it as the estate does."""
        days = ", ".join(name for number, name in enumerate(DAYS) if number in self.days)
        return f"{days} from {self.begins:%H:%M} to {self.ends:%H:%M} {self.zone_name}"


DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillTerms:
    """What a drill may do here. ``injections`` are the only faults it may bring about; none means none.

    A drill that takes longer than ``longest`` ends in a safe abort. Its traffic belongs to the tenant ``tenant``. It is
    held inside one of the ``windows``; without any, at any time.
    """

    injections: tuple[str, ...]
    longest: dt.timedelta
    tenant: str
    windows: tuple[DrillWindow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """From how many hosts, and at how many sites, one step may take data or service away."""

    hosts: int = 1
    sites: int = 1

    def __post_init__(self) -> None:
        """Refuse caps under which no step could do anything."""
        if min(self.hosts, self.sites) < 1:
            raise ValueError(f"a step must be allowed one host at one site, got {self.hosts} and {self.sites}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingOrderReference:
    """To which run two persons consented beforehand: the signed order lies in the state by this ``name``."""

    name: str
    runbook: str
    origin: SiteName
    target: SiteName


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """A promise by its id, and how this estate keeps it."""

    id: str
    kept_by: str


class Protocol(enum.Enum):
    """What a packet carries; only the first two have ports."""

    TCP = "tcp"
    UDP = "udp"
    VRRP = "vrrp"


CONTROL = ZoneName("control")


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """Who is treated alike by the firewall: hosts by inventory group or by name, and whole networks."""

    name: ZoneName
    groups: tuple[str, ...] = ()
    hosts: tuple[HostName, ...] = ()
    networks: tuple[IPv4Network, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FirewallService:
    """What is spoken over the network: ports by protocol. A protocol without ports has an empty list of them."""

    name: str
    ports: Mapping[Protocol, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Who may open connections to whom, for what. ``same_site`` keeps it inside each site.

    ``index`` is its place in the declaration.
    """

    name: str
    index: int
    sources: tuple[ZoneName, ...]
    targets: tuple[ZoneName, ...]
    services: tuple[str, ...]
    same_site: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Management:
    """Who manages the hosts: one address, over ``interface`` where hosts have one for nothing else."""

    control: IPv4Address
    interface: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """The hosts through which a site is entered and left; ``inside`` is their interface in the site's network."""

    site: SiteName
    hosts: tuple[HostName, ...]
    inside: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Firewall:
    """Everything that may pass; the rest is dropped. The zone ``control`` stands for the control address."""

    management: Management
    zones: Mapping[ZoneName, Zone]
    services: Mapping[str, FirewallService]
    flows: tuple[Flow, ...]
    edges: Mapping[SiteName, Edges] = field(default_factory=dict)


class FencingKind(enum.Enum):
    """How a site can be kept from writing (ADR 0005)."""

    ISOLATION = "isolation"
    POWER = "power"


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerSwitch:
    """What switches the outlets of a site's hosts: a device, and the fence agent that speaks to it.

    It stands on the power of the site ``stands_on``. ``outlets`` says what each host's outlet is called there; the
    agent is told it as ``outlet_option``. ``options`` are the agent's own words; user and password are no part of them.
    """

    agent: str
    address: IPv4Address
    port: int | None
    stands_on: SiteName
    outlets: Mapping[HostName, str]
    outlet_option: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteFencing:
    """How one site is fenced: by which kinds, any one of which may confirm it, and its power switch if it has one."""

    site: SiteName
    kinds: tuple[FencingKind, ...] = (FencingKind.ISOLATION,)
    power: PowerSwitch | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """In what twins may differ: ``what`` is a pattern such as ``package:linux-*``, ``until`` its last day."""

    what: str
    why: str
    until: dt.date


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Whom a procedure has called. ``approves`` says that this person may consent to what needs consent."""

    name: str
    role: str
    phone: str
    site: SiteName | None = None
    approves: bool = False
    mail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """Who is told of trouble, by which ways, and how soon.

    ``mail`` keeps the mailboxes of those on call and ``webhook`` receives what is sent to it; ``relays`` send others'
    pages on and wait for everybody's heartbeat. A host that is not heard for ``silence`` is in trouble.
    """

    on_call: tuple[str, ...]
    mail: HostName
    webhook: HostName
    relays: tuple[HostName, ...]
    port: int
    look: dt.timedelta
    silence: dt.timedelta
    repeat: dt.timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Escrow:
    """Who holds a key to escrow. Any two of them open it together, and nobody alone.

    Escrow that was not opened for longer than ``opened_every`` counts as not tried.
    """

    holders: tuple[str, ...]
    opened_every: dt.timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Estate:
    """All sites, hosts, links and workloads of one organisation.

    ``injections`` are the only faults a drill may bring about here. ``digest`` is over the files it was read from.
    ``None`` means that it is not declared, and whoever needs it must refuse.
    """

    name: str
    directory: str
    digest: str
    sites: Mapping[SiteName, Site]
    hosts: Mapping[HostName, Host]
    links: tuple[Link, ...]
    workloads: Mapping[WorkloadName, Workload]
    services: tuple[Service, ...]
    detection: Detection
    injections: tuple[str, ...]
    commitments: tuple[Commitment, ...]
    quorum: Quorum | None = None
    service_level: ServiceLevel | None = None
    drills: DrillTerms | None = None
    caps: Caps = field(default_factory=Caps)
    standing_orders: tuple[StandingOrderReference, ...] = ()
    differences: tuple[Difference, ...] = ()
    firewall: Firewall | None = None
    routing: Routing | None = None
    persons: tuple[Person, ...] = ()
    paging: Paging | None = None
    production: Production | None = None
    escrow: Escrow | None = None
    fencing: Mapping[SiteName, SiteFencing] = field(default_factory=dict)

    @property
    def published(self) -> tuple[Service, ...]:
        """Return everything that has a name of its own: the services, and workloads that customers read by a name.

        A workload's name lies in the first service's zone, at its name server, with its time to live.
        """
        if not self.services:
            return ()
        first = self.services[0]
        named = ((one, one.settings.get("dns_name", "")) for one in self.workloads.values())
        own = [
            replace(first, name=one.name, dns_name=name, members=one.members, workloads=(one.name,))
            for one, name in named
            if name
        ]
        return (*self.services, *own)

    def networks_of(self, site: SiteName) -> tuple[IPv4Network, ...]:
        """Return everything that must be silent when a site is fenced: its network, and its edges' transit networks."""
        own = self.sites[site].network
        transits = [link.transit for link in self.links if link.site == site and link.transit is not None]
        return (*(() if own is None else (own,)), *transits)

    def fencing_of(self, site: SiteName) -> SiteFencing:
        """Return how a site is fenced: by isolation at the carriers, unless it is declared otherwise."""
        return self.fencing.get(site, SiteFencing(site=site))

    def writers_at(self, site: SiteName) -> tuple[HostName, ...]:
        """Return the hosts of a site that could write for customers: those that hold a workload or serve a service."""
        holding = [one.members for one in self.workloads.values()]
        serving = [one.members for one in self.services]
        return tuple(dict.fromkeys(members[site] for members in (*holding, *serving) if site in members))

    def hosts_at(self, site: SiteName) -> tuple[Host, ...]:
        """Return the hosts of one site, in inventory order."""
        return tuple(host for host in self.hosts.values() if host.site == site)

    def procedure_hosts(self) -> Mapping[SiteName, HostName]:
        """Return the host at every datacenter, vault and headquarters that keeps the procedures for persons.

        Of group ``ops`` where there is one, else the first by name; carriers and customers are somebody else's.
        """
        kinds = (SiteKind.DATACENTER, SiteKind.VAULT, SiteKind.HEADQUARTERS)
        places = {name: self.hosts_at(name) for name, site in self.sites.items() if site.kind in kinds}
        return {
            site: min(hosts, key=lambda host: ("ops" not in host.groups, host.name)).name
            for site, hosts in places.items()
            if hosts
        }
