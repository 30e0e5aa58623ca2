"""The documents of an estate, as pydantic models. Every key has a description: the reference page is made from them."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

NAME_PATTERN = r"^[a-z][a-z0-9-]{0,62}$"
GROUP_PATTERN = r"^[a-z][a-z0-9_-]{0,62}$"
DURATION_PATTERN = r"^(0|[1-9][0-9]{0,6})(ms|s|m|h|d)$"
DNS_PATTERN = r"^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$"
CLOCK_PATTERN = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
INTERFACE_PATTERN = r"^[a-z][a-z0-9.-]{0,14}$"
FLOW_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9 ,.:;'()/&+-]{0,99}$"
PHONE_PATTERN = r"^[+0-9][0-9 ()/.-]{2,39}$"
PERSON_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$"
DIFFERENCE_PATTERN = r"^[a-z]+:[!-~]{1,200}$"
MAIL_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}@[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])$"
AGENT_PATTERN = r"^fence_[a-z0-9_]{1,40}$"
OUTLET_PATTERN = r"^[A-Za-z0-9._:/@+,-]{1,200}$"
DURATION_HINT = "a number with its unit: 1500ms, 60s, 5m, 24h or 7d"
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(word: object) -> dt.timedelta:
    """Return a length of time from a number with its unit."""
    found = re.fullmatch(DURATION_PATTERN, word) if isinstance(word, str) else None
    if found is None:
        raise ValueError(f"is {word!r}, which is not a duration")
    return dt.timedelta(**{_UNITS[found[2]]: int(found[1])})


def _day(word: object) -> dt.date:
    if not isinstance(word, str):
        raise ValueError(f"is {word!r}, which is not a day such as 2027-03-31")  # noqa: TRY004  pydantic collects ValueErrors
    return dt.date.fromisoformat(word)


def _clock_time(word: object) -> dt.time:
    if not isinstance(word, str) or not re.fullmatch(CLOCK_PATTERN, word):
        raise ValueError(f"is {word!r}, which is not a time of day such as '22:00', in quotes")
    return dt.time.fromisoformat(word)


def _zone(word: object) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(str(word))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"is {word!r}, which is not a time zone such as Europe/Berlin or UTC") from None


def _network(word: object) -> IPv4Network:
    if not isinstance(word, str) or "/" not in word:
        raise ValueError(f"is {word!r}, which is not an IPv4 network such as 198.18.1.0/24")
    return IPv4Network(word)


def _address(word: object) -> IPv4Address:
    if not isinstance(word, str):
        raise ValueError(f"is {word!r}, which is not an IPv4 address")  # noqa: TRY004  pydantic collects ValueErrors
    return IPv4Address(word)


Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
GroupName = Annotated[str, StringConstraints(pattern=GROUP_PATTERN)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=400)]
Interface = Annotated[str, StringConstraints(pattern=INTERFACE_PATTERN)]
Port = Annotated[int, Field(ge=1, le=65535)]
DnsName = Annotated[str, Field(pattern=DNS_PATTERN, json_schema_extra={"format": "hostname"})]
Duration = Annotated[
    dt.timedelta, BeforeValidator(duration), WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN})
]
Network = Annotated[
    IPv4Network, BeforeValidator(_network), WithJsonSchema({"type": "string", "format": "ipv4-network"})
]
Day = Annotated[dt.date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
ClockTime = Annotated[
    dt.time, BeforeValidator(_clock_time), WithJsonSchema({"type": "string", "pattern": CLOCK_PATTERN})
]
Zone = Annotated[zoneinfo.ZoneInfo, BeforeValidator(_zone), WithJsonSchema({"type": "string"})]
Address = Annotated[IPv4Address, BeforeValidator(_address), WithJsonSchema({"type": "string", "format": "ipv4"})]


class _Document(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, regex_engine="python-re")


class SiteDocument(_Document):
    """A failure domain."""

    kind: Literal["datacenter", "vault", "carrier", "customers", "headquarters"] = Field(
        description="What the site is in the estate. Workloads live at datacenters only."
    )
    network: Network | None = Field(default=None, description="The site's IPv4 network; a carrier has none of its own.")


class LinkDocument(_Document):
    """A wire between a carrier and a site."""

    name: Name = Field(description="The link's name, as faults and reports call it.")
    carrier: Name = Field(description="The carrier's host.")
    site: Name = Field(description="The site it serves.")
    duct: Name | None = Field(
        default=None,
        description="The physical element it lies in. Links in one duct are a shared risk: one cut ends all.",
    )
    transit: Network | None = Field(
        default=None,
        description="The network between the carrier (its first address) and the site's edges (the next ones, in the"
        " inventory's order). Edges call their interface there by the carrier's name.",
    )
    gateway: Address | None = Field(
        default=None, description="The carrier's address in the site's own network, where the site has no edges."
    )


class ObjectivesDocument(_Document):
    """What the business agreed to for one workload."""

    rto: Duration = Field(description="Recovery time objective: longer than zero, and at most `mtpd`.")
    rpo: Duration = Field(
        description="Recovery point objective: how much acknowledged work may be lost. `0s` means none."
    )
    mtpd: Duration = Field(description="Maximum tolerable period of disruption.")


class FromVaultDocument(_Document):
    """What was agreed for the day on which both live copies are gone."""

    rto: Duration = Field(description="Within which time it must serve again, restored from the vault.")
    rpo: Duration = Field(description="How much acknowledged work may be lost then: what no log or snapshot holds.")


class WorkloadDocument(_Document):
    """A thing that must survive."""

    adapter: Name = Field(description="The adapter that promotes and demotes it.")
    home: Name = Field(description="The site where it normally lives; one of `members`.")
    members: dict[Name, Name] = Field(min_length=2, description="Each site that can hold it, and the host there.")
    objectives: ObjectivesDocument = Field(description="What was agreed for it.")
    from_vault: FromVaultDocument | None = Field(
        default=None, description="What was agreed for a cold restart, when the vault's copy is all there is."
    )
    depends_on: list[Name] = Field(default_factory=list, description="Workloads that must be there before it.")
    is_control_arm: bool = Field(
        default=False,
        description="Marks the asynchronous workload whose loss a drill must be able to see; its RPO is not zero.",
    )
    settings: dict[GroupName, str | int] = Field(default_factory=dict, description="The adapter's own words.")


class ServiceDocument(_Document):
    """What customers see."""

    dns_name: DnsName = Field(description="The name customers use; a failover changes its address.")
    zone: DnsName = Field(description="The zone that holds the name.")
    ttl: Duration = Field(description="How long resolvers may keep the address, in whole seconds.")
    name_server: Name = Field(description="The host that takes the zone's changes.")
    members: dict[Name, Name] = Field(min_length=2, description="Each site that can serve it, and the host there.")
    workloads: list[Name] = Field(min_length=1, description="The workloads it cannot do without.")


class QuorumDocument(_Document):
    """The voters that hold leases and agreement between sites."""

    adapter: Literal["etcd"] = Field(description="What the voters run.")
    members: list[Name] = Field(min_length=3, description="An odd number of hosts, at three sites or more.")


class DetectionDocument(_Document):
    """When a site counts as lost."""

    vantage: list[Name] = Field(min_length=2, description="Hosts outside the datacenters that must all hear nothing.")
    silence: Duration = Field(description="For how long: 500ms to 5m.")


class ServiceLevelDocument(_Document):
    """When a service counts as restored."""

    success_ratio: float = Field(gt=0, le=1, description="The share of requests that must succeed.")
    latency: Duration = Field(description="What the 99th percentile of answers may take.")
    sustained: Duration = Field(description="How long both must hold at the new site.")


class DrillWindowDocument(_Document):
    """When drills may be held."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, regex_engine="python-re", arbitrary_types_allowed=True
    )

    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = Field(
        min_length=1, description="The days on which it begins."
    )
    begins: ClockTime = Field(description="When it begins, such as '22:00'.")
    ends: ClockTime = Field(description="When it ends; no later than it begins means on the next day.")
    zone: Zone = Field(description="In which time zone, such as Europe/Berlin.")


