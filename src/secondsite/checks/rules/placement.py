"""Where things stand: the voters, the hosts, and who they prove to be."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)

from ...estate.model import Host, HostName, SiteName
from ...estate.places import misplaced
from ..model import Facts, Finding, World
from .frame import bad, estate_check, good, host_check

LEAST_LEFT = dt.timedelta(days=7)
_FAR = 2**33


def sites_that_decide(places: Mapping[str, SiteName]) -> list[SiteName]:
    """Return the sites whose loss alone would leave no majority of the voters."""
    voters = Counter(places.values())
    return sorted(site for site, count in voters.items() if 2 * (len(places) - count) <= len(places))


@estate_check(
    "NET-QUORUM-PLACEMENT",
    groups="etcd",
    reads="quorum",
    expected="the voters are those declared, and a majority is left whichever site is lost",
    fix="move a voter to a third site in estate.yml, then secondsite run provision",
    commitments="C09 C12",
    controls="DR-08",
    tags="placement quorum",
)
def quorum_placement(world: World, facts: Mapping[HostName, Facts]) -> Iterator[Finding]:
    """No one site holds the votes, as the voters themselves list each other."""
    by_address = {str(host.address): host for host in world.estate.hosts.values() if host.address}
    for asked, told in facts.items():
        places: dict[str, SiteName] = {}
        for member in (one for one in told["quorum"] if not one["learner"]):
            addresses = [_host_in(url) for url in member["peers"]]
            hosts = [by_address[address] for address in addresses if address in by_address]
            if not hosts:
                yield bad(f"{asked} knows a voter {member['name'] or '?'} at {addresses}, which is no host", asked)
            places |= {host.name: host.site for host in hosts}
        declared = world.estate.quorum
        if declared is not None and set(places) != set(declared.members):
            yield bad(f"{asked} knows the voters {', '.join(sorted(places))}", asked)
        deciding = sites_that_decide(places)
        told_places = ", ".join(f"{name} at {site}" for name, site in sorted(places.items()))
        yield (
            bad(f"losing {', '.join(deciding)} loses the majority ({told_places})", asked)
            if deciding
            else good(f"{asked}: {told_places}", asked)
        )


def _host_in(url: str) -> str:
    """Return the host of an address such as https://198.18.1.20:2380."""
    return url.rpartition("//")[2].partition("/")[0].rpartition(":")[0]


@estate_check(
    "INV-FAULTDOMAIN",
    reads="identity",
    expected="each host is the one that the inventory calls so, in its site's network, and no two are one machine",
    fix="correct hosts.yml, or move the host",
    commitments="C09 C12",
    controls="DR-08",
    tags="placement inventory",
)
def fault_domains(world: World, facts: Mapping[HostName, Facts]) -> Iterator[Finding]:
    """Hosts stand where the inventory says, by what they show and not by their labels."""
    machines = Counter(told["identity"]["machine_id"] for told in facts.values())
    kernels: dict[str, set[SiteName]] = {}
    for name, told in facts.items():
        host, identity = world.estate.hosts[name], told["identity"]
        kernels.setdefault(identity["boot_id"], set()).add(host.site)
        troubles = list(_elsewhere(host, identity, world))
        if machines[identity["machine_id"]] > 1:
            troubles.append("has the machine id of another host")
        for words in troubles:
            yield bad(f"{name} {words}", name)
        if not troubles:
            yield good(f"{name} at {host.site}", name)
    shared = [sites for sites in kernels.values() if len(sites) > 1]
    if shared and len(kernels) > 1:
        yield bad(f"hosts of {', '.join(sorted(set().union(*shared)))} run on one machine")
    elif shared:
        yield good("all hosts run on one machine: what machines, racks and power have in common is not tested here")


def _elsewhere(host: Host, identity: Mapping[str, Any], world: World) -> Iterator[str]:
    addresses = {str(one).partition("/")[0] for one in identity["addresses"]}
    if identity["hostname"].partition(".")[0] != host.name:
        yield f"calls itself {identity['hostname']}"
    yield from (
        f"does not have the address {address}"
        for address in (host.management, host.address)
        if address is not None and str(address) not in addresses
    )
    for site in world.estate.sites.values():
        if site.name == host.site or site.network is None or not _is_of_one_site(host, world):
            continue
        for address in (*addresses, *identity["gateways"]):
            if IPv4Address(address) in site.network:
                yield f"is plugged into {site.name} ({address})"


