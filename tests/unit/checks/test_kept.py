"""Whatever lives is in a backup, the backups are new where they lie, and what makes them runs."""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from ruamel.yaml import YAML
from tests.unit.checks.estates import BY_ID

from secondsite.checks.freshness import KEPT_AT_MOST, OLDEST_PRUNE, expected_jobs
from secondsite.checks.model import Result, Section, State, World
from secondsite.checks.rules.erasures import AUDIT
from secondsite.checks.rules.frame import judged
from secondsite.checks.rules.kept import is_covered, log_troubles, prune_troubles, segment, stanza_troubles
from secondsite.estate.load import load_estate
from secondsite.estate.model import Host, HostName
from secondsite.lab.image import KEPT_IMAGE

ROOT = Path(__file__).parents[3]
FULL = load_estate(ROOT / "inventories" / "lab")
NOW = dt.datetime(2026, 11, 30, 12, tzinfo=dt.UTC)
AT = NOW.timestamp()
HOUR = 3600.0
GROUPS = frozenset({"producer", "repository"})
SYSTEMS = {"5432": "7001", "5433": "7002"}
SCOPES = {"5432": "billing", "5433": "control"}
DATABASES = {"5432": ["postgres", "shop"], "5433": ["control", "postgres"]}
ROOTS = ["/etc", "/usr/local", "/root", "/srv/store", "/srv/runbooks", "/var/lib/secondsite-standby"]

Told = dict[str, dict[str, Any]]


def unit(**changed: str) -> dict[str, str]:
    return {
        "LoadState": "loaded", "UnitFileState": "enabled", "ActiveState": "active", "Result": "success",
        "ExecMainStatus": "0", **changed,
    }  # fmt: skip


def snapshot_of(host: str, job: str) -> str:
    return f"{host}/{job}"


def sent(host: Host, job: str) -> dict[str, Any] | None:
    if job not in ("files", "databases", "agreement", "names") or (job == "databases" and host.site != "dc2"):
        return None
    holds = {
        SCOPES[port]: {"system": SYSTEMS[port], "databases": {name: {} for name in DATABASES[port]}} for port in SCOPES
    }
    told = {"job": job, "snapshot": snapshot_of(host.name, job), "began": AT - HOUR, "roots": ROOTS}
    return {**told, "holds": holds if job == "databases" else {}}


def job_of(host: Host, job: str) -> dict[str, Any]:
    return {"timer": unit(), "service": unit(ActiveState="inactive"), "sent": sent(host, job)}


def cluster(host: Host, port: str) -> dict[str, Any]:
    writes = host.site == "dc1"
    return {
        "path": f"/srv/postgresql/{SCOPES[port]}", "recovering": not writes, "system": SYSTEMS[port],
        "segment_bytes": 16 << 20, "archive_mode": "on", "archive_command": "pgbackrest archive-push %p",
        "archived": "00000001000000000000000C", "archived_at": AT - 60,
        "writing": "00000001000000000000000D" if writes else None, "databases": DATABASES[port],
    }  # fmt: skip


def stanza(port: str = "5432") -> dict[str, Any]:
    backup = {"label": "1F", "type": "full", "stop": AT - HOUR, "error": False}
    backup |= {"from": "000000010000000000000008", "to": "000000010000000000000009"}
    archive = {"ranges": {"00000001": [[4, 12]]}, "newest_at": AT - 60, "oldest_at": AT - 9 * 24 * HOUR}
    return {"status": 0, "says": "ok", "systems": [SYSTEMS[port]], "backups": [backup], "archive": archive}


def kept(host: Host) -> dict[str, Any]:
    snapshots = {
        one.name: {snapshot_of(one.name, job): AT - HOUR for job in expected_jobs(one)} for one in FULL.hosts.values()
    }
    producers = [str(one.name) for one in FULL.hosts.values() if "producer" in one.groups]
    is_one = "repository" in host.groups
    return {
        "now": AT,
        "stanzas": {SCOPES[port]: stanza(port) for port in SCOPES} if is_one else {},
        "snapshots": snapshots if "append_only" in host.groups else None,
        "oldest": dict.fromkeys(map(str, snapshots), AT - 24 * HOUR) if "append_only" in host.groups else {},
        "pruned": {name: pruned() for name in producers} if "append_only" in host.groups else {},
    }


