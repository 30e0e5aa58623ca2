"""Backups: everything that lives is in one, each is new enough where it lies, and what makes them runs.

What a job says it sent counts only where the place it was sent to has it: a snapshot's name is its digest.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...estate.model import Host, HostName
from ..freshness import KEPT_AT_MOST, OLDEST, OLDEST_FULL, OLDEST_PRUNE, UNITS, expected_jobs, wanted_snapshots
from ..model import Facts, Finding, World
from .erasures import AUDIT, holds
from .frame import bad, estate_check, good, host_check, unclear

_ALL = "producer repository"
_SEGMENT_BYTES = 16 << 20
_SEGMENTS_A_LOG = 256
_SEGMENT_LETTERS = 24
_JUST_NOW = 5.0
_AHEAD = 120.0
_NOT_ARCHIVED_FOR = 180.0
_SHOWN = 4
# What packages, provisioning or the system make again, and what only passes through.
_MADE_AGAIN = {
    "/var/lib/apt": "packages",
    "/var/lib/dpkg": "packages",
    "/var/lib/pam": "packages",
    "/var/lib/python": "packages",
    "/var/lib/shells.state": "packages",
    "/var/lib/ucf": "packages",
    "/var/lib/systemd": "the system",
    "/var/lib/chrony": "how fast this machine's clock goes: measured anew, and written down from the first hour on",
    "/var/lib/logrotate": "when each log was rotated",
    "/srv/runbooks": "printed anew by provisioning, and compared by RDY-PROCEDURE",
    "/var/lib/secondsite": "the backup jobs' own notes",
    "/var/spool/pgbackrest": "on its way to the archives",
    "/var/lib/secondsite-pager": "pages on their way, and what was heard of other hosts",
    "/var/lib/secondsite-erasures": "kept by several, and never in a backup: from there destroyed keys would come back",
    "/srv/backup/pgbackrest": "backups",
    "/srv/backup/restic": "backups",
    "/srv/backup/histories": "copies of what the archives hold",
    "/srv/backup/scratch": "backups that are restored just now, to verify them",
    "/var/lib/secondsite-verify": "what came of verifications",
    "/var/lib/secondsite-kit": "made of the program and its packages, and compared by RDY-KIT",
    "/var/lib/secondsite-image": "what new hosts are made from, made of packages: it lies there to be fetched",
    "/var/lib/secondsite-prune": "what came of prunes, and which key is the vault's",
}
# What several hosts hold alike, and which job of any of them sends it.
_ALIKE = {
    "/var/lib/secondsite-standby": "files",
    "/var/lib/knot": "names",
    "/var/lib/etcd": "agreement",
}


@host_check(
    "BK-JOBS",
    reads="jobs",
    groups=_ALL,
    expected="every job that makes or verifies backups has its time, would have it after a reboot, and ended well when"
    " it last ran",
    fix="secondsite run provision",
    commitments="C02",
    controls="DR-11 DR-12",
    tags="backup",
)
def jobs_run(host: Host, facts: Facts, _: World) -> Iterator[Finding]:
    """Every backup job runs by itself, and ended well."""
    told = facts["jobs"]
    names = expected_jobs(host)
    troubles = [(name, trouble) for name in names if (trouble := _trouble_of_job(told.get(name)))]
    for name, trouble in troubles:
        kind = UNITS.get(name, "backup")
        fix = f"on {host.name}: journalctl -u secondsite-{kind}@{name}"
        yield bad(f"{host.name}: job {name} {trouble}", host.name, fix=fix)
    if not troubles:
        yield good(f"{host.name}: {', '.join(names)}", host.name)


def _trouble_of_job(job: Mapping[str, Any] | None) -> str:
    if job is None:
        return "is not there"
    timer, service = job["timer"], job["service"]
    if timer["UnitFileState"] != "enabled" or timer["ActiveState"] != "active":
        return f"has a timer that is {timer['UnitFileState'] or 'not enabled'} and {timer['ActiveState']}"
    if service["LoadState"] != "loaded":
        return f"has a service that is {service['LoadState']}"
    if service["ActiveState"] == "failed" or service["Result"] != "success":
        return f"failed when it last ran ({service['Result']}, exit code {service['ExecMainStatus']})"
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What a job sent, as its host tells, and when it came in, as told where it lies: None where it does not."""

    host: HostName
    job: str
    told: Mapping[str, Any]
    at: float | None


