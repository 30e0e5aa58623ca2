"""The nouns of the lab: its topology, its settings, what stands and what is broken on purpose."""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_INSTANCE = re.compile(r"[a-z][a-z0-9]{0,11}")
_HOST = re.compile(r"[a-z][a-z0-9-]{0,10}")
_SITE = re.compile(r"[a-z][a-z0-9-]{0,14}")
EXCHANGE = "exchange"


class Phase(enum.Enum):
    """How far the lab is; anything but UP and DOWN at rest means an unclean end."""

    DOWN = "down"
    STARTING = "starting"
    UP = "up"
    STOPPING = "stopping"
    SAVING = "saving"
    RESTORING = "restoring"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFolder:
    """One folder of a host's durable disk, and where the host sees it."""

    path: str
    owner: str

    def __post_init__(self) -> None:
        """Refuse a path the guest could not mount."""
        if not self.path.startswith("/") or ".." in self.path or ":" in self.path:
            raise ValueError(f"a disk folder needs a plain absolute path, got {self.path!r}")

    @property
    def name(self) -> str:
        """Name of the folder on the disk itself."""
        return self.path.strip("/").replace("/", "-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A file system of its own that loses un-synced data when the power goes."""

    size_mib: int
    folders: tuple[DiskFolder, ...]

    def __post_init__(self) -> None:
        """Refuse a disk that ext4 could not hold a journal on."""
        if self.size_mib < 64:  # noqa: PLR2004  ext4 with a journal and a database needs at least that
            raise ValueError(f"a disk needs at least 64 MiB, got {self.size_mib}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """One interface of a host and the network its other end is plugged into."""

    guest_name: str
    outer_name: str
    network: str
    address: ipaddress.IPv4Interface
    mac: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Transit:
    """The network between one carrier and the edges of one site."""

    network: ipaddress.IPv4Network
    carrier: str
    site: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One carrier's wire into one site: what a link cut cuts."""

    carrier: str
    site: str

    def __str__(self) -> str:
        """Read as ``carrier-a dc1``."""
        return f"{self.carrier} {self.site}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabHost:
    """One host: its place, its address in each network it has a leg in, its durable disk if it has one.

    A carrier has legs in many networks and forwards between them; so has an edge, at the border of its site. One that
    ``keeps_image`` holds the operating system that new machines are made from, for the day when nothing else has it.
    """

    name: str
    site: str
    management: ipaddress.IPv4Interface
    addresses: Mapping[str, ipaddress.IPv4Interface]
    carrier: bool = False
    edge: bool = False
    disk: Disk | None = None
    keeps_image: bool = False

    def __post_init__(self) -> None:
        """Refuse names that do not fit an interface name."""
        if not _HOST.fullmatch(self.name):
            raise ValueError(f"host name {self.name!r}: lower-case letters, digits and '-', at most 11")


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerEndpoint:
    """What switches the outlets of a site's hosts, out of band. It stands on the power of the site ``stands_on``.

    It is no host of the estate: it runs beside the machines, as a rack's power controller does.
    """

    name: str
    management: ipaddress.IPv4Interface
    cuts: str
    stands_on: str

    def __post_init__(self) -> None:
        """Refuse names that do not fit an interface name."""
        if not _HOST.fullmatch(self.name):
            raise ValueError(f"power endpoint {self.name!r}: lower-case letters, digits and '-', at most 11")


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """All sites, hosts and networks of one lab."""

    control: ipaddress.IPv4Interface
    sites: Mapping[str, ipaddress.IPv4Network]
    hosts: Mapping[str, LabHost]
    transits: Mapping[str, Transit] = field(default_factory=dict)
    exchange: ipaddress.IPv4Network | None = None
    gateways: Mapping[str, ipaddress.IPv4Address] = field(default_factory=dict)
    ducts: Mapping[str, tuple[Link, ...]] = field(default_factory=dict)
    # no part of what a save is bound to: it keeps hosts, and they are the same with and without one
    endpoints: Mapping[str, PowerEndpoint] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Refuse overlapping networks, unknown sites and addresses used twice."""
        for name in (*self.sites, *self.transits, *self.ducts):
            if not _SITE.fullmatch(name):
                raise ValueError(f"site name {name!r}: lower-case letters, digits and '-', at most 15")
        self._refuse_double_networks()
        self._refuse_double_addresses()
        for duct, links in self.ducts.items():
            for link in links:
                if link not in self.links:
                    raise ValueError(f"duct {duct} names the link {link}, which there is not")
        self._refuse_strange_endpoints()

    def _refuse_double_networks(self) -> None:
        networks = [*self.networks.values(), self.control.network]
        if len(self.networks) < len(self.sites) + len(self.transits):
            raise ValueError("a site, a transit network or the exchange has the name of another")
        for index, network in enumerate(networks):
            if any(network.overlaps(other) for other in networks[index + 1 :]):
                raise ValueError(f"network {network} overlaps another")

    def _refuse_double_addresses(self) -> None:
        seen = {self.control.ip, *self.gateways.values()}
        if len(seen) < len(self.gateways) + 1:
            raise ValueError("a gateway's address is used twice")
        for host in self.hosts.values():
            for address in (host.management, *host.addresses.values()):
                if address.ip in seen:
                    raise ValueError(f"address {address.ip} of {host.name} is used twice")
                seen.add(address.ip)

    def _refuse_strange_endpoints(self) -> None:
        places = {host.site for host in self.hosts.values()}
        taken = {self.control.ip, *(host.management.ip for host in self.hosts.values())}
        for endpoint in self.endpoints.values():
            if endpoint.name in self.hosts:
                raise ValueError(f"power endpoint {endpoint.name} has a host's name")
            if endpoint.management.ip in taken:
                raise ValueError(f"address {endpoint.management.ip} of {endpoint.name} is used twice")
            taken.add(endpoint.management.ip)
            strange = {endpoint.cuts, endpoint.stands_on} - places
            if strange:
                raise ValueError(f"power endpoint {endpoint.name} names {min(strange)}, where no host stands")

    @property
    def networks(self) -> Mapping[str, ipaddress.IPv4Network]:
        """Every network that hosts have legs in, by name, but for the out-of-band one."""
        found = dict(self.sites) | {name: transit.network for name, transit in self.transits.items()}
        return found if self.exchange is None else found | {EXCHANGE: self.exchange}

    @property
    def links(self) -> tuple[Link, ...]:
        """Every carrier's way into every site."""
        return tuple(Link(carrier=carrier.name, site=site) for carrier in self.carriers for site in self.sites)

    @property
    def carriers(self) -> tuple[LabHost, ...]:
        """Hosts that forward between the sites."""
        return tuple(host for host in self.hosts.values() if host.carrier)

    def at(self, site: str) -> tuple[LabHost, ...]:
        """Hosts that stand at a site."""
        return tuple(host for host in self.hosts.values() if host.site == site)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabSettings:
    """Which lab, where its state and its cache are, and where its image comes from."""

    instance: str
    state: Path
    cache: Path
    topology: Path
    mirror: str | None = None
    run_dir: Path = Path("/run/secondsite")

    def __post_init__(self) -> None:
        """Refuse names that could be mistaken for another lab's."""
        if not _INSTANCE.fullmatch(self.instance):
            raise ValueError(f"lab name {self.instance!r}: a lower-case letter, then letters and digits, at most 12")

    @property
    def home(self) -> Path:
        """Folder that holds everything of this lab instance."""
        return self.state / f"lab-{self.instance}"

    @property
    def key(self) -> Path:
        """Private SSH key that opens root on every fresh host."""
        return self.home / "keys" / "bootstrap_ed25519"

    @property
    def known_hosts(self) -> Path:
        """Pinned SSH host keys, by name and by management address."""
        return self.home / "known_hosts"

    @property
    def wires(self) -> str:
        """Namespace that holds every bridge and the outer end of every wire."""
        return f"{self.instance}-wires"

    @property
    def control(self) -> str:
        """Namespace of the controller: out-of-band only."""
        return f"{self.instance}-control"

    def namespace(self, host: str) -> str:
        """Network namespace of a host, which is also its machine name."""
        return f"{self.instance}-{host}"

    def endpoint_dir(self, endpoint: str) -> Path:
        """Folder of a power endpoint: its TLS key, who may use it, what it logged."""
        return self.home / "power" / endpoint

    def host_dir(self, host: str) -> Path:
        """Folder of a host: its overlay, its disk, its console log."""
        return self.home / "hosts" / host


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultInForce:
    """A fault that was begun and not taken back."""

    kind: str
    target: str
    since: float

    def __str__(self) -> str:
        """Read as ``power cut: db-dc1``."""
        return f"{self.kind}: {self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkCut:
    """What was done to one carrier's leg into one site: the instant on the machine's monotonic clock."""

    carrier: str
    site: str
    dropped_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DuctCut:
    """What was done to everything that lies in one duct."""

    duct: str
    links: tuple[Link, ...]
    dropped_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """One thing of the lab that exists on the machine."""

    kind: str
    what: str

    def __str__(self) -> str:
        """Read as ``namespace ss-wires``."""
        return f"{self.kind} {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStatus:
    """Whether a host's init runs and whether its SSH server answers."""

    name: str
    site: str
    management: str
    running: bool
    answers_ssh: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LabStatus:
    """What stands, what is broken on purpose, what was left behind."""

    instance: str
    phase: Phase
    image: str
    hosts: tuple[HostStatus, ...]
    faults: tuple[FaultInForce, ...]
    standing: tuple[Leftover, ...]
    leftovers: tuple[Leftover, ...]
    limitations: tuple[str, ...]
    memory_mib: int
    saves: tuple[str, ...]


POWER_CUT = "power cut"
LINK_CUT = "link cut"
DUCT_CUT = "duct cut"
LAID_ASTRAY = "link laid astray"
LINK_DEAF = "links deaf"
ETCD_STOPPED = "etcd stopped"
CONTROLLER_CUT = "controller cut off"
FENCE_LIES = "fence lies"
OUTLET_OFF = "outlet off"
ENDPOINT_SILENT = "power endpoint silent"
ENDPOINT_LIES = "power endpoint lies"
OUTLETS_CROSSED = "outlets crossed"