def pruned(**changed: Any) -> dict[str, Any]:
    return {"ended": AT - 8 * HOUR, "why": [], "key": True, **changed}


def folders(host: Host) -> list[str]:
    by_group = {
        "database": ["/srv/postgresql/billing", "/srv/postgresql/control", "/var/lib/etcd"],
        "store": ["/srv/store/documents", "/srv/store/git"],
        "ops": ["/srv/runbooks", "/var/lib/secondsite-standby"],
        "vault": ["/srv/backup/restic", "/srv/backup/histories", "/srv/runbooks", "/var/lib/knot", "/var/lib/etcd"],
    }
    return sorted({"/var/lib/dpkg", *(one for group in host.groups for one in by_group.get(group, []))})


def healthy() -> Told:
    """What the hosts of the lab tell when all is well."""
    return {
        host.name: {
            "jobs": {job: job_of(host, job) for job in expected_jobs(host)},
            "kept": kept(host),
            "clusters": {port: cluster(host, port) for port in SCOPES} if "database" in host.groups else {},
            "stores": {"folders": folders(host), "snapshot": "x", "missing": [], "missing_count": 0, "next": []},
        }
        for host in FULL.hosts.values()
        if GROUPS & set(host.groups)
    }


HELD: Told = {
    "db-dc1": {"trouble": "", "leads": True, "ledger": True, "in_force": {"erased": 1, "legal-hold": 2}, "refused": 3},
    "db-dc2": {"trouble": "", "leads": False, "ledger": True},
    "store-dc1": {"trouble": "", "erased": []},
}


def outcome(check: str, change: Callable[[Told], None] = lambda _: None, *, held: Told | None = None) -> Result:
    told = copy.deepcopy(healthy())
    change(told)
    hosts = {
        HostName(name): {
            section: value if isinstance(value, Section) else Section(value=value) for section, value in one.items()
        }
        for name, one in told.items()
    }
    outside = {AUDIT: Section(value=HELD if held is None else held)}
    return judged(BY_ID[check], World(estate=FULL, now=NOW, hosts=hosts, outside=outside))


@pytest.mark.parametrize("check", ["BK-JOBS", "BK-FRESH", "BK-COVERAGE"])
def test_all_is_well_where_everything_is_backed_up(check: str) -> None:
    result = outcome(check)
    assert (result.state, result.saw) == (State.PASSED, result.saw)
    assert {host.name for host in FULL.hosts.values() if "producer" in host.groups} <= set(result.hosts)


def set_to(*path: str, to: Any) -> Callable[[Told], None]:
    """Change one thing of what is told."""

    def change(told: Told) -> None:
        place: Any = told
        for word in path[:-1]:
            place = place[int(word) if isinstance(place, list) else word]
        place[path[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "saw"),
    [
        pytest.param(
            set_to("store-dc1", "jobs", "incr", "timer", to=unit(UnitFileState="disabled", ActiveState="inactive")),
            "store-dc1: job incr has a timer that is disabled and inactive",
            id="a disabled timer",
        ),
        pytest.param(
            set_to("db-dc2", "jobs", "databases", "timer", to=unit(ActiveState="inactive")),
            "db-dc2: job databases has a timer that is enabled and inactive",
            id="a stopped timer",
        ),
        pytest.param(set_to("ops-dc1", "jobs", to={}), "ops-dc1: job names is not there", id="no job at all"),
        pytest.param(
            set_to("vault", "jobs", "full", "service", to=unit(ActiveState="failed", Result="exit-code")),
            "vault: job full failed when it last ran",
            id="a job that failed",
        ),
        pytest.param(
            set_to("web-dc1", "jobs", "files", "service", to=unit(LoadState="masked", ActiveState="inactive")),
            "job files has a service that is masked",
            id="a masked service",
        ),
    ],
)
def test_a_job_that_will_not_run_or_did_not_end_well_is_found(change: Callable[[Told], None], saw: str) -> None:
    result = outcome("BK-JOBS", change)
    assert result.state is State.FAILED
    assert saw in result.saw


ONE = ("vault", "kept", "stanzas", "billing")