class DrillsDocument(_Document):
    """What a drill may do to this estate."""

    injections: list[Name] = Field(description="The only faults a drill may bring about; an empty list forbids all.")
    longest: Duration = Field(description="A drill that takes longer ends in a safe abort.")
    tenant: Name = Field(description="The synthetic customer to whom a drill's traffic belongs.")
    windows: list[DrillWindowDocument] = Field(
        default_factory=list,
        description="When drills may be held: begun, and at their maximum ended, inside one of these. Without any, at"
        " any time.",
    )


class CapsDocument(_Document):
    """How much one step of a runbook may take away. A plan with a step that would take more is refused."""

    hosts: int = Field(default=1, ge=1, description="From how many hosts one step may take data or service.")
    sites: int = Field(default=1, ge=1, description="At how many sites.")


class StandingOrderDocument(_Document):
    """A run whose gates need not be asked at, because two people signed for it beforehand."""

    name: Name = Field(description="The order's name; the signed order itself lies in the state directory.")
    runbook: Name = Field(description="The runbook it allows.")
    origin: Name = Field(description="The site that operations leave.")
    target: Name = Field(description="The site that operations go to.")


class RoutingDocument(_Document):
    """How the sites find each other, where datacenters have edges (hosts of the group `edge`)."""

    as_numbers: dict[Name, Annotated[int, Field(ge=1, le=4294967294)]] = Field(
        description="The number of the autonomous system of each carrier's site, and of each datacenter."
    )
    gateways: dict[Name, Address] = Field(
        description="The address that the edges of each datacenter share: the default route of its hosts."
    )
    tunnels: Network = Field(description="A network for the ends of the encrypted tunnels between datacenters.")
    exchange: Network | None = Field(
        default=None, description="The network in which the carriers meet, each with the next address in turn."
    )