def sent_by_all(facts: Mapping[HostName, Facts], snapshots: Mapping[str, Mapping[str, float]]) -> list[Sent]:
    """Return the newest that each job of each host sent."""
    return [
        Sent(host=name, job=job, told=told["sent"], at=snapshots.get(name, {}).get(told["sent"]["snapshot"]))
        for name, one in facts.items()
        for job, told in one["jobs"].items()
        if told["sent"] is not None
    ]


def _keepers(world: World, group: str) -> list[HostName]:
    return [host.name for host in world.estate.hosts.values() if group in host.groups]


def _append_only(world: World, facts: Mapping[HostName, Facts]) -> tuple[HostName, Mapping[str, Any]] | Finding:
    """Return where producers send to and what lies there, or why that can't be told."""
    at = next(iter(_keepers(world, "append_only")), None)
    if at is None:
        return bad("the estate has no append-only server")
    if at not in facts:
        return unclear(f"what lies at {at} can't be told", at)
    if facts[at]["kept"]["snapshots"] is None:
        return bad(f"{at} runs no append-only server", at)
    return at, facts[at]["kept"]


# --- freshness ---


@estate_check(
    "BK-FRESH",
    reads="jobs kept clusters",
    groups=_ALL,
    expected="at each repository every cluster has a new backup without errors and its log without a gap up to now, and"
    " at the append-only server every job has a new snapshot, as seen there",
    fix="secondsite run provision",
    commitments="C02 C03",
    controls="DR-11 DR-12",
    tags="backup",
)
def fresh(world: World, facts: Mapping[HostName, Facts]) -> Iterator[Finding]:
    """Backups are new where they lie."""
    place = _append_only(world, facts)
    if isinstance(place, Finding):
        yield place
    else:
        yield from _fresh_snapshots(world, facts, *place)
    writers = _writers(world, facts)
    yield from (one for one in writers if isinstance(one, Finding))
    for repository in _keepers(world, "repository"):
        if repository in facts:
            yield from _fresh_stanzas(
                repository, facts[repository]["kept"], [one for one in writers if isinstance(one, dict)]
            )


def _fresh_snapshots(
    world: World, facts: Mapping[HostName, Facts], at: HostName, kept: Mapping[str, Any]
) -> Iterator[Finding]:
    all_sent = sent_by_all(facts, kept["snapshots"])
    newest: dict[tuple[str, str], Sent] = {}
    for sent in all_sent:
        for what in _parts(sent):
            key = (sent.job, what or sent.host)
            if key not in newest or (sent.at or 0) > (newest[key].at or 0):
                newest[key] = sent
    for job, what in sorted(wanted_snapshots(world.estate, facts)):
        found = newest.get((job, what))
        if found is None:
            yield bad(f"nothing of {what} was ever sent by job {job}", *([HostName(what)] if what in facts else []))
        elif found.at is None:
            yield bad(f"{at} does not have what {found.host} says job {job} sent of {what}", found.host)
        elif trouble := _age_trouble(kept["now"] - found.at, OLDEST[job]):
            yield bad(f"at {at} the newest of job {job} of {what} is {trouble}", found.host, at)
        else:
            yield good(f"{what}: {job}", found.host)


def _parts(sent: Sent) -> list[str]:
    """Return what a snapshot is newest of: each cluster of a dump, or its host."""
    return sorted(sent.told["holds"]) if sent.job == "databases" else [""]


def _age_trouble(age: float, oldest: dt.timedelta) -> str:
    if age < -_AHEAD:
        return f"from the future, by {-age:.0f} s"
    return f"{age / 3600:.1f} h old" if age > oldest.total_seconds() else ""


