"""A backup counts as verified only when it was read, restored and compared, lately and to a good end."""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from tests.unit.checks.estates import BY_ID

from secondsite.checks.freshness import expected_jobs
from secondsite.checks.model import Result, Section, State, World
from secondsite.checks.rules.frame import judged
from secondsite.checks.rules.verified import rota_trouble, trouble
from secondsite.estate.load import load_estate
from secondsite.estate.model import Host, HostName

FULL = load_estate(Path(__file__).parents[3] / "inventories" / "lab")
NOW = dt.datetime(2026, 11, 30, 12, tzinfo=dt.UTC)
AT = NOW.timestamp()
HOUR, DAY = 3600.0, 86400.0
STANZAS = ("billing", "control")
COUNTS = {"databases": 2, "tables": 9, "rows": 40, "roles": 5, "logins": 2}
CHECKS = ["BK-READ", "BK-RESTORE", "BK-PITR"]

Told = dict[str, dict[str, Any]]


def ended(**facts: Any) -> dict[str, Any]:
    return {"ok": True, "why": [], "ended": AT - HOUR, **facts}


def failed(why: str) -> dict[str, Any]:
    return ended(ok=False, why=[why])


def rota(*, parts: int = 1, since: float = AT - 40 * DAY, **read: float) -> dict[str, Any]:
    times = {str(part): AT - HOUR for part in range(parts)} | {name.strip("p"): at for name, at in read.items()}
    return {"parts": parts, "since": since, "read": times}


def of_repository(host: Host) -> dict[str, Any]:
    if "repository" not in host.groups:
        return {}
    newest = ended(backup="1F", taken=AT - 2 * HOUR, **COUNTS)
    moment = ended(backup="1F", before="2026-11-30 11:00:00+00", rows=1000)
    one = {"read": ended(), "newest": newest, "older": ended(none=True), "moment": moment}
    return {f"{stanza}.{what}": copy.deepcopy(told) for stanza in STANZAS for what, told in one.items()}


def of_producer(host: Host) -> dict[str, Any]:
    if "producer" not in host.groups:
        return {}
    jobs = [job for job in expected_jobs(host) if job in ("files", "agreement", "names", "databases")]
    newest = {f"{job}.newest": ended(backup="ab", holds=[]) for job in jobs}
    if "databases" in jobs:
        newest["databases.newest"] = (
            ended(backup="ab", holds=list(STANZAS)) if host.site == "dc2" else ended(left=True, job="databases")
        )
    return {"read": ended(rota=rota()), "older": ended(none=True), **newest}


def healthy() -> Told:
    producers = [host.name for host in FULL.hosts.values() if "producer" in host.groups]
    return {
        host.name: {
            "verified": {
                "now": AT,
                "stanzas": of_repository(host),
                "packs": {name: ended(rota=rota()) for name in producers} if "append_only" in host.groups else {},
                "snapshots": of_producer(host),
            }
        }
        for host in FULL.hosts.values()
        if {"producer", "repository"} & set(host.groups)
    }


def outcome(check: str, change: Callable[[Told], None] = lambda _: None) -> Result:
    told = copy.deepcopy(healthy())
    change(told)
    hosts = {
        HostName(name): {
            section: value if isinstance(value, Section) else Section(value=value) for section, value in one.items()
        }
        for name, one in told.items()
    }
    return judged(BY_ID[check], World(estate=FULL, now=NOW, hosts=hosts))


def put(host: str, kind: str, name: str, to: Any) -> Callable[[Told], None]:
    def change(told: Told) -> None:
        told[host]["verified"][kind][name] = to

    return change


def lose(host: str, kind: str, name: str) -> Callable[[Told], None]:
    def change(told: Told) -> None:
        del told[host]["verified"][kind][name]

    return change


@pytest.mark.parametrize("check", CHECKS)
def test_all_is_well_where_everything_was_verified(check: str) -> None:
    result = outcome(check)
    assert (result.state, result.saw) == (State.PASSED, result.saw)
    assert {host.name for host in FULL.hosts.values() if "repository" in host.groups} <= set(result.hosts)


FLIPPED = "billing: invalid checksum '20261130-094224F/bundle/2'"