def _is_of_one_site(host: Host, world: World) -> bool:
    """Say whether a host belongs to one site's network; carriers join many."""
    return world.estate.sites[host.site].network is not None


@host_check(
    "SEC-HOSTID",
    reads="@ssh",
    expected="the host shows the pinned key and a certificate of its site's authority that holds for 7 days more",
    fix="find out whether the host was replaced; if you replaced it: secondsite run provision",
    commitments="C19 C21",
    controls="DR-25",
    tags="access identity",
)
def host_identity(host: Host, facts: Facts, world: World) -> Iterator[Finding]:
    """No host is another one in disguise, seen from the controller."""
    troubles = list(wrong_identity(host, facts["@ssh"], world.now))
    for words in troubles:
        yield bad(f"{host.name} {words}", host.name)
    if not troubles:
        yield good(f"{host.name}", host.name)


@host_check(
    "SEC-PLACE",
    reads="identity",
    expected="the host knows its estate, name, site and groups as the estate has them; a rebuild asks for it",
    fix="find out what was changed there; then: secondsite run provision",
    commitments="C08 C19",
    controls="DR-21 DR-25",
    tags="identity readiness",
)
def host_place(host: Host, facts: Facts, world: World) -> Iterator[Finding]:
    """Every host knows its place; one that does not would be left alone by a failover or a return."""
    place = facts["identity"]["place"]
    if not isinstance(place, Mapping):
        yield bad(f"{host.name} does not know its place", host.name)
        return
    wrong = list(misplaced(world.estate, str(host.name), place))
    yield from (bad(f"{host.name}: {words}", host.name) for words in wrong)
    if not wrong:
        yield good(f"{host.name} at {host.site}", host.name)


def wrong_identity(host: Host, told: Mapping[str, str], now: dt.datetime) -> Iterator[str]:
    """Yield what is wrong with the certificate a host showed: ``presented``, against ``authority`` and ``pinned``."""
    if not told["presented"]:
        yield "shows no host certificate"
        return
    shown = load_ssh_public_identity(told["presented"].encode())
    if not isinstance(shown, SSHCertificate) or shown.type is not SSHCertificateType.HOST:
        yield "shows no host certificate"
        return
    try:
        shown.verify_cert_signature()
    except InvalidSignature:
        yield "shows a certificate whose signature is wrong"
    if not same_key(_line(shown.signature_key()), told["authority"]):
        yield "shows a certificate that its site's authority did not sign"
    if not same_key(_line(shown.public_key()), told["pinned"]):
        yield "has another key than the pinned one"
    names = [principal.decode(errors="replace") for principal in shown.valid_principals]
    if str(host.management) not in names and host.name not in names:
        yield f"shows a certificate for {', '.join(names) or 'nobody'}"
    moment = now.timestamp()
    if not shown.valid_after <= moment <= shown.valid_before - LEAST_LEFT.total_seconds():
        ends = dt.datetime.fromtimestamp(min(shown.valid_before, _FAR), dt.UTC)
        yield f"shows a certificate that ends {ends:%Y-%m-%d}"


def _line(key: Any) -> str:
    line: bytes = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return line.decode("ascii")


def same_key(first: str, second: str) -> bool:
    """Say whether two public lines are of one key, whatever their comments."""
    return first.split()[:2] == second.split()[:2] != []


@host_check(
    "SEC-USERCA",
    reads="identity @ssh",
    expected="the host believes its own site's SSH authority, and no other",
    fix="secondsite run provision",
    commitments="C21",
    controls="DR-25",
    tags="access identity",
)
def user_authority(host: Host, facts: Facts, _: World) -> Iterator[Finding]:
    """What opens one site opens nothing at another."""
    believed, expected = facts["identity"]["user_authorities"], facts["@ssh"]["authority"]
    right = len(believed) == 1 and same_key(believed[0], expected)
    yield (
        good(f"{host.name}", host.name)
        if right
        else bad(f"{host.name} believes {len(believed)} authorities, its own site's among them or not", host.name)
    )


CHECKS = (quorum_placement, fault_domains, host_identity, host_place, user_authority)