@pytest.mark.parametrize(
    ("change", "saw"),
    [
        pytest.param(set_to(*ONE, "backups", to=[]), "vault: billing has no backup", id="none"),
        pytest.param(set_to(*ONE, "status", to=3), "billing is in trouble", id="a stanza in trouble"),
        pytest.param(set_to(*ONE, "backups", "0", "error", to=True), "newest backup with errors", id="errors"),
        pytest.param(set_to(*ONE, "backups", "0", "stop", to=AT - 10 * HOUR), "that is 10.0 h old", id="an old one"),
        pytest.param(set_to(*ONE, "backups", "0", "stop", to=AT + HOUR), "from the future", id="one from the future"),
        pytest.param(
            set_to(*ONE, "archive", "ranges", to={"00000001": [[4, 9], [11, 12]]}), "lacks 1 segments", id="a gap"
        ),
        pytest.param(
            set_to(*ONE, "archive", "ranges", to={"00000001": [[4, 11]]}),
            "lacks 00000001000000000000000C of its log, which counts as archived",
            id="what counts as archived and is not there",
        ),
        pytest.param(set_to(*ONE, "archive", to={"ranges": {}, "newest_at": None}), "it has none at all", id="no log"),
        pytest.param(
            set_to("db-dc1", "clusters", "5432", "archive_command", to="/bin/true"),
            "is archived by '/bin/true'",
            id="an archive command that does nothing",
        ),
        pytest.param(
            set_to("vault", "kept", "snapshots", "web-dc1", to={"web-dc1/files": AT - 3 * HOUR}),
            "at vault the newest of job files of web-dc1 is 3.0 h old",
            id="an old snapshot",
        ),
        pytest.param(
            set_to("vault", "kept", "snapshots", "web-dc1", to={}),
            "vault does not have what web-dc1 says job files sent",
            id="a snapshot that only its host knows of",
        ),
        pytest.param(
            set_to("db-dc2", "jobs", "databases", "sent", to=None), "nothing of billing was ever sent", id="no dump"
        ),
    ],
)
def test_backups_that_are_not_new_where_they_lie_are_found(change: Callable[[Told], None], saw: str) -> None:
    result = outcome("BK-FRESH", change)
    assert result.state is State.FAILED
    assert saw in result.saw


@pytest.mark.parametrize(
    ("change", "saw"),
    [
        pytest.param(
            set_to("db-dc1", "clusters", "5432", "databases", to=["ledger", "postgres", "shop"]),
            "db-dc1: database ledger of the cluster at port 5432 is in no dump",
            id="a new database",
        ),
        pytest.param(
            set_to("store-dc1", "stores", "folders", to=["/srv/new", "/srv/store/git"]),
            "store-dc1: /srv/new is in no backup",
            id="a new folder",
        ),
        pytest.param(
            set_to("store-dc1", "stores", "missing", to=["/srv/store/a.dat"]),
            "store-dc1: the newest snapshot lacks 0 files: /srv/store/a.dat",
            id="an exclude that is too wide",
        ),
        pytest.param(
            set_to("db-dc1", "clusters", "5432", "system", to="7009"),
            "the cluster at port 5432 has no backup at store-dc1",
            id="a cluster that was made anew",
        ),
        pytest.param(
            set_to("web-dc2", "jobs", "files", "sent", to=None), "web-dc2 has no snapshot of files", id="no snapshot"
        ),
        pytest.param(
            set_to("vault", "kept", "snapshots", "store-dc2", to={}),
            "store-dc2: /srv/store/documents is in no backup",
            id="a snapshot that the vault does not have",
        ),
    ],
)
def test_what_is_in_no_backup_is_found(change: Callable[[Told], None], saw: str) -> None:
    result = outcome("BK-COVERAGE", change)
    assert result.state is State.FAILED
    assert saw in result.saw


@pytest.mark.parametrize("check", ["BK-FRESH", "BK-COVERAGE"])
def test_what_lies_at_a_vault_that_can_not_be_asked_is_unknown(check: str) -> None:
    result = outcome(check, lambda told: told.update(vault=dict.fromkeys(told["vault"], Section(trouble="cut off"))))
    assert result.state is State.UNKNOWN
    assert "what lies at vault can't be told" in result.saw


