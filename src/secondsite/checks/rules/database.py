"""Databases: durable for whoever writes, followed at the other datacenter, able to take over, and alike."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

from ...estate.model import Host, HostName, Workload
from ..model import Facts, Finding, Pair, World
from .frame import bad, estate_check, good, host_check, pair_check, unclear
from .parity import unlike

FIX = "secondsite run provision"
DURABLE = frozenset({"on", "remote_apply"})
FARTHEST_BEHIND = 16 << 20
LONGEST_SILENCE_S = 10.0
OLDEST_HEARTBEAT_S = 5.0
LARGEST_LAG = 16 << 20
# What is a host's own, or depends on which of the two leads at the moment.
_OWN = frozenset(
    {
        *("listen_addresses", "primary_conninfo", "primary_slot_name", "in_hot_standby", "transaction_read_only"),
        *("secondsite.node", "synchronous_standby_names", "recovery_target_timeline", "default_transaction_read_only"),
        *("shared_memory_size", "shared_memory_size_in_huge_pages", "num_os_semaphores", "archive_library"),
    }
)


def workload_at(world: World, port: str) -> Workload | None:
    """Return the workload whose cluster answers at a port."""
    return next((one for one in world.estate.workloads.values() if str(one.settings.get("port")) == port), None)


def loses_nothing(workload: Workload | None) -> bool:
    """Say whether nothing acknowledged may be lost. What is not declared is taken to be precious."""
    return workload is None or workload.objectives.rpo == dt.timedelta(0)


def effective(role: str, database: str, cluster: Mapping[str, Any], name: str) -> str:
    """Return a setting as a session of this role in this database begins with it (PostgreSQL's own precedence)."""
    for key in (f"{role}@{database}", f"{role}@", f"@{database}", "@"):
        for word in cluster["role_settings"].get(key) or []:
            given, _, value = str(word).partition("=")
            if given == name:
                return value
    return str(cluster["settings"][name])


@host_check(
    "CFG-DURABILITY",
    groups="database",
    reads="postgres",
    expected="where nothing may be lost, every role that may log in commits only with the standby's copy on disk",
    fix="as postgres: ALTER ROLE ... RESET synchronous_commit, or secondsite run provision",
    commitments="C09 C12",
    controls="DR-14 DR-17",
    tags="database durability",
)
def durability(host: Host, facts: Facts, world: World) -> Iterator[Finding]:
    """No role, database or cluster may commit with less than was promised."""
    for port, cluster in sorted(facts["postgres"].items()):
        if not loses_nothing(workload_at(world, port)):
            continue
        weak = list(_weak(cluster))
        for words in weak:
            yield bad(f"{host.name} port {port}: {words}", host.name)
        if not weak:
            yield good(f"{host.name} port {port}: {len(cluster['roles'])} roles", host.name)


def _weak(cluster: Mapping[str, Any]) -> Iterator[str]:
    for name in ("fsync", "full_page_writes"):
        if cluster["settings"][name] != "on":
            yield f"{name} is {cluster['settings'][name]}"
    if not cluster["recovering"] and not cluster["settings"]["synchronous_standby_names"]:
        yield "no standby is synchronous"
    if cluster["checksums"] != "on":
        yield "data checksums are off"
    for role, rights in sorted(cluster["roles"].items()):
        for database in cluster["databases"] if rights["login"] else []:
            value = effective(role, database, cluster, "synchronous_commit")
            if value not in DURABLE:
                yield f"role {role} in {database} commits with synchronous_commit={value}"


@host_check(
    "RDY-LOGIN",
    groups="web",
    reads="logins",
    expected="the application logs in at its own site's database in every role, over TLS, and its commits are durable",
    fix=FIX,
    commitments="C09 C12 C21",
    controls="DR-07 DR-25",
    tags="database readiness access",
)
def logins(host: Host, facts: Facts, world: World) -> Iterator[Finding]:
    """Real logins, with the application's own settings, from every application host."""
    for one in facts["logins"]:
        place = f"{host.name} as {one['role']} at {one['host']} port {one['port']}"
        trouble = one.get("trouble") or _wrong_login(host, one, world)
        yield bad(f"{place}: {trouble}", host.name) if trouble else good(place, host.name)


def _wrong_login(host: Host, one: Mapping[str, Any], world: World) -> str:
    node = world.estate.hosts.get(HostName(str(one["node"])))
    if one["as"] != one["role"]:
        return f"logged in as {one['as']}"
    if node is None or node.site != host.site:
        return f"answered by {one['node']}, which is not at {host.site}"
    if one["tls"] is not True:
        return "not over TLS"
    workloads = world.estate.workloads.values()
    workload = next((known for known in workloads if known.settings.get("database") == one["database"]), None)
    if loses_nothing(workload) and one["synchronous_commit"] not in DURABLE:
        return f"commits with synchronous_commit={one['synchronous_commit']}"
    return ""


@estate_check(
    "FEN-SINGLE-WRITER",
    groups="database",
    reads="postgres",
    expected="each cluster has exactly one member that accepts writes",
    fix="secondsite runs list; then fence the member that must not write",
    commitments="C09",
    controls="DR-06",
    tags="database replication",
)
def single_writer(_: World, facts: Mapping[HostName, Facts]) -> Iterator[Finding]:
    """Nobody else writes: every member is asked, not only the one that leads."""
    for port, members in clusters(facts).items():
        writers = [host for host, one in members.items() if not one["recovering"]]
        told = f"port {port}: {', '.join(writers) or 'nobody'} of {len(members)} accepts writes"
        yield good(told, *members) if len(writers) == 1 else bad(told, *members)


def clusters(facts: Mapping[HostName, Facts]) -> dict[str, dict[HostName, Mapping[str, Any]]]:
    """Return the members by port and host."""
    found: dict[str, dict[HostName, Mapping[str, Any]]] = {}
    for host, told in facts.items():
        for port, member in told["postgres"].items():
            found.setdefault(port, {})[host] = member
    return dict(sorted(found.items()))


@estate_check(
    "RP-WALRECEIVER",
    groups="database",
    reads="postgres",
    expected="every standby receives from its cluster's writer, and is less than 16 MiB behind, seen from both ends",
    fix="on the standby: patronictl -c /etc/patroni/<scope>.yml reinit <scope> <host>",
    commitments="C09 C12",
    controls="DR-06 DR-17",
    tags="database replication",
)
def wal_receiver(_: World, facts: Mapping[HostName, Facts]) -> Iterator[Finding]:
    """Replication runs, and not only says so."""
    for port, members in clusters(facts).items():
        written = max((int(float(one["written"])) for one in members.values() if one["written"]), default=None)
        for host, one in members.items():
            if one["recovering"]:
                trouble = _behind(one, written)
                place = f"{host} port {port}"
                yield bad(f"{place}: {trouble}", host) if trouble else good(f"{place} follows", host)
        if len(members) > 1 and all(not one["recovering"] for one in members.values()):
            yield bad(f"port {port}: no member follows another", *members)


@estate_check(
    "RP-HEARTBEAT",
    groups="database",
    reads="heartbeat",
    expected=f"what a cluster's writer writes now is read at every standby, less than {OLDEST_HEARTBEAT_S:g} s old",
    fix="on the standby: patronictl -c /etc/patroni/<scope>.yml reinit <scope> <host>",
    commitments="C09 C12",
    controls="DR-06 DR-17",
    tags="database replication",
)
def heartbeat(_: World, facts: Mapping[HostName, Facts]) -> Iterator[Finding]:
    """What is written arrives, whatever anybody says of a lag."""
    members: dict[str, dict[HostName, Mapping[str, Any]]] = {}
    for host, told in facts.items():
        for port, one in told["heartbeat"].items():
            members.setdefault(port, {})[host] = one
    for port, here in members.items():
        if not any(one["writes"] for one in here.values()):
            yield unclear(f"port {port}: nobody could write a time", *here)
            continue
        for host, one in here.items():
            if not one["writes"]:
                yield _arrived(host, f"{host} port {port}", one["age_s"])


def _arrived(host: HostName, place: str, age: float | None) -> Finding:
    if age is None:
        return bad(f"{place}: no time ever arrived", host)
    said = f"{place}: the newest time that arrived is {float(age):.1f} s old"
    return bad(said, host) if float(age) > OLDEST_HEARTBEAT_S else good(said, host)


def _behind(standby: Mapping[str, Any], written: int | None) -> str:
    receiver = standby["receiver"]
    if receiver is None:
        return "it has no WAL receiver"
    if receiver["status"] != "streaming":
        return f"its WAL receiver is {receiver['status']}"
    if float(receiver["silence_s"] or 0) > LONGEST_SILENCE_S:
        return f"it heard nothing from {receiver['sender']} for {float(receiver['silence_s']):.0f} s"
    if written is None or standby["received"] is None:
        return "how far it is behind can't be told"
    lag = written - int(float(standby["received"]))
    return f"it is {lag} bytes behind" if lag > FARTHEST_BEHIND else ""


@host_check(
    "RDY-COLLATION",
    groups="database",
    reads="postgres",
    expected="the collation each database was built with is the one the operating system has",
    fix="as postgres: REINDEX DATABASE, then ALTER DATABASE ... REFRESH COLLATION VERSION",
    commitments="C09",
    controls="DR-07 DR-14",
    tags="database readiness",
)
def collation(host: Host, facts: Facts, _: World) -> Iterator[Finding]:
    """Indexes of text are in the order that this host believes in."""
    for port, cluster in sorted(facts["postgres"].items()):
        for database, (built, actual) in sorted(cluster["collations"].items()):
            name, _space, version = built.rpartition(" ")
            place = f"{host.name} port {port}: {database} ({name}) was built with {version}, here is {actual}"
            yield good(place, host.name) if version in (actual, "-") else bad(place, host.name)


@pair_check(
    "RDY-COLLATION-PARITY",
    groups="database",
    reads="postgres",
    expected="both datacenters order text alike",
    fix="bring both hosts to the same release, then reindex",
    commitments="C09",
    controls="DR-07 DR-14",
    tags="database readiness parity",
)
def collation_parity(pair: Pair, first: Facts, second: Facts, _: World) -> Iterator[Finding]:
    """The operating systems of both datacenters sort text in the same way."""
    for port in sorted({*first["postgres"], *second["postgres"]}):
        sides = [
            {name: words[1] for name, words in side["postgres"][port]["collations"].items()} for side in (first, second)
        ]
        told = f"port {port}: {pair.names[0]} has {sides[0]}, {pair.names[1]} has {sides[1]}"
        yield good(f"port {port}: alike", *pair.names) if sides[0] == sides[1] else bad(told, *pair.names)


@pair_check(
    "CFG-DATABASE",
    groups="database",
    reads="postgres",
    expected="twins' clusters have the same version, settings, extensions at hand and rights of roles",
    fix=FIX,
    commitments="C09 C21",
    controls="DR-07 DR-25",
    tags="database parity config",
)
def database_parity(pair: Pair, first: Facts, second: Facts, _: World) -> Iterator[Finding]:
    """The databases of both datacenters are the same."""
    troubles = 0
    for port in sorted({*first["postgres"], *second["postgres"]}):
        here, there = (side["postgres"].get(port) for side in (first, second))
        if here is None or there is None:
            troubles += 1
            yield bad(f"port {port}: no cluster on {pair.names[1] if there is None else pair.names[0]}", *pair.names)
            continue
        for kind, name, mine, other in _unlike_clusters(here, there):
            troubles += 1
            saw = f"port {port}: {kind} {name} is {mine} on {pair.names[0]} and {other} on {pair.names[1]}"
            yield bad(saw, *pair.names, difference=f"database:{name}")
    if not troubles:
        yield good(f"{' and '.join(pair.names)}: {len(first['postgres'])} clusters", *pair.names)


def _unlike_clusters(here: Mapping[str, Any], there: Mapping[str, Any]) -> Iterator[tuple[str, str, Any, Any]]:
    for name in ("version", "checksums", "system"):
        if here[name] != there[name]:
            yield "its", name, here[name], there[name]
    for kind in ("settings", "extensions", "roles", "role_settings"):
        for name, mine, other in unlike(here[kind], there[kind]):
            if name not in _OWN:
                yield kind, name, mine, other


@host_check(
    "RDY-AUTOFAIL",
    groups="database",
    reads="patroni",
    expected="Patroni is not paused, every member may take over; where nothing may be lost a standby is synchronous",
    fix="patronictl -c /etc/patroni/<scope>.yml resume, or secondsite run provision",
    commitments="C12",
    controls="DR-06 DR-26",
    tags="database readiness failover",
)
def automatic_failover(host: Host, facts: Facts, world: World) -> Iterator[Finding]:
    """Nothing keeps a standby from taking over, as Patroni sees it now."""
    for scope, told in sorted(facts["patroni"].items()):
        troubles = list(_held_back(scope, told, world))
        for words in troubles:
            yield bad(f"{scope} as {host.name} sees it: {words}", host.name)
        if not troubles:
            yield good(f"{scope} as {host.name} sees it", host.name)


def _held_back(scope: str, told: Mapping[str, Any], world: World) -> Iterator[str]:
    if told["cluster"].get("pause") or told["self"].get("pause"):
        yield "it is paused"
    members = told["cluster"]["members"]
    for member in members:
        held = sorted(name for name in ("nofailover", "nosync", "noloadbalance", "clonefrom") if _is_set(member, name))
        if "nofailover" in held or "nosync" in held:
            yield f"{member['name']} is tagged {', '.join(held)}"
        if member.get("state") not in ("running", "streaming"):
            yield f"{member['name']} is {member.get('state')}"
    workload = next((one for one in world.estate.workloads.values() if one.settings.get("scope") == scope), None)
    if loses_nothing(workload) and not any("sync" in str(member.get("role")) for member in members):
        yield "no standby is synchronous"
    missing = set(workload.members.values()) - {member["name"] for member in members} if workload else set()
    if missing:
        yield f"{', '.join(sorted(missing))} is no member"


def _is_set(member: Mapping[str, Any], tag: str) -> bool:
    return bool((member.get("tags") or {}).get(tag))


@host_check(
    "CFG-FAILOVER",
    groups="database",
    reads="patroni",
    expected="the agreed settings let nobody take over who is far behind or on another history",
    fix=FIX,
    commitments="C09 C12",
    controls="DR-06",
    tags="database config failover",
)
def failover_baseline(host: Host, facts: Facts, world: World) -> Iterator[Finding]:
    """Patroni's agreed settings are safe."""
    for scope, told in sorted(facts["patroni"].items()):
        config = told["config"]
        troubles = []
        if int(config["maximum_lag_on_failover"]) > LARGEST_LAG:
            troubles.append(f"maximum_lag_on_failover is {config['maximum_lag_on_failover']}")
        if config.get("check_timeline") is not True:
            troubles.append("check_timeline is not true")
        if config.get("failsafe_mode"):
            troubles.append("failsafe_mode lets a leader write that lost the majority")
        workload = next((one for one in world.estate.workloads.values() if one.settings.get("scope") == scope), None)
        if loses_nothing(workload) and config.get("synchronous_mode") is not True:
            troubles.append("synchronous_mode is not true")
        for words in troubles:
            yield bad(f"{scope} as {host.name} sees it: {words}", host.name)
        if not troubles:
            yield good(f"{scope} as {host.name} sees it", host.name)


CHECKS = (
    *(durability, logins, single_writer, wal_receiver, heartbeat, collation, collation_parity, database_parity),
    *(automatic_failover, failover_baseline),
)
