"""Read the lab's topology file into nouns; every problem is told at once, with its line."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from ..errors import ConfigError, Problem, UsageError
from .model import EXCHANGE, Disk, DiskFolder, LabHost, Link, PowerEndpoint, Topology, Transit

_LIMIT = 256 * 1024


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Folder(_Strict):
    path: str
    owner: str = Field(pattern=r"^[a-z_][a-z0-9_-]{0,30}$")


class _Disk(_Strict):
    size_mib: int = Field(ge=64, le=65536)
    folders: list[_Folder] = Field(min_length=1)


class _Host(_Strict):
    site: str
    management: ipaddress.IPv4Address
    address: ipaddress.IPv4Address | None = None
    carrier_leg: int | None = Field(default=None, ge=1, le=9)
    edge_leg: int | None = Field(default=None, ge=1, le=9)
    disk: _Disk | None = None
    keeps_image: bool = False


class _Transit(_Strict):
    network: ipaddress.IPv4Network
    carrier: str
    site: str


class _Link(_Strict):
    carrier: str
    site: str


class _Endpoint(_Strict):
    management: ipaddress.IPv4Address
    cuts: str
    stands_on: str


class _Lab(_Strict):
    control: ipaddress.IPv4Interface
    sites: dict[str, ipaddress.IPv4Network] = Field(min_length=1)
    hosts: dict[str, _Host] = Field(min_length=1)
    transits: dict[str, _Transit] = Field(default_factory=dict)
    exchange: ipaddress.IPv4Network | None = None
    gateways: dict[str, ipaddress.IPv4Address] = Field(default_factory=dict)
    ducts: dict[str, list[_Link]] = Field(default_factory=dict)
    power: dict[str, _Endpoint] = Field(default_factory=dict)


def load_topology(path: Path) -> Topology:
    """Return the topology of the file.

    Raises:
        UsageError: the file cannot be read.
        ConfigError: it is not what a topology file may be.
    """
    raw = _read(path)
    try:
        lab = _Lab.model_validate(_plain(raw))
    except ValidationError as error:
        raise ConfigError([_problem(path, raw, details) for details in error.errors()]) from error
    problems = [
        Problem(file=str(path), line=_line(raw, ("hosts", name)), pointer=f"/hosts/{name}", what=what)
        for name, host in lab.hosts.items()
        for what in _wrong_with(host, lab)
    ]
    problems += [
        Problem(file=str(path), line=_line(raw, place), pointer="/" + "/".join(place), what=what)
        for place, what in _wrong_between(lab)
    ]
    if problems:
        raise ConfigError(problems)
    try:
        return _topology(lab)
    except ValueError as error:
        raise ConfigError([Problem(file=str(path), line=None, pointer="", what=str(error))]) from error


def _read(path: Path) -> Any:
    try:
        if path.stat().st_size > _LIMIT:
            raise ConfigError([Problem(file=str(path), line=None, pointer="", what="larger than 256 KiB")])
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the lab's topology {path} cannot be read: {error}", not_done="nothing was attempted"
        ) from error
    if any(mark in text for mark in ("\n&", ": &", ": *", "- &", "- *", "<<:")):
        raise ConfigError([Problem(file=str(path), line=None, pointer="", what="anchors and aliases are refused")])
    try:
        return YAML(typ="rt", pure=True).load(text)  # the round-trip loader knows lines and refuses duplicate keys
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        what = str(error.problem or error).splitlines()[0]
        raise ConfigError([Problem(file=str(path), line=line, pointer="", what=what)]) from error
    except YAMLError as error:
        raise ConfigError([Problem(file=str(path), line=None, pointer="", what=str(error))]) from error


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, str) else value


def _problem(path: Path, raw: Any, details: Any) -> Problem:
    place = tuple(str(part) for part in details["loc"])
    return Problem(file=str(path), line=_line(raw, place), pointer="/" + "/".join(place), what=str(details["msg"]))


def _line(raw: Any, place: tuple[str, ...]) -> int | None:
    line: int | None = None
    for part in place:
        if not isinstance(raw, Mapping) or part not in raw:
            break
        marks = getattr(raw, "lc", None)
        line = marks.key(part)[0] + 1 if marks is not None else line
        raw = raw[part]
    return line


def _wrong_with(host: _Host, lab: _Lab) -> list[str]:
    wrong = []
    if (host.address is None) == (host.carrier_leg is None):
        wrong.append("a host has either an address (in its site's LAN) or a carrier_leg (in many networks)")
    if host.edge_leg is not None and host.address is None:
        wrong.append("an edge_leg needs an address in the site's LAN beside it")
    if host.address is not None and host.site not in lab.sites:
        wrong.append(f"site {host.site!r} is not among the sites")
    elif host.address is not None and host.address not in lab.sites[host.site]:
        wrong.append(f"address {host.address} is not in the LAN {lab.sites[host.site]} of {host.site}")
    if host.management not in lab.control.network:
        wrong.append(f"management address {host.management} is not in {lab.control.network}")
    return wrong


def _wrong_between(lab: _Lab) -> Iterator[tuple[tuple[str, str], str]]:
    carriers = {name for name, host in lab.hosts.items() if host.carrier_leg is not None}
    seen: set[tuple[str, str]] = set()
    for name, transit in lab.transits.items():
        if transit.carrier not in carriers or transit.site not in lab.sites:
            yield ("transits", name), f"there is no link from {transit.carrier!r} to {transit.site!r}"
        if (transit.carrier, transit.site) in seen:
            yield ("transits", name), f"{transit.carrier} and {transit.site} have a transit network already"
        seen.add((transit.carrier, transit.site))
    for site, gateway in lab.gateways.items():
        if site not in lab.sites or gateway not in lab.sites[site]:
            yield ("gateways", site), f"{gateway} is in no LAN of {site!r}"
    for name, endpoint in lab.power.items():
        if endpoint.management not in lab.control.network:
            yield ("power", name), f"management address {endpoint.management} is not in {lab.control.network}"


def _topology(lab: _Lab) -> Topology:
    return Topology(
        control=lab.control,
        sites=dict(lab.sites),
        hosts={name: _host(name, host, lab) for name, host in lab.hosts.items()},
        transits={
            name: Transit(network=transit.network, carrier=transit.carrier, site=transit.site)
            for name, transit in lab.transits.items()
        },
        exchange=lab.exchange,
        gateways=dict(lab.gateways),
        ducts={
            name: tuple(Link(carrier=link.carrier, site=link.site) for link in links)
            for name, links in lab.ducts.items()
        },
        endpoints={
            name: PowerEndpoint(
                name=name, management=_interface(endpoint.management, lab.control.network),
                cuts=endpoint.cuts, stands_on=endpoint.stands_on,
            )
            for name, endpoint in lab.power.items()
        },
    )  # fmt: skip


def _host(name: str, host: _Host, lab: _Lab) -> LabHost:
    return LabHost(
        name=name, site=host.site, management=_interface(host.management, lab.control.network),
        addresses=_legs(name, host, lab), carrier=host.carrier_leg is not None, edge=host.edge_leg is not None,
        disk=_disk(host.disk), keeps_image=host.keeps_image,
    )  # fmt: skip


def _legs(name: str, host: _Host, lab: _Lab) -> dict[str, ipaddress.IPv4Interface]:
    """Return the host's address in each network: the LAN first. A carrier is the first in its transit networks."""
    if host.carrier_leg is None:
        assert host.address is not None  # noqa: S101  _wrong_with saw to it
        legs = {host.site: _interface(host.address, lab.sites[host.site])}
        if host.edge_leg is not None:
            inside = {key: transit.network for key, transit in lab.transits.items() if transit.site == host.site}
            legs |= {key: _interface(net.network_address + host.edge_leg, net) for key, net in inside.items()}
        return legs
    behind_edges = {transit.site for transit in lab.transits.values()}
    legs = {
        site: _interface(lan.network_address + host.carrier_leg, lan)
        for site, lan in lab.sites.items()
        if site not in behind_edges
    }
    own = {key: transit.network for key, transit in lab.transits.items() if transit.carrier == name}
    legs |= {key: _interface(network.network_address + 1, network) for key, network in own.items()}
    if lab.exchange is not None:
        legs[EXCHANGE] = _interface(lab.exchange.network_address + host.carrier_leg, lab.exchange)
    return legs


def _disk(disk: _Disk | None) -> Disk | None:
    if disk is None:
        return None
    folders = tuple(DiskFolder(path=folder.path, owner=folder.owner) for folder in disk.folders)
    return Disk(size_mib=disk.size_mib, folders=folders)


def _interface(address: ipaddress.IPv4Address, network: ipaddress.IPv4Network) -> ipaddress.IPv4Interface:
    return ipaddress.IPv4Interface(f"{address}/{network.prefixlen}")
