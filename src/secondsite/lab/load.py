"""Read the lab's topology file into nouns; every problem is told at once, with its line."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from ..errors import ConfigError, Problem, UsageError
from .model import Disk, DiskFolder, LabHost, Topology

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
    disk: _Disk | None = None


class _Lab(_Strict):
    control: ipaddress.IPv4Interface
    sites: dict[str, ipaddress.IPv4Network] = Field(min_length=1)
    hosts: dict[str, _Host] = Field(min_length=1)


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
        wrong.append("a host has either an address (in its site's LAN) or a carrier_leg (in every LAN)")
    if host.address is not None and host.site not in lab.sites:
        wrong.append(f"site {host.site!r} is not among the sites")
    elif host.address is not None and host.address not in lab.sites[host.site]:
        wrong.append(f"address {host.address} is not in the LAN {lab.sites[host.site]} of {host.site}")
    if host.management not in lab.control.network:
        wrong.append(f"management address {host.management} is not in {lab.control.network}")
    return wrong


def _topology(lab: _Lab) -> Topology:
    return Topology(
        control=lab.control,
        sites=dict(lab.sites),
        hosts={name: _host(name, host, lab) for name, host in lab.hosts.items()},
    )


def _host(name: str, host: _Host, lab: _Lab) -> LabHost:
    if host.carrier_leg is not None:
        legs = {site: _interface(net.network_address + host.carrier_leg, net) for site, net in lab.sites.items()}
    else:
        assert host.address is not None  # noqa: S101  _wrong_with saw to it
        legs = {host.site: _interface(host.address, lab.sites[host.site])}
    return LabHost(
        name=name, site=host.site, management=_interface(host.management, lab.control.network), addresses=legs,
        carrier=host.carrier_leg is not None, disk=_disk(host.disk),
    )  # fmt: skip


def _disk(disk: _Disk | None) -> Disk | None:
    if disk is None:
        return None
    folders = tuple(DiskFolder(path=folder.path, owner=folder.owner) for folder in disk.folders)
    return Disk(size_mib=disk.size_mib, folders=folders)


def _interface(address: ipaddress.IPv4Address, network: ipaddress.IPv4Network) -> ipaddress.IPv4Interface:
    return ipaddress.IPv4Interface(f"{address}/{network.prefixlen}")
