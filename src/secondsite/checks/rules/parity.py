"""What twins must have in common: packages, files, kernel settings, access, size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ...estate.model import Host
from ..absence import KEEPERS_PORT
from ..model import Facts, Finding, Pair, World
from .frame import bad, estate_check, good, host_check, pair_check
from .twins import without_twin

FIX = "secondsite run provision"
# Who may enter and what they may do there. The rest of the files is configuration.
_ACCESS = (
    *("/etc/sudoers", "/etc/sudoers.d/", "/etc/ssh/", "/etc/pam.d/", "/etc/security/", "/etc/polkit-1/", "/etc/audit/"),
    *("/etc/login.defs", "/etc/nsswitch.conf"),
)
_SHORT_OF = 0.95


def is_access(path: str) -> bool:
    """Say whether a file decides who may enter."""
    return path.startswith(_ACCESS)


def unlike(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield each key whose values differ, with both; None stands for one that is not there."""
    for key in sorted({*first, *second}):
        if first.get(key) != second.get(key):
            yield key, first.get(key), second.get(key)


def same_file(first: Mapping[str, Any] | None, second: Mapping[str, Any] | None) -> bool:
    """Say whether two files are as alike as twins' files are.

    The words of a file that names hosts of both sites may stand in another order, because lists are sorted by name.
    """
    if first is None or second is None or first["mode"] != second["mode"]:
        return False
    if first["strict"] == second["strict"]:
        return True
    return bool(first.get("there") or second.get("there")) and first.get("loose") == second.get("loose")


def _files(pair: Pair, first: Facts, second: Facts, *, access: bool) -> Iterator[Finding]:
    mine, other = first["files"], second["files"]
    paths = [path for path in sorted({*mine, *other}) if is_access(path) is access]
    unequal = [path for path in paths if not same_file(mine.get(path), other.get(path))]
    for path in unequal:
        yield bad(
            f"{path} {_how_unlike(pair, mine.get(path), other.get(path))}", *pair.names, difference=f"config:{path}"
        )
    if not unequal:
        yield good(f"{' and '.join(pair.names)}: {len(paths)} files", *pair.names)


def _how_unlike(pair: Pair, first: Mapping[str, Any] | None, second: Mapping[str, Any] | None) -> str:
    if first is None or second is None:
        has, lacks = pair.names if second is None else reversed(pair.names)
        return f"is on {has} and not on {lacks}"
    if first["mode"] != second["mode"]:
        return f"is {first['mode']} on {pair.names[0]} and {second['mode']} on {pair.names[1]}"
    return f"differs between {pair.names[0]} and {pair.names[1]}"


@pair_check(
    "CFG-PARITY",
    reads="files",
    expected="twins have the same configuration and own programs, apart from their declared names and addresses",
    fix=FIX,
    commitments="C09 C12",
    controls="DR-07 DR-25",
    tags="parity config",
)
def config_parity(pair: Pair, first: Facts, second: Facts, _: World) -> Iterator[Finding]:
    """The configuration of both datacenters is the same."""
    yield from _files(pair, first, second, access=False)


@pair_check(
    "SEC-PARITY",
    reads="files identity",
    expected="twins have the same users, groups, sudo rules, SSH principals and login rules",
    fix=FIX,
    commitments="C21",
    controls="DR-25",
    tags="parity access",
)
def access_parity(pair: Pair, first: Facts, second: Facts, _: World) -> Iterator[Finding]:
    """Whoever may enter at one datacenter may enter at the other, and nobody else."""
    yield from _files(pair, first, second, access=True)
    for kind in ("users", "members"):
        for name, here, there in unlike(first["identity"][kind], second["identity"][kind]):
            what = f"{'user' if kind == 'users' else 'group'} {name}"
            saw = f"{what}: {pair.names[0]} has {here or 'none'}, {pair.names[1]} has {there or 'none'}"
            yield bad(saw, *pair.names, difference=f"access:{name}")


@pair_check(
    "RDY-VERSION",
    reads="packages identity",
    expected="twins have the same packages in the same versions, of the same release",
    fix=FIX,
    commitments="C05 C09",
    controls="DR-07",
    tags="parity packages readiness",
)
def versions(pair: Pair, first: Facts, second: Facts, _: World) -> Iterator[Finding]:
    """The software of both datacenters is the same."""
    troubles = 0
    for name, here, there in unlike(first["packages"], second["packages"]):
        troubles += 1
        yield bad(f"{name}: {here or 'none'} on {pair.names[0]}, {there or 'none'} on {pair.names[1]}", *pair.names,
                  difference=f"package:{name}")  # fmt: skip
    releases = (first["identity"]["release"], second["identity"]["release"])
    if releases[0] != releases[1]:
        troubles += 1
        yield bad(f"{pair.names[0]} is {releases[0]}, {pair.names[1]} is {releases[1]}", *pair.names)
    if not troubles:
        yield good(f"{' and '.join(pair.names)}: {len(first['packages'])} packages", *pair.names)