class PowerSwitchDocument(_Document):
    """What switches the outlets of a site's hosts."""

    agent: Annotated[str, StringConstraints(pattern=AGENT_PATTERN)] = Field(
        description="The fence agent that speaks to it, such as `fence_redfish`; from Debian's package `fence-agents`."
    )
    address: Address = Field(description="Its address, reached out of band from where the controller runs.")
    port: Port | None = Field(default=None, description="Its port, if it is not the agent's usual one.")
    stands_on: Name = Field(
        description="The site on whose power it stands: never the site whose outlets it switches (ADR 0005)."
    )
    outlets: dict[Name, Annotated[str, StringConstraints(pattern=OUTLET_PATTERN)]] = Field(
        min_length=1, description="Each host of the site that could write, and what its outlet is called there."
    )
    outlet_option: GroupName = Field(
        default="plug", description="The agent's option for an outlet: `plug`, for `fence_redfish` `systems_uri`."
    )
    options: dict[GroupName, Annotated[str, StringConstraints(pattern=OUTLET_PATTERN)] | int] = Field(
        default_factory=dict,
        description="More of the agent's options. User and password are none of them: they are sealed.",
    )


class FencingDocument(_Document):
    """How a site is kept from writing before another takes over."""

    kinds: list[Literal["isolation", "power"]] = Field(
        min_length=1,
        description="`isolation` at all carriers, `power` at the outlets. With both, either may confirm the fencing.",
    )
    power: PowerSwitchDocument | None = Field(default=None, description="What switches the site's outlets.")


class ManagementDocument(_Document):
    """Who manages the hosts."""

    control: Address = Field(description="The only address that may open SSH; the zone `control` stands for it.")
    interface: Interface | None = Field(
        default=None,
        description="The hosts' interface for management and nothing else. Without one, SSH is accepted on any.",
    )


class ZoneDocument(_Document):
    """Who is treated alike by the firewall."""

    groups: list[GroupName] = Field(default_factory=list, description="Inventory groups whose hosts belong to it.")
    hosts: list[Name] = Field(default_factory=list, description="Hosts that belong to it.")
    networks: list[Network] = Field(default_factory=list, description="Whole networks that belong to it.")


class FirewallServiceDocument(_Document):
    """What is spoken over the network."""

    tcp: list[Port] = Field(default_factory=list, description="TCP ports.")
    udp: list[Port] = Field(default_factory=list, description="UDP ports.")
    protocols: list[Literal["vrrp"]] = Field(default_factory=list, description="Protocols that have no ports.")