def test_nobody_who_writes_a_cluster_leaves_its_log_unknown() -> None:
    result = outcome("BK-FRESH", set_to("db-dc1", "clusters", to={}))
    assert result.state is State.UNKNOWN
    assert "nobody tells who writes billing" in result.saw


def test_after_a_failover_the_other_host_writes_and_all_is_well() -> None:
    def failed_over(told: Told) -> None:
        for port in SCOPES:
            told["db-dc1"]["clusters"][port] |= {"recovering": True, "writing": None}
            writer = told["db-dc2"]["clusters"][port]
            # nothing of the new timeline was written in full yet
            writer |= {"recovering": False, "writing": "00000002000000000000000D", "archived": "00000002.history"}

    assert outcome("BK-FRESH", failed_over).state is State.PASSED


@given(some.integers(0, (1 << 40) - 1))
def test_a_segment_is_known_by_its_timeline_and_number(number: int) -> None:
    assert segment(f"0000000A{number // 256:08X}{number % 256:08X}") == ("0000000A", number)


segments = some.integers(0, 5000)


def named(number: int, timeline: str = "00000001") -> str:
    return f"{timeline}{number // 256:08X}{number % 256:08X}"


@given(first=segments, length=some.integers(1, 500), data=some.data())
def test_any_one_segment_lost_since_the_newest_backup_is_found(first: int, length: int, data: some.DataObject) -> None:
    last = first + length
    lost = data.draw(some.integers(first + 1, last))
    writer = {
        "segment_bytes": 16 << 20, "archive_mode": "on", "archive_command": "pgbackrest archive-push %p",
        "archived": named(last), "archived_at": AT - 60, "writing": named(last + 1),
    }  # fmt: skip
    whole = {"ranges": {"00000001": [[first, last]]}, "newest_at": AT - 60}
    ranges = [pair for pair in ([first, lost - 1], [lost + 1, last]) if pair[0] <= pair[1]]
    newest = {"from": named(first)}
    assert not list(log_troubles(whole, writer, newest, now=AT))
    assert list(log_troubles({**whole, "ranges": {"00000001": ranges}}, writer, newest, now=AT))


@given(stop=some.floats(-1e6, 1e6), full=some.floats(0, 1e7))
def test_a_stanza_is_fresh_only_with_a_new_backup_and_a_full_one_of_these_days(stop: float, full: float) -> None:
    newest = {**stanza()["backups"][0], "type": "incr", "stop": AT - stop}
    base = {**newest, "type": "full", "stop": AT - stop - full}
    writer = cluster(FULL.hosts[HostName("db-dc1")], "5432")
    troubles = list(stanza_troubles({**stanza(), "backups": [base, newest]}, writer, now=AT))
    assert bool(troubles) == (not -120 <= stop <= 9 * HOUR or not -120 <= stop + full <= 8 * 24 * HOUR)


@given(some.sampled_from(["/srv/store2", "/srv/stor", "/var/lib/dpkg2", "/var/lib", "/srv", "/", "/var/lib/etcd"]))
def test_a_name_that_only_resembles_one_that_is_sent_is_not_covered(path: str) -> None:
    assert not is_covered(path, ["/srv/store", "/etc"], [])


def test_the_image_that_the_lab_lays_down_at_the_vault_is_no_finding() -> None:
    assert is_covered(KEPT_IMAGE, [], [])


@pytest.mark.parametrize("path", ["/var/lib/chrony", "/var/lib/logrotate"])
def test_what_a_host_measures_or_notes_by_itself_needs_no_backup(path: str) -> None:
    assert is_covered(path, [], [])


def test_a_folder_that_came_to_hold_something_since_and_that_its_job_takes_next_is_no_finding() -> None:
    def opened(told: Told, *taken: str) -> None:
        set_to("store-dc1", "stores", "folders", to=["/srv/new", "/srv/store/git"])(told)
        set_to("store-dc1", "stores", "next", to=list(taken))(told)

    assert outcome("BK-COVERAGE", opened).state is State.FAILED
    assert outcome("BK-COVERAGE", lambda told: opened(told, "/srv/other")).state is State.FAILED
    assert outcome("BK-COVERAGE", lambda told: opened(told, "/srv/new")).state is State.PASSED


