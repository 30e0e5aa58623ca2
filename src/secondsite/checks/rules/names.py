"""DNS: what name servers and resolvers answer for the services' names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...estate.model import HostName
from ..model import Facts, Finding, World
from .frame import bad, estate_check, good, unclear

_SHARE_OF_RTO = 10  # a resolver may keep a service's address for a tenth of its shortest recovery time


def _answers(world: World, facts: Mapping[HostName, Facts]) -> Iterator[tuple[HostName, Mapping[str, object]]]:
    for host in world.estate.hosts:
        for answer in facts.get(host, {}).get("names", []):
            yield host, answer


def _is_loopback(answer: Mapping[str, object]) -> bool:
    return str(answer["server"]).startswith("127.")


@estate_check(
    "DNS-SERIALS",
    reads="names",
    expected="every authoritative name server has the same serial of the zone, and at least two sites have one",
    fix="on the primary: knotc zone-notify ZONE; on a server that is ahead of it: knotc zone-retransfer ZONE",
    commitments="C09 C12",
    controls="DR-26",
    tags="names dns",
)
def serials(world: World, facts: Mapping[HostName, Facts]) -> Iterator[Finding]:
    """All name servers tell the same story."""
    authoritative = [(host, answer) for host, answer in _answers(world, facts) if answer.get("authoritative")]
    for service in world.estate.published:
        mine = [(host, answer) for host, answer in authoritative if answer["name"] == service.dns_name]
        yield from _compared(world, service.dns_name, mine)


def _compared(world: World, name: str, mine: list[tuple[HostName, Mapping[str, object]]]) -> Iterator[Finding]:
    for host, answer in mine:
        if answer.get("trouble"):
            yield bad(f"{host}: {answer['server']} says nothing about {name}: {answer['trouble']}", host)
    told = {(host, str(answer["server"])): answer for host, answer in mine if not answer.get("trouble")}
    serials = {answer["serial"] for answer in told.values()}
    addresses = {tuple(map(str, _listed(answer["addresses"]))) for answer in told.values()}
    hosts = tuple(dict.fromkeys(host for host, _ in told))
    sites = {world.estate.hosts[host].site for host in hosts}
    if len(sites) < 2:  # noqa: PLR2004  one site's loss must not be the names' loss
        yield bad(f"{name} is served at {len(sites)} site", *hosts)
    elif len(serials) != 1 or len(addresses) != 1:
        seen = "; ".join(
            f"{server} has {answer['serial']} {answer['addresses']}" for (_, server), answer in told.items()
        )
        yield bad(f"{name}: {seen}", *hosts)
    else:
        yield good(f"{name}: serial {serials.pop()} at {len(told)} servers of {len(sites)} sites", *hosts)


@estate_check(
    "DNS-TTL",
    reads="names",
    expected="nobody may keep a service's address longer than declared, nor than a tenth of its shortest recovery time",
    fix="secondsite run provision",
    commitments="C12",
    controls="DR-26",
    tags="names dns",
)
def time_to_live(world: World, facts: Mapping[HostName, Facts]) -> Iterator[Finding]:
    """A redirected name is found again in time."""
    for service in world.estate.published:
        shortest = min(world.estate.workloads[name].objectives.rto for name in service.workloads)
        allowed = min(service.ttl, shortest / _SHARE_OF_RTO).total_seconds()
        for host, answer in _answers(world, facts):
            if answer["name"] != service.dns_name or answer.get("trouble"):
                continue
            said = f"{host}: {answer['server']} lets {service.dns_name} be kept for {answer['ttl']} s"
            if answer["ttl"] is None:
                yield unclear(f"{host}: {answer['server']} knows no address of {service.dns_name}", host)
            elif float(str(answer["ttl"])) > allowed:
                yield bad(f"{said}, and {allowed:g} s are allowed", host)
            else:
                yield good(said, host)


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


CHECKS = (serials, time_to_live)