class FlowDocument(_Document):
    """Who may open connections to whom, for what."""

    name: Annotated[str, StringConstraints(pattern=FLOW_PATTERN)] = Field(
        description="Who needs what, in up to 100 letters, digits and plain signs; it stands beside each rule."
    )
    sources: list[Name] = Field(alias="from", min_length=1, description="Zones that may open it.")
    targets: list[Name] = Field(alias="to", min_length=1, description="Zones that accept it.")
    services: list[Name] = Field(min_length=1, description="What is spoken.")
    same_site: bool = Field(default=False, description="Only between hosts of one site.")


class EdgesDocument(_Document):
    """Through which hosts a site is entered and left."""

    hosts: list[Name] = Field(min_length=1, description="The hosts; they stand at the site and forward.")
    inside: Interface = Field(description="Their interface in the site's network.")


class FirewallDocument(_Document):
    """Everything that may pass; the rest is dropped."""

    management: ManagementDocument = Field(description="Who manages the hosts.")
    zones: dict[Name, ZoneDocument] = Field(description="Who is treated alike, by name. `control` is there already.")
    services: dict[Name, FirewallServiceDocument] = Field(description="What is spoken, by name.")
    flows: list[FlowDocument] = Field(description="What may pass, besides the controller's SSH and pings.")
    edges: dict[Name, EdgesDocument] = Field(
        default_factory=dict, description="Sites behind edges of their own, which drop what no flow allows."
    )


class DifferenceDocument(_Document):
    """Something in which the two datacenters may differ."""

    what: Annotated[str, StringConstraints(pattern=DIFFERENCE_PATTERN)] = Field(
        description="The difference, such as `package:htop` or `config:/etc/motd`; `*` stands for anything."
    )
    why: Text = Field(description="The reason.")
    until: Day = Field(description="The last day on which it is accepted; afterwards the check is red.")


class PersonDocument(_Document):
    """Whom a procedure has called."""

    role: Text = Field(description="What this person is there for.")
    phone: Annotated[str, StringConstraints(pattern=PHONE_PATTERN)] = Field(
        description="Where this person is reached when nothing else works, by day and night."
    )
    site: Name | None = Field(default=None, description="The site where this person normally is.")
    approves: bool = Field(
        default=False,
        description="Whether this person may consent to what needs consent; the key that shows it is in `approvers`.",
    )
    mail: Annotated[str, StringConstraints(pattern=MAIL_PATTERN)] | None = Field(
        default=None, description="Where this person is told of trouble; whoever is on call needs one."
    )


class PagingDocument(_Document):
    """Who is told of trouble, by which ways, and how soon."""

    on_call: list[Annotated[str, StringConstraints(pattern=PERSON_PATTERN)]] = Field(
        min_length=1, description="The persons who are told, each by every way."
    )
    mail: Name = Field(description="The host, of group `mailbox`, whose mail server keeps their mailboxes.")
    webhook: Name = Field(description="The host, of group `receiver`, that receives what is sent by the webhook.")
    relays: list[Name] = Field(
        min_length=2,
        description="Hosts, at two sites or more, that send on the pages of whoever can't reach a way, and that wait"
        " for everybody's heartbeat. The first by name tells of a silence first.",
    )
    port: Port = Field(default=8444, description="Where relays, repositories and the webhook's receiver listen.")
    look: Duration = Field(description="How long from one look at a host to the next: 5s to 1m.")
    silence: Duration = Field(description="A host that is not heard for this long is in trouble: two looks or more.")
    repeat: Duration = Field(description="After how long a person is told again of what goes on: 1m or more.")


class StatedDocument(_Document):
    """A number of production."""

    value: int = Field(gt=0, description="Bytes, whole things, or bytes a second.")
    source: Text = Field(description="Whose word it is: a contract, a report, a measurement with its day.")


class AmountsDocument(_Document):
    """How much there is in production."""

    databases: StatedDocument | None = Field(default=None, description="Bytes of all databases together.")
    files: StatedDocument | None = Field(default=None, description="Bytes of everything else that is restored.")
    number_of_files: StatedDocument | None = Field(default=None, description="How many files those are.")
    hosts: StatedDocument | None = Field(default=None, description="How many hosts are built anew.")


class RatesDocument(_Document):
    """How fast production can be at best, in bytes a second."""

    vault_link: StatedDocument | None = Field(default=None, description="From the vault to the target site.")
    disk: StatedDocument | None = Field(default=None, description="What a new host writes.")