def _writers(world: World, facts: Mapping[HostName, Facts]) -> list[dict[str, Any] | Finding]:
    """Return each cluster at the host where it is written, or that nobody tells of it."""
    told = {
        str(port): {**cluster, "host": name}
        for name, one in facts.items()
        for port, cluster in one["clusters"].items()
        if not cluster["recovering"]
    }
    found: list[dict[str, Any] | Finding] = []
    for workload in world.estate.workloads.values():
        if workload.adapter == "patroni":
            name, port = workload.settings["scope"], str(workload.settings["port"])
            here = told.get(port)
            found.append({**here, "scope": name} if here else unclear(f"nobody tells who writes {name}"))
    return found


def _fresh_stanzas(
    at: HostName, kept: Mapping[str, Any], writers: list[dict[str, Any]]
) -> Iterator[Finding]:  # fmt: skip
    for writer in writers:
        troubles = list(stanza_troubles(kept["stanzas"].get(writer["scope"]), writer, now=kept["now"]))
        for trouble in troubles:
            yield bad(f"{at}: {writer['scope']} {trouble}", at, writer["host"])
        if not troubles:
            yield good(f"{at}: {writer['scope']}", at)


def stanza_troubles(stanza: Mapping[str, Any] | None, writer: Mapping[str, Any], *, now: float) -> Iterator[str]:
    """Yield what is wrong with one cluster's backups and log at one repository."""
    if stanza is None or not stanza["backups"]:
        yield "has no backup"
        return
    if stanza["status"] != 0:
        yield f"is in trouble: {stanza['says']}"
    newest = max(stanza["backups"], key=lambda one: one["stop"])
    if newest["error"]:
        yield f"has a newest backup with errors ({newest['label']})"
    if trouble := _age_trouble(now - newest["stop"], OLDEST["backup"]):
        yield f"has a newest backup that is {trouble}"
    full = max((one["stop"] for one in stanza["backups"] if one["type"] == "full"), default=0)
    if trouble := _age_trouble(now - full, OLDEST_FULL):
        yield f"has a newest full backup that is {trouble}"
    yield from log_troubles(stanza["archive"], writer, newest, now=now)


def segment(name: str) -> tuple[str, int]:
    """Return a log segment's timeline and its number.

    Raises:
        ValueError: that is no segment.
    """
    if len(name) != _SEGMENT_LETTERS:
        raise ValueError(f"{name} names no segment of a log")
    return name[:8], int(name[8:16], 16) * _SEGMENTS_A_LOG + int(name[16:], 16)


def log_troubles(
    archive: Mapping[str, Any], writer: Mapping[str, Any], newest: Mapping[str, Any], *, now: float
) -> Iterator[str]:
    """Yield what keeps the log in an archive from leading from the newest backup to now."""
    if writer["segment_bytes"] != _SEGMENT_BYTES:
        raise ValueError(f"segments of {writer['segment_bytes']} bytes")
    if writer["archive_mode"] == "off" or "archive-push" not in writer["archive_command"]:
        yield f"is archived by {writer['archive_command']!r} (archive_mode {writer['archive_mode']})"
    timeline, beginning = segment(newest["from"])
    for of, ranges in sorted(archive["ranges"].items()):
        for (_, last), (first, _) in itertools.pairwise(ranges):
            if (of, first) > (timeline, beginning):
                yield f"lacks {first - last - 1} segments of its log before {of}/{first}, after its newest backup began"
    newest_of = {of: max((last for _, last in ranges), default=-1) for of, ranges in archive["ranges"].items()}
    came = (
        f"; the newest came {now - archive['newest_at']:.0f} s ago" if archive["newest_at"] else "; it has none at all"
    )
    claim = _counts_as_archived(writer, now=now)
    if claim and newest_of.get(claim[:8], -1) < segment(claim)[1]:
        yield f"lacks {claim} of its log, which counts as archived{came}"
    # the one before may be of an earlier timeline: the cluster was promoted in between
    _, writing = segment(writer["writing"])
    if max(newest_of.values(), default=-1) < writing - 1 and now - (archive["newest_at"] or 0) > _NOT_ARCHIVED_FOR:
        yield f"lacks the log before {writer['writing']}, which is being written{came}"


