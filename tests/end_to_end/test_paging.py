"""A failure pages a person by mail and by the webhook within a minute, also with an operations host or a site dead."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.end_to_end.conftest import Estate
from tests.end_to_end.labs import lab_environment, provisioned

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1500)]

ROOT = Path(__file__).resolve().parents[2]
INSTANCE = f"paged{os.getpid() % 10000}"
SAVE = "paged-provisioned"
PROMISED_S = 60.0
LONGER_S = 150.0
SETTLED_WITHIN_S = 240.0
UNIT = "secondsite-backup@files.service"
DROP_IN = f"/run/systemd/system/{UNIT}.d"
PSQL = "runuser -u postgres -- psql -qAt -p 5432 -c"
# Prints when each page that is about this came: at the webhook's receiver, and in each mailbox of who is on call.
AT_THE_RECEIVER = (
    "cd /var/lib/secondsite-pager/received;"
    """ for f in $(grep -ls '"host": "{0}".*"kind": "trouble".*{1}' *.json); do stat -c %.9Y $f; done"""
)
IN_THE_MAILBOXES = (
    "cd /var/lib/mailbox/persons; for p in *; do for f in $(grep -lsr '^{0}: .*{1}' $p/new);"
    " do echo $p $(stat -c %.9Y $f); done; done"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What fails, on which hosts, by which words (a pattern) which of them tells of it, and how it is brought about."""

    hosts: tuple[str, ...]
    words: str
    plant: str
    by: str = ".*"


JOB = Fault(
    hosts=("store-dc1",),
    by="store-dc1",
    words=f"{UNIT} has failed",
    plant=f"mkdir -p {DROP_IN}; printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\n' > {DROP_IN}/broken.conf;"
    f" systemctl daemon-reload; systemctl start {UNIT} || true",
)
ARCHIVE = Fault(
    hosts=("db-dc1", "db-dc2"),  # whichever writes
    words="the log of billing lacks",
    plant=f"[ \"$({PSQL} 'SELECT pg_is_in_recovery()')\" = t ] && exit 0;"
    f" {PSQL} \"ALTER SYSTEM SET archive_command = '/bin/true'\"; {PSQL} 'SELECT pg_reload_conf()'; sleep 1;"
    f" {PSQL} \"SELECT pg_create_restore_point('page')\"; {PSQL} 'SELECT pg_switch_wal()'",
)
READ_ONLY = Fault(
    hosts=("vault",),
    words="/srv/backup/pgbackrest can.t be written to",
    plant="mount --bind /srv/backup/pgbackrest /srv/backup/pgbackrest; mount -o remount,bind,ro /srv/backup/pgbackrest",
)


@pytest.fixture(scope="module")
def provisioned_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """All seventeen hosts: the small estate has no operations hosts that could die."""
    state = tmp_path_factory.mktemp("paged")
    environment = lab_environment(state, INSTANCE, "lab")
    with provisioned(environment, save=SAVE):
        yield Estate(state=state, environment=environment)


@pytest.fixture
def paging(provisioned_lab: Estate) -> Estate:
    """The restored lab, once its pages arrive again."""
    done = provisioned_lab.secondsite("lab", "restore", SAVE)
    assert done.returncode == 0, done.stderr[-3000:]
    until = time.monotonic() + SETTLED_WITHIN_S
    while (seen := provisioned_lab.secondsite("check", "--tags", "paging,BK-FRESH")).returncode != 0:
        assert time.monotonic() < until, seen.stdout[-3000:] + seen.stderr[-1000:]
        time.sleep(1)
    return provisioned_lab


def told_after(estate: Estate, words: str, since: float, *, by: str = ".*") -> dict[str, float]:
    """Return after how many seconds a person was told, by place; wait until the receiver and both mailboxes were."""
    until, places = time.monotonic() + LONGER_S, 3
    found: dict[str, float] = {}
    while len(found) < places and time.monotonic() < until:
        came = [("webhook", at) for at in estate.on("console", AT_THE_RECEIVER.format(by, words)).split()]
        for line in estate.on("customers", IN_THE_MAILBOXES.format(by, words)).splitlines():
            person, at = line.split()
            came.append((f"mail to {person.split('@')[0]}", at))
        for place, at in came:
            if float(at) >= since:  # nothing that was told before, of an earlier trouble
                found[place] = min(found.get(place, LONGER_S), float(at) - since)
        time.sleep(0.5)
    return found


def judge(what: str, found: dict[str, float]) -> None:
    sys.stderr.write(f"{what}: {json.dumps({place: round(after, 1) for place, after in found.items()})} s\n")
    assert len(found) == 3, f"{what}: told only {found}"
    assert max(found.values()) <= PROMISED_S, f"{what}: {found}"


@pytest.mark.parametrize("fault", [JOB, ARCHIVE, READ_ONLY], ids=["job", "archive", "read-only"])
@pytest.mark.parametrize("dead", ["", "ops-dc1"], ids=["all-well", "ops-dead"])
def test_a_backup_that_fails_pages_a_person_by_both_ways_within_a_minute(
    paging: Estate, fault: Fault, dead: str
) -> None:
    if dead:
        cut = paging.secondsite("lab", "fault", "cut-power", dead)
        assert cut.returncode == 0, cut.stderr
    since = time.time()
    for host in fault.hosts:
        paging.on(host, fault.plant)

    judge(f"{fault.words!r} with {dead or 'nobody'} dead", told_after(paging, fault.words, since, by=fault.by))


def test_a_dead_operations_host_is_itself_told_of(paging: Estate) -> None:
    since = time.time()
    cut = paging.secondsite("lab", "fault", "cut-power", "ops-dc1")
    assert cut.returncode == 0, cut.stderr

    judge("ops-dc1 dead", told_after(paging, "ops-dc1 is silent", since))


def test_with_a_whole_site_dead_a_failed_job_at_the_other_one_pages_a_person(paging: Estate) -> None:
    cut_at = time.time()
    cut = paging.secondsite("lab", "fault", "cut-power", "dc1")
    assert cut.returncode == 0, cut.stderr
    since = time.time()
    paging.on("store-dc2", JOB.plant)

    judge("job at dc2 with dc1 dead", told_after(paging, JOB.words, since, by="store-dc2"))
    judge("web-dc1 dead with all of dc1", told_after(paging, "web-dc1 is silent", cut_at))


def test_a_page_whose_own_ways_are_blocked_goes_through_a_relay(paging: Estate) -> None:
    """The host's firewall lets nothing out but heartbeats and pages to relays: neither mail nor the receiver."""
    block = (
        "nft add table inet blocked; nft 'add chain inet blocked out { type filter hook output priority 0; }';"
        " nft add rule inet blocked out ip daddr { 198.18.4.40, 198.18.5.50 } drop"
    )
    paging.on("store-dc1", block)
    since = time.time()
    paging.on("store-dc1", JOB.plant)

    judge("job with no way of its own", told_after(paging, JOB.words, since, by="store-dc1"))