@pytest.mark.parametrize(
    ("change", "saw"),
    [
        pytest.param(
            set_to("vault", "kept", "oldest", "db-dc2", to=AT - 93 * 24 * HOUR),
            "vault: the oldest snapshot of db-dc2 is 93 days old",
            id="a snapshot",
        ),
        pytest.param(
            set_to(
                *ONE, "backups", to=[{**stanza()["backups"][0], "stop": AT - 100 * 24 * HOUR}, *stanza()["backups"]]
            ),
            "the oldest backup of billing is 100 days old",
            id="a backup beside a newer one",
        ),
        pytest.param(
            set_to(*ONE, "archive", "oldest_at", to=AT - 94 * 24 * HOUR),
            "the oldest part of the log of billing is 94 days old",
            id="a part of a log that no backup needs",
        ),
    ],
)
def test_what_is_kept_longer_than_three_months_is_found(change: Callable[[Told], None], saw: str) -> None:
    result = outcome("DATA-RETENTION", change)
    assert result.state is State.FAILED
    assert saw in result.saw


def test_what_is_younger_may_be_kept_and_nothing_at_all_tells_nothing() -> None:
    assert outcome("DATA-RETENTION", lambda _: None).state is State.PASSED
    none = set_to("store-dc1", "kept", "stanzas", to={})
    assert outcome("DATA-RETENTION", none).state is State.UNKNOWN


def test_a_legal_hold_is_told_where_retention_is_and_unknown_where_nobody_tells_of_it() -> None:
    assert "2 under a legal hold, which forbade 3 erasures so far" in outcome("DATA-RETENTION").saw
    silent = {"db-dc1": {"trouble": "does not answer"}, "db-dc2": HELD["db-dc2"]}
    assert outcome("DATA-RETENTION", held=silent).state is State.UNKNOWN


def test_what_accountctl_prints_and_what_is_checked_is_one_promise() -> None:
    defaults = YAML(typ="safe").load(ROOT / "roles" / "erasure_ledger" / "defaults" / "main.yml")
    assert defaults["erasure_ledger_backups_days"] == KEPT_AT_MOST.days


@pytest.mark.parametrize(
    ("told", "saw"),
    [
        pytest.param(pruned(ended=None), "the repository of db-dc2 was never pruned", id="never"),
        pytest.param(pruned(ended=AT - 40 * HOUR), "of db-dc2 was pruned 40 h ago", id="not for long"),
        pytest.param(pruned(ended=AT + 9 * HOUR), "of db-dc2 was pruned -9 h ago", id="in the future"),
        pytest.param(pruned(key=False), "of db-dc2 does not have the vault's key", id="without a key"),
        pytest.param(pruned(why=["2 of 5 would go at once"]), "was not pruned: 2 of 5 would go at once", id="not sure"),
    ],
)
def test_a_repository_that_nobody_prunes_is_found(told: dict[str, Any], saw: str) -> None:
    result = outcome("DATA-PRUNE", set_to("vault", "kept", "pruned", "db-dc2", to=told))
    assert result.state is State.FAILED
    assert saw in result.saw


def test_a_producer_without_a_repository_is_found_and_nothing_is_wrong_with_what_is_pruned_by_night() -> None:
    assert outcome("DATA-PRUNE").state is State.PASSED

    def lost(told: Told) -> None:
        del told["vault"]["kept"]["pruned"]["web-dc1"]

    assert "the repository of web-dc1 is not there" in outcome("DATA-PRUNE", lost).saw


@given(some.floats(-400, 400))
def test_a_prune_counts_for_a_day_and_a_half(hours: float) -> None:
    found = list(prune_troubles(pruned(ended=AT - hours * HOUR), now=AT))
    assert bool(found) is not (-120 <= hours * HOUR <= OLDEST_PRUNE.total_seconds())


def test_what_is_removed_by_night_is_gone_before_the_check_says_that_it_is_too_old() -> None:
    defaults = YAML(typ="safe").load(ROOT / "roles" / "backup_target" / "defaults" / "main.yml")
    days = dt.timedelta(days=defaults["backup_target_kept_days"])
    assert days + OLDEST_PRUNE <= KEPT_AT_MOST