def _counts_as_archived(writer: Mapping[str, Any], *, now: float) -> str:
    """Return the segment that the writer sent away last and believes to be kept; none that it sent only just now."""
    name, at = writer["archived"] or "", writer["archived_at"] or now
    return str(name) if len(name) == _SEGMENT_LETTERS and at < now - _JUST_NOW else ""


# --- coverage ---


@estate_check(
    "BK-COVERAGE",
    reads="stores jobs kept clusters",
    groups=_ALL,
    expected="every database of every cluster is in a backup at each repository and in the newest dump, and every"
    " folder that holds anything is in the newest snapshot with each of its files, or is known to be made again",
    fix="on the host named: systemctl start secondsite-backup@files secondsite-backup@databases",
    commitments="C02 C03",
    controls="DR-11",
    tags="backup",
)
def coverage(world: World, facts: Mapping[HostName, Facts]) -> Iterator[Finding]:
    """Whatever lives is in a backup."""
    place = _append_only(world, facts)
    if isinstance(place, Finding):
        yield place
        return
    _, kept = place
    all_sent = [one for one in sent_by_all(facts, kept["snapshots"]) if one.at is not None]
    for name, one in facts.items():
        host = world.estate.hosts[name]
        yield from _covered_folders(host, one, all_sent)
        if "database" in host.groups:
            yield from _covered_clusters(world, host, one, facts, all_sent)


def _covered_folders(host: Host, facts: Facts, all_sent: list[Sent]) -> Iterator[Finding]:
    stores = facts["stores"]
    own = next((one for one in all_sent if (one.host, one.job) == (host.name, "files")), None)
    if "producer" in host.groups and own is None:
        yield bad(f"{host.name} has no snapshot of files", host.name)
    roots = list(own.told["roots"]) if own else []
    paths = [cluster["path"] for cluster in facts["clusters"].values()]  # their rule is below
    known = [*roots, *paths, *stores["next"]]
    uncovered = [path for path in stores["folders"] if not is_covered(path, known, all_sent)]
    for path in uncovered:
        yield bad(f"{host.name}: {path} is in no backup", host.name)
    missing = stores["missing"]
    if missing:
        shown = ", ".join(missing[:_SHOWN])
        yield bad(f"{host.name}: the newest snapshot lacks {stores['missing_count']} files: {shown}", host.name)
    if not uncovered and not missing:
        yield good(f"{host.name}: {len(stores['folders'])} folders", host.name)


def is_covered(path: str, roots: list[str], all_sent: list[Sent]) -> bool:
    """Say whether a folder is below one that is sent, or made again, or sent by another host that holds the same."""
    if any(path == root or path.startswith(f"{root.rstrip('/')}/") for root in roots):
        return True
    if path in _MADE_AGAIN:
        return True
    job = _ALIKE.get(path)
    return any(one.job == job and (job != "files" or path in one.told["roots"]) for one in all_sent)


def _covered_clusters(
    world: World, host: Host, own: Facts, facts: Mapping[HostName, Facts], all_sent: list[Sent]
) -> Iterator[Finding]:
    if not own["clusters"]:
        yield unclear(f"{host.name} tells of no cluster", host.name)
    dumps = [(one, held) for one in all_sent if one.job == "databases" for held in one.told["holds"].values()]
    for port, cluster in own["clusters"].items():
        for repository in _keepers(world, "repository"):
            if repository not in facts:
                continue  # that it can't be read was said
            stanzas = facts[repository]["kept"]["stanzas"].values()
            if not any(cluster["system"] in one["systems"] and one["backups"] for one in stanzas):
                yield bad(
                    f"{host.name}: the cluster at port {port} has no backup at {repository}", host.name, repository
                )
        of_it = [(one.at or 0, held["databases"]) for one, held in dumps if held["system"] == cluster["system"]]
        _, dumped = max(of_it, key=lambda dump: dump[0], default=(0, {}))
        lacking = [name for name in cluster["databases"] if name not in dumped]
        for name in lacking:
            saw = f"{host.name}: database {name} of the cluster at port {port} is in no dump"
            yield bad(saw, host.name, fix="on the standby's host: systemctl start secondsite-backup@databases")
        if not lacking:
            yield good(f"{host.name}: {', '.join(cluster['databases'])} at port {port}", host.name)