class WaitDocument(_Document):
    """What takes time and can't be tried: people, procurement, travel."""

    expected: Duration = Field(description="How long it is expected to take.")
    at_most: Duration = Field(description="What is believed to be exceeded once in twenty times at the most.")
    source: Text = Field(description="Whose word it is.")
    after: list[Name] = Field(default_factory=list, description="The waits that come before it.")


class ProductionDocument(_Document):
    """What production is, where nobody may take it down to try. A cold restart is projected to it."""

    target: Duration = Field(description="Within which time operations were promised to restart.")
    amounts: AmountsDocument = Field(default_factory=AmountsDocument, description="How much there is.")
    rates: RatesDocument = Field(default_factory=RatesDocument, description="How fast it can be at best.")
    waits: dict[Name, WaitDocument] = Field(default_factory=dict, description="What has to be waited for, by name.")


class EscrowDocument(_Document):
    """Who opens what is sealed when the controller and both datacenters are gone."""

    holders: list[Annotated[str, StringConstraints(pattern=PERSON_PATTERN)]] = Field(
        min_length=2,
        description="The persons who hold a key each. Any two of them open escrow together, and nobody alone.",
    )
    opened_every: Duration = Field(
        default=dt.timedelta(days=100),
        description="Escrow that was not opened for longer than this is red: 1d or more. 100d where nothing is said.",
    )


class EstateDocument(_Document):
    """`estate.yml`: the sites, links, workloads and promises of one organisation. Its hosts are in `hosts.yml`."""

    name: Name = Field(description="The estate's name; its state directory is called after it.")
    sites: dict[Name, SiteDocument] = Field(min_length=2, description="Every failure domain, by name.")
    links: list[LinkDocument] = Field(default_factory=list, description="The wires between carriers and sites.")
    workloads: dict[Name, WorkloadDocument] = Field(min_length=1, description="What must survive, by name.")
    services: dict[Name, ServiceDocument] = Field(default_factory=dict, description="What customers see, by name.")
    quorum: QuorumDocument = Field(description="Who agrees on leases.")
    detection: DetectionDocument = Field(description="When a site counts as lost.")
    service_level: ServiceLevelDocument = Field(description="When a service counts as restored.")
    drills: DrillsDocument = Field(description="What a drill may do here.")
    caps: CapsDocument = Field(
        default_factory=CapsDocument, description="How much one step may take away; without it one host, at one site."
    )
    firewall: FirewallDocument = Field(description="Everything that may pass; the rest is dropped.")
    routing: RoutingDocument | None = Field(
        default=None, description="How the sites find each other, where datacenters have edges."
    )
    fencing: dict[Name, FencingDocument] = Field(
        default_factory=dict,
        description="How a datacenter is fenced, by its name; by isolation at the carriers where nothing is said.",
    )
    standing_orders: list[StandingOrderDocument] = Field(
        default_factory=list, description="Runs to which two persons consented beforehand."
    )
    differences: list[DifferenceDocument] = Field(
        default_factory=list, description="In what twins at the two datacenters may differ, why, and until when."
    )
    persons: dict[Annotated[str, StringConstraints(pattern=PERSON_PATTERN)], PersonDocument] = Field(
        default_factory=dict,
        description="Whom to call, in this order, by the name that `approvers` knows; printed procedures list them.",
    )
    paging: PagingDocument | None = Field(
        default=None, description="Who is told of trouble, where hosts of the group `watcher` look for it."
    )
    production: ProductionDocument | None = Field(
        default=None, description="What production is, to which a cold restart of this estate is projected."
    )
    escrow: EscrowDocument | None = Field(
        default=None, description="Who holds the keys to escrow; without it no lost controller can be replaced."
    )
    commitments: dict[Annotated[str, StringConstraints(pattern=r"^C[0-9]{2}$")], Text] = Field(
        default_factory=dict, description="Each commitment this estate keeps, by its id, and how."
    )


class HostDocument(BaseModel):
    """A host's variables in `hosts.yml`; roles may read others besides."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, regex_engine="python-re")

    ansible_host: Address = Field(description="The host's management address.")
    site: Name = Field(description="The site where it stands.")
    address: Address | None = Field(default=None, description="The address that sites and customers see.")