@pytest.mark.parametrize(
    ("check", "change", "saw"),
    [
        pytest.param(
            "BK-READ",
            put("vault", "stanzas", "billing.read", failed(FLIPPED)),
            f"vault: reading billing back failed: {FLIPPED}",
            id="a flipped bit in a backup file",
        ),
        pytest.param("BK-READ", lose("store-dc1", "stanzas", "control.read"), "never made", id="never read back"),
        pytest.param(
            "BK-READ",
            put("store-dc1", "stanzas", "control.read", ended(ended=AT - 52 * HOUR)),
            "store-dc1: reading control back is 52 h old",
            id="read back too long ago",
        ),
        pytest.param(
            "BK-READ",
            put("vault", "packs", "web-dc1", {**failed("data/ab/ab12 is not what its name says"), "rota": rota()}),
            "vault: reading what web-dc1 sent failed: data/ab/ab12 is not what its name says",
            id="a flipped bit in a pack, seen where it lies",
        ),
        pytest.param(
            "BK-READ",
            put("web-dc2", "snapshots", "read", {**failed("pack ab12 contains 2 errors"), "rota": rota()}),
            "web-dc2: reading its own snapshots back failed: pack ab12 contains 2 errors",
            id="a flipped bit in a pack, seen by its producer",
        ),
        pytest.param(
            "BK-READ",
            put("web-dc2", "snapshots", "read", ended(rota=rota(parts=3, p1=AT - 6 * DAY))),
            "has part 2 of 3 unread for 6.0 days",
            id="a part that nobody reads",
        ),
        pytest.param("BK-READ", lose("vault", "packs", "ops-dc1"), "what ops-dc1 sent was never made", id="no packs"),
        pytest.param(
            "BK-RESTORE",
            put(
                "vault", "stanzas", "billing.newest", {**failed("shop: orders has 3 rows instead of 4"), "backup": "1F"}
            ),
            "vault: restoring billing, 1F failed: shop: orders has 3 rows instead of 4",
            id="rows are missing",
        ),
        pytest.param(
            "BK-RESTORE",
            put("vault", "stanzas", "billing.newest", ended(backup="1F", **{**COUNTS, "rows": 0})),
            "restoring billing, 1F compared nothing",
            id="an empty backup that equals an empty tally",
        ),
        pytest.param(
            "BK-RESTORE",
            put("store-dc2", "stanzas", "control.older", ended(ended=AT - 16 * DAY)),
            "store-dc2: restoring control, an older backup is 384 h old",
            id="no older one for long",
        ),
        pytest.param(
            "BK-RESTORE",
            put(
                "ops-dc1",
                "snapshots",
                "names.newest",
                {**failed("snapshot ab of names: x.zone is missing"), "backup": "ab"},
            ),
            "ops-dc1: restoring names, ab failed: snapshot ab of names: x.zone is missing",
            id="a file is missing",
        ),
        pytest.param("BK-RESTORE", lose("db-dc1", "snapshots", "files.newest"), "was never made", id="never restored"),
        pytest.param(
            "BK-RESTORE",
            put("db-dc2", "snapshots", "databases.newest", ended(left=True)),
            "no dump of billing was restored at db-dc1 or db-dc2",
            id="each left the dumps to the other",
        ),
        pytest.param(
            "BK-RESTORE",
            put("db-dc2", "snapshots", "databases.newest", ended(backup="ab", holds=["billing"])),
            "no dump of control was restored",
            id="a cluster in no dump",
        ),
        pytest.param(
            "BK-PITR",
            put("store-dc1", "stanzas", "billing.moment", {**failed("recovery went beyond 11:00"), "before": "11:00"}),
            "store-dc1: recovering billing to one second before a loss, 11:00 failed: recovery went beyond 11:00",
            id="not the moment before",
        ),
        pytest.param("BK-PITR", lose("vault", "stanzas", "control.moment"), "was never made", id="no moment at all"),
    ],
)
def test_what_was_not_verified_is_found_and_named(check: str, change: Callable[[Told], None], saw: str) -> None:
    result = outcome(check, change)
    assert result.state is State.FAILED
    assert saw in result.saw


@pytest.mark.parametrize("check", CHECKS)
def test_a_repository_that_can_not_be_read_is_never_passed(check: str) -> None:
    def change(told: Told) -> None:
        told["vault"]["verified"] = Section(trouble="it can't be read")

    assert outcome(check, change).state is State.UNKNOWN


@pytest.mark.parametrize("words", [{}, {"ok": "yes", "why": []}, {"ok": True, "why": []}, []])
def test_words_that_make_no_sense_are_never_passed(words: Any) -> None:
    result = outcome("BK-RESTORE", put("vault", "stanzas", "billing.newest", words))
    assert result.state in (State.FAILED, State.UNKNOWN)


@given(some.booleans(), some.integers(-8_000_000, 8_000_000), some.integers(3600, 2_600_000))
def test_a_verification_counts_only_when_it_is_right_and_new(ok: bool, age: int, oldest: int) -> None:  # noqa: FBT001
    told = {"ok": ok, "why": [], "ended": AT - age}
    counts = not trouble(told, now=AT, oldest=dt.timedelta(seconds=oldest))
    assert counts == (ok and -120 <= age <= oldest)


@given(some.integers(1, 12), some.data())
def test_no_part_stays_unread_for_longer_than_the_rota_takes(parts: int, data: some.DataObject) -> None:
    read = {str(part): AT - data.draw(some.integers(0, 1_800_000)) for part in range(parts)}
    told = ended(rota={"parts": parts, "since": AT - 40 * DAY, "read": read})
    assert (not rota_trouble(told, now=AT)) == all(AT - at <= (parts + 2) * DAY for at in read.values())


def test_a_new_rota_has_as_long_as_it_takes() -> None:
    begun = ended(rota={"parts": 9, "since": AT - HOUR, "read": {"0": AT - HOUR}})
    assert not rota_trouble(begun, now=AT)
    assert "unread" in rota_trouble({**begun, "ended": AT + 12 * DAY}, now=AT + 12 * DAY)