@host_check(
    "CFG-KERNEL",
    reads="kernel",
    expected="every kernel setting on disk is the one in force",
    fix="sysctl --system on the host, or secondsite run provision",
    commitments="C01 C09",
    controls="DR-25",
    tags="config kernel",
)
def kernel_settings(host: Host, facts: Facts, _: World) -> Iterator[Finding]:
    """Kernel settings would be the same after a reboot."""
    disk, live = facts["kernel"]["disk"], facts["kernel"]["live"]
    stale = [name for name in sorted(disk) if live.get(name) != disk[name]]
    for name in stale:
        yield bad(f"{host.name}: {name} is {live.get(name)}, on disk {disk[name]}", host.name)
    if not stale:
        yield good(f"{host.name}: {len(disk)} settings", host.name)


@pair_check(
    "CFG-KERNEL-PARITY",
    reads="kernel",
    expected="twins run with the same kernel settings",
    fix=FIX,
    commitments="C09",
    controls="DR-07 DR-25",
    tags="parity config kernel",
)
def kernel_parity(pair: Pair, first: Facts, second: Facts, _: World) -> Iterator[Finding]:
    """Kernel settings of both datacenters are the same."""
    found = list(unlike(first["kernel"]["live"], second["kernel"]["live"]))
    for name, here, there in found:
        yield bad(
            f"{name}: {here} on {pair.names[0]}, {there} on {pair.names[1]}", *pair.names, difference=f"sysctl:{name}"
        )
    if not found:
        yield good(f"{' and '.join(pair.names)}: {len(first['kernel']['live'])} settings", *pair.names)


@pair_check(
    "CAP-PARITY",
    reads="capacity",
    expected="each datacenter can carry what the other can: processors, memory, disk, connections",
    fix=FIX,
    commitments="C09 C12",
    controls="DR-07 DR-16",
    tags="parity capacity",
)
def capacity(pair: Pair, first: Facts, second: Facts, _: World) -> Iterator[Finding]:
    """Neither datacenter is smaller than the other."""
    mine, other = first["capacity"], second["capacity"]
    troubles = 0
    for name in sorted({*mine, *other}):
        values = (_number(mine.get(name)), _number(other.get(name)))
        for host, has, needs in ((pair.second, values[1], values[0]), (pair.first, values[0], values[1])):
            if has < needs * _SHORT_OF:
                troubles += 1
                yield bad(
                    f"{host.name}: {name} {has:g}, its twin has {needs:g}", host.name, difference=f"capacity:{name}"
                )
    if not troubles:
        yield good(f"{' and '.join(pair.names)}: {len(mine)} figures", *pair.names)


def _number(value: object) -> float:
    """Return a figure; one that is not limited at all is as large as can be told apart."""
    return float(value) if isinstance(value, int | float) else float("inf") if value is None else float(str(value))


@pair_check(
    "DEP-HIDDEN",
    reads="files peers",
    expected="no file at one datacenter names the other unless its twin's does too; no application talks to the other",
    fix=FIX,
    commitments="C09 C12",
    controls="DR-02 DR-08",
    tags="dependencies parity",
)
def hidden_dependencies(pair: Pair, first: Facts, second: Facts, world: World) -> Iterator[Finding]:
    """Nothing at one datacenter secretly needs the other."""
    troubles = 0
    for path in sorted({*first["files"], *second["files"]}):
        mine, other = (_mentions(side, path) for side in (first, second))
        for host, here, there in ((pair.first, mine, other), (pair.second, other, mine)):
            for word in sorted(here - there):
                troubles += 1
                yield bad(f"{host.name}: {path} points to the other datacenter ({word.strip('{}')})", host.name,
                          difference=f"dependency:{path}")  # fmt: skip
    for host, facts in ((pair.first, first), (pair.second, second)):
        for peer in _peers_elsewhere(host, facts, world):
            troubles += 1
            yield bad(f"{host.name} is connected to {peer} at the other datacenter", host.name)
    if not troubles:
        yield good(f"{' and '.join(pair.names)}", *pair.names)


def _mentions(facts: Facts, path: str) -> Counter[str]:
    """Return which names of the other datacenter a file has, and how often."""
    return Counter((facts["files"].get(path) or {}).get("there", []))


def _peers_elsewhere(host: Host, facts: Facts, world: World) -> Iterator[str]:
    """Name whom an application host talks to at the other datacenter; name servers, pages and keepers apart."""
    serving = {name for service in world.estate.services for name in service.members.values()}
    if host.name not in serving:
        return
    sites = {member for service in world.estate.services for member in service.members} - {host.site}
    others = {str(one.address): one.name for one in world.estate.hosts.values() if one.site in sites and one.address}
    apart = {53, 853, KEEPERS_PORT, *((world.estate.paging.port,) if world.estate.paging is not None else ())}
    for peer in facts["peers"]:
        if peer["address"] in others and peer["port"] not in apart:
            yield f"{others[peer['address']]} port {peer['port']}"


@estate_check(
    "INV-TWINS",
    reads="",
    expected="every host of one datacenter has a twin at the other: the same groups, the same place among its equals",
    fix="complete hosts.yml",
    commitments="C09",
    controls="DR-07",
    tags="parity inventory",
)
def twins(world: World, _: Mapping[Any, Facts]) -> Iterator[Finding]:
    """Both datacenters have the same hosts."""
    alone = without_twin(world.estate)
    for host in alone:
        yield bad(f"{host.name} ({', '.join(host.groups)}) has no twin", host.name, difference=f"twin:{host.name}")
    if not alone:
        yield good("every host has a twin")


CHECKS = (config_parity, access_parity, versions, kernel_settings, kernel_parity, capacity, hidden_dependencies, twins)
