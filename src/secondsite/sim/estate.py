"""A small estate: two datacenters, each with one host, between two carriers, and a customer."""

from __future__ import annotations

import datetime as dt
from ipaddress import IPv4Address, IPv4Network

from ..estate.model import Detection, Estate, Firewall, Host, HostName, Link, Management, Site, SiteKind, SiteName

_SITES = (
    ("dc1", SiteKind.DATACENTER, "db-dc1", 1),
    ("dc2", SiteKind.DATACENTER, "db-dc2", 2),
    ("customers", SiteKind.CUSTOMERS, "customers", 4),
    ("carrier-a", SiteKind.CARRIER, "carrier-a", None),
    ("carrier-b", SiteKind.CARRIER, "carrier-b", None),
)


def two_site_estate() -> Estate:
    """Return the estate; its addresses are those of benchmark networks (RFC 2544)."""
    sites = {SiteName(name): _site(name, kind, number) for name, kind, _, number in _SITES}
    hosts = {HostName(host): _host(host, name, place) for place, (name, _, host, _) in enumerate(_SITES, start=1)}
    carriers = [HostName("carrier-a"), HostName("carrier-b")]
    return Estate(
        name="two-sites",
        directory="",
        digest="0" * 64,
        sites=sites,
        hosts=hosts,
        links=tuple(
            Link(name=f"{c}-{s}", carrier=c, site=s) for c in carriers for s in sites if HostName(s) not in carriers
        ),
        workloads={},
        services=(),
        detection=Detection(vantage=(HostName("customers"),), silence=dt.timedelta(seconds=1)),
        injections=(),
        commitments=(),
        firewall=Firewall(management=Management(control=IPv4Address("198.19.0.254")), zones={}, services={}, flows=()),
    )


def _site(name: str, kind: SiteKind, number: int | None) -> Site:
    network = IPv4Network(f"198.18.{number}.0/24") if number is not None else None
    return Site(name=SiteName(name), kind=kind, network=network)


def _host(name: str, site: str, place: int) -> Host:
    return Host(
        name=HostName(name),
        site=SiteName(site),
        management=IPv4Address(f"198.19.0.{place}"),
        address=IPv4Address(f"198.18.{place}.10") if place < len(_SITES) - 1 else None,
        groups=(),
    )
