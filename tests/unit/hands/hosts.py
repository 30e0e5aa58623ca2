"""Hosts for the tests of this room."""

from __future__ import annotations

from ipaddress import IPv4Address

from secondsite.estate.model import Host, HostName, SiteName


def host(name: str = "web-dc1", *, site: str = "dc1", number: int = 21, groups: tuple[str, ...] = ("web",)) -> Host:
    return Host(
        name=HostName(name),
        site=SiteName(site),
        management=IPv4Address(f"198.19.0.{number}"),
        address=IPv4Address("198.18.1.10"),
        groups=groups,
    )


WEB = host()
DATABASE = host("db-dc1", number=22, groups=("database", "etcd"))
VAULT = host("vault", site="vault", number=41, groups=("vault", "etcd"))

POISON = (
    "-oProxyCommand=touch /run/poisoned",
    "$(touch /run/poisoned)",
    "{{ lookup('pipe', 'id') }}",
    "web\n  ProxyCommand touch /run/poisoned",
    "web dc1",
    "web;reboot",
    "WEB",
    "",
    "a" * 64,
)
