"""Backups that were verified: read back, restored, compared with what lived, and brought to one second before a loss.

A verification counts for as long as its rota lets pass until the next one, with one that may be missed. One that was
never made, that failed, or that is older is red; a host that can't be read is unknown.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

from ...estate.model import Host, HostName
from ..freshness import expected_jobs
from ..model import Facts, Finding, World
from .frame import bad, estate_check, good, unclear

_ALL = "producer repository"
_DAY = dt.timedelta(days=1)
_DAILY = 2 * _DAY + dt.timedelta(hours=3)
_WEEKLY = dt.timedelta(days=15)
_AHEAD = dt.timedelta(minutes=2)
_ROTA_SLACK = 2
_SENT, _DUMPS = ("files", "agreement", "names"), "databases"


def _stanzas(world: World) -> list[str]:
    return [one.settings["scope"] for one in world.estate.workloads.values() if one.adapter == "patroni"]


def _of_group(world: World, facts: Mapping[HostName, Facts], *groups: str) -> list[Host]:
    return [host for host in world.estate.hosts.values() if set(groups) <= set(host.groups) and host.name in facts]


def trouble(told: Mapping[str, Any] | None, *, now: float, oldest: dt.timedelta) -> str:
    """Return what is wrong with a verification: never made, failed, or too old; nothing where all is well."""
    if told is None:
        return "was never made"
    why = "; ".join(str(reason) for reason in told["why"])
    if told["ok"] is not True:
        return f"failed: {why or 'it did not say why'}"
    age = now - told["ended"]
    if age < -_AHEAD.total_seconds():
        return f"is from the future, by {-age:.0f} s"
    return f"is {age / 3600:.0f} h old" if age > oldest.total_seconds() else ""


def rota_trouble(told: Mapping[str, Any] | None, *, now: float) -> str:
    """Return what is wrong with reading everything by turns; a part unread for longer than a rota takes is, too."""
    if found := trouble(told, now=now, oldest=_DAILY):
        return found
    if told is None:
        raise ValueError("nothing was told")
    rota = told["rota"]
    if rota["parts"] < 1:
        raise ValueError(f"a rota of {rota['parts']} parts")
    oldest = _DAY * (rota["parts"] + _ROTA_SLACK)
    for part in range(rota["parts"]):
        age = now - rota["read"].get(str(part), rota["since"])
        if age > oldest.total_seconds():
            return f"has part {part + 1} of {rota['parts']} unread for {age / 86400:.1f} days"
    return ""


# --- read back ---


@estate_check(
    "BK-READ",
    reads="verified",
    groups=_ALL,
    expected="every byte of each stanza at each repository, of every producer's snapshots at the append-only server,"
    " and of every producer's own as it gets them back, was read over the rota and is what it was",
    fix="on the host named: systemctl start secondsite-verify@newest (at a repository), @packs (there) or @snapshots",
    commitments="C02 C03",
    controls="DR-11 DR-12",
    tags="backup",
)
def read_back(world: World, facts: Mapping[HostName, Facts]) -> Iterator[Finding]:
    """Whatever is kept as a backup can be read, and is what was written."""
    for host in _of_group(world, facts, "repository"):
        told = facts[host.name]["verified"]
        for stanza in _stanzas(world):
            wrong = trouble(told["stanzas"].get(f"{stanza}.read"), now=told["now"], oldest=_DAILY)
            yield _finding(host, f"reading {stanza} back", wrong, "newest")
    producers = [str(host.name) for host in world.estate.hosts.values() if "producer" in host.groups]
    for host in _of_group(world, facts, "append_only"):
        told = facts[host.name]["verified"]
        for producer in producers:
            wrong = rota_trouble(told["packs"].get(producer), now=told["now"])
            yield _finding(host, f"reading what {producer} sent", wrong, "packs")
    for host in _of_group(world, facts, "producer"):
        told = facts[host.name]["verified"]
        wrong = rota_trouble(told["snapshots"].get("read"), now=told["now"])
        yield _finding(host, "reading its own snapshots back", wrong, "snapshots")


def _finding(host: Host, what: str, wrong: str, kind: str) -> Finding:
    if not wrong:
        return good(f"{host.name}: {what}", host.name)
    return bad(f"{host.name}: {what} {wrong}", host.name, fix=_again(host, kind))


def _again(host: Host, kind: str) -> str:
    return f"on {host.name}: journalctl -u secondsite-verify@{kind}; then systemctl start secondsite-verify@{kind}"


# --- restored ---


@estate_check(
    "BK-RESTORE",
    reads="verified",
    groups=_ALL,
    expected="at each repository the newest backup of each stanza and an older one, and at each producer the newest"
    " snapshot of each job and an older one, were restored over the rota, and held what lived when they were made:"
    " tables, rows, roles, files",
    fix="on the host named: systemctl start secondsite-verify@newest (at a repository) or @snapshots",
    commitments="C02 C03",
    controls="DR-11 DR-13 DR-14",
    tags="backup",
)
def restored(world: World, facts: Mapping[HostName, Facts]) -> Iterator[Finding]:
    """Backups are restored where nobody is harmed, and hold what they should."""
    for host in _of_group(world, facts, "repository"):
        told = facts[host.name]["verified"]
        for stanza in _stanzas(world):
            newest = told["stanzas"].get(f"{stanza}.newest")
            wrong = trouble(newest, now=told["now"], oldest=_DAILY) or _compared_nothing(newest)
            yield _finding(host, f"restoring {_named(stanza, newest)}", wrong, "newest")
            older = told["stanzas"].get(f"{stanza}.older")
            wrong = trouble(older, now=told["now"], oldest=_WEEKLY)
            yield _finding(host, f"restoring {_named(stanza, older, 'an older backup')}", wrong, "older")
    yield from _restored_snapshots(world, facts)


def _named(stanza: str, told: Mapping[str, Any] | None, otherwise: str = "the newest backup") -> str:
    return f"{stanza}, {told['backup'] if told and 'backup' in told else otherwise}"


def _compared_nothing(told: Mapping[str, Any] | None) -> str:
    counts = [told[what] for what in ("databases", "tables", "rows", "roles", "logins")] if told else []
    return "" if all(isinstance(count, int) and count > 0 for count in counts) else "compared nothing"


def _restored_snapshots(world: World, facts: Mapping[HostName, Facts]) -> Iterator[Finding]:
    for host in _of_group(world, facts, "producer"):
        told = facts[host.name]["verified"]
        for job in expected_jobs(host):
            newest = told["snapshots"].get(f"{job}.newest")
            # whoever has the standby dumps the databases: that one of them did is asked below
            if job in _SENT or (job == _DUMPS and newest is not None and not newest.get("left")):
                wrong = trouble(newest, now=told["now"], oldest=_DAILY)
                yield _finding(host, f"restoring {_named(job, newest, 'the newest snapshot')}", wrong, "snapshots")
        wrong = trouble(told["snapshots"].get("older"), now=told["now"], oldest=_DAILY)
        yield _finding(host, "restoring an older snapshot", wrong, "snapshots")
    yield from _restored_dumps(world, facts)


def _restored_dumps(world: World, facts: Mapping[HostName, Facts]) -> Iterator[Finding]:
    hosts = _of_group(world, facts, "producer", "database")
    told = [facts[host.name]["verified"]["snapshots"].get(f"{_DUMPS}.newest") for host in hosts]
    holding = {stanza for one in told if one and one["ok"] and not one.get("left") for stanza in one["holds"]}
    for stanza in _stanzas(world) if hosts else ():
        if stanza not in holding:
            names = [host.name for host in hosts]
            yield bad(f"no dump of {stanza} was restored at {' or '.join(names)}", *names)


# --- brought to a moment ---


@estate_check(
    "BK-PITR",
    reads="verified",
    groups="repository",
    expected="from each repository each stanza was recovered to one second before something was destroyed on purpose,"
    " and its marker and every row were there",
    fix="on the databases' hosts: systemctl start secondsite-verify@tally; then at the repository: @newest",
    commitments="C02 C03",
    controls="DR-11 DR-15",
    tags="backup",
)
def brought_to_a_moment(world: World, facts: Mapping[HostName, Facts]) -> Iterator[Finding]:
    """A database can be had back as it was one second before a mistake."""
    repositories = _of_group(world, facts, "repository")
    for host in repositories:
        told = facts[host.name]["verified"]
        for stanza in _stanzas(world):
            moment = told["stanzas"].get(f"{stanza}.moment")
            wrong = trouble(moment, now=told["now"], oldest=_DAILY)
            if not wrong and moment is not None and moment["rows"] < 1:
                yield unclear(f"{host.name}: of {stanza} nothing was destroyed", host.name)
            else:
                before = f", {moment['before']}" if moment else ""
                yield _finding(host, f"recovering {stanza} to one second before a loss{before}", wrong, "newest")


CHECKS = (read_back, restored, brought_to_a_moment)