# --- retention ---


@estate_check(
    "DATA-RETENTION",
    reads="kept",
    groups="repository",
    outside=AUDIT,
    expected=f"no repository holds a backup, or a part of a log, that is older than {KEPT_AT_MOST.days} days: what was"
    " erased is gone; how many accounts a legal hold keeps from that is told",
    fix="there: journalctl -u secondsite-keep@prune -u secondsite-keep@full; docs/how-to/let-backups-go.md",
    commitments="C24 C25 C28",
    controls="DR-12 DR-35",
    tags="backup data",
)
def nothing_is_kept_too_long(world: World, facts: Mapping[HostName, Facts]) -> Iterator[Finding]:
    """What was erased is in no backup any more after three months."""
    for name, one in facts.items():
        yield from _kept_too_long(name, one["kept"])
    if _keepers(world, "erasures"):
        yield from holds(world)


def _kept_too_long(at: HostName, told: Mapping[str, Any]) -> Iterator[Finding]:
    oldest = {f"snapshot of {name}": came for name, came in told["oldest"].items()}
    for scope, stanza in told["stanzas"].items():
        if stanza["backups"]:
            oldest[f"backup of {scope}"] = min(one["stop"] for one in stanza["backups"])
        if stanza["archive"]["oldest_at"] is not None:
            oldest[f"part of the log of {scope}"] = stanza["archive"]["oldest_at"]
    limit = KEPT_AT_MOST.total_seconds()
    too_old = sorted((came, what) for what, came in oldest.items() if told["now"] - came > limit)
    for came, what in too_old[:_SHOWN]:
        yield bad(f"{at}: the oldest {what} is {(told['now'] - came) / 86400:.0f} days old", at)
    if not too_old and oldest:
        yield good(f"{at}: the oldest is {(told['now'] - min(oldest.values())) / 86400:.0f} days old", at)
    elif not oldest:
        yield unclear(f"{at}: there is no backup, so nothing tells how long one is kept", at)


@host_check(
    "DATA-PRUNE",
    reads="kept",
    groups="append_only",
    expected="the append-only server's own host can open every producer's repository with a key of its own, and pruned"
    f" each within {OLDEST_PRUNE.total_seconds() / 3600:.0f} hours without a doubt",
    fix="there: journalctl -u secondsite-keep@prune; docs/how-to/let-backups-go.md",
    commitments="C24 C25",
    controls="DR-12 DR-35",
    tags="backup data",
)
def pruned(host: Host, facts: Facts, world: World) -> Iterator[Finding]:
    """The vault removes by itself what it has kept for long enough."""
    told = facts["kept"]
    producers = _keepers(world, "producer")
    troubles = [
        (name, trouble) for name in producers for trouble in prune_troubles(told["pruned"].get(name), now=told["now"])
    ]
    for name, trouble in troubles:
        fix = "secondsite run provision" if "key" in trouble else ""
        yield bad(f"{host.name}: the repository of {name} {trouble}", host.name, fix=fix)
    if not troubles and producers:
        last = min(told["pruned"][name]["ended"] for name in producers)
        yield good(f"{host.name}: {len(producers)} repositories, {(told['now'] - last) / 3600:.1f} h ago", host.name)


def prune_troubles(told: Mapping[str, Any] | None, *, now: float) -> Iterator[str]:
    """Yield what is wrong with the last prune of one repository."""
    if told is None:
        yield "is not there"
        return
    if not told["key"]:
        yield "does not have the vault's key"
    if told["ended"] is None:
        yield "was never pruned"
        return
    yield from (f"was not pruned: {why}" for why in told["why"])
    if not -_AHEAD <= now - told["ended"] <= OLDEST_PRUNE.total_seconds():
        yield f"was pruned {(now - told['ended']) / 3600:.0f} h ago"


CHECKS = (jobs_run, fresh, coverage, nothing_is_kept_too_long, pruned)
