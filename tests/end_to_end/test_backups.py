"""Night work: backups of the whole estate are restored, had back as before a loss, and spoilt in many ways."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.end_to_end.labs import lab_environment, provisioned
from tests.end_to_end.test_site_loss import launch

ROOT = Path(__file__).resolve().parents[2]
INSTANCE = f"bk{os.getpid() % 10000}"
CHECKS = ("BK-JOBS", "BK-FRESH", "BK-COVERAGE", "BK-READ", "BK-RESTORE", "BK-PITR")
SPOILT = ("B05", "B06", "B06a", "B01a", "B01b", "B26", "B03b")
REPOSITORIES = ("store-dc1", "store-dc2", "vault")
DATABASES = ("db-dc1", "db-dc2")
WITHIN_S = 120.0
UNTIL_TOLD = """
while [ "$(systemctl show -P ActiveState secondsite-verify@tally)" = activating ]; do sleep 1; done
[ "$(systemctl show -P Result secondsite-verify@tally)" = success ]
"""

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3600)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """The whole estate, provisioned."""

    environment: dict[str, str]

    def secondsite(self, *words: str) -> subprocess.CompletedProcess[str]:
        return launch(self.environment, *words)

    def on(self, host: str, script: str) -> str:
        """Run a script as root on a host, by hand and behind the product's back."""
        config = Path(self.environment["SECONDSITE_STATE"]) / "keys" / "ssh_config"
        argv = ["ip", "netns", "exec", f"{INSTANCE}-control", "ssh", "-F", str(config), "--", host, "sudo -n sh -eus"]
        done = subprocess.run(argv, input=script, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, f"{host}: {script}: {done.stderr}"
        return done.stdout

    def verified(self, host: str, name: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.on(host, f"cat /var/lib/secondsite-verify/{name}.json"))
        return document


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    environment = lab_environment(tmp_path_factory.mktemp("backups"), INSTANCE, "lab")
    with provisioned(environment):
        yield Lab(environment=environment)


def test_a_fresh_estate_has_verified_backups(lab: Lab) -> None:
    done = lab.secondsite("check", "--json", "--tags", ",".join(CHECKS))
    document = json.loads(done.stdout)
    assert {one["id"]: one["saw"] for one in document["checks"] if one["state"] != "passed"} == {}


def test_a_database_is_had_back_as_it_was_one_second_before_it_was_destroyed(lab: Lab) -> None:
    before = {host: lab.verified(host, "stanzas/billing.moment")["marker"] for host in REPOSITORIES}
    for host in DATABASES:
        lab.on(host, "systemctl start --no-block secondsite-verify@tally")
    for host in DATABASES:
        lab.on(host, UNTIL_TOLD)
    newest = "SELECT marker FROM secondsite_rehearsal.losses ORDER BY destroyed_at DESC NULLS LAST LIMIT 1"
    marker = lab.on("db-dc1", f'runuser -u postgres -- psql -qAt -p 5432 -c "{newest}"').strip()
    gone = "SELECT to_regclass('secondsite_rehearsal.work') IS NULL"
    assert lab.on("db-dc1", f'runuser -u postgres -- psql -qAt -p 5432 -c "{gone}"').strip() == "t"

    for host in REPOSITORIES:
        begun = time.monotonic()
        lab.on(host, "systemctl start secondsite-verify@newest")
        took = time.monotonic() - begun
        moment = lab.verified(host, "stanzas/billing.moment")
        assert (moment["ok"], moment["rows"], moment["why"]) == (True, 1000, [])
        assert moment["seconds"] < took < WITHIN_S
        assert moment["marker"] == marker != before[host]


def test_every_way_in_which_a_backup_is_spoilt_turns_a_check_red_that_names_it(lab: Lab) -> None:
    done = lab.secondsite("sabotage", "run", "--json", *SPOILT)
    assert done.stdout, done.stderr
    document = json.loads(done.stdout)
    wrong = [one for one in document["sabotages"] if not one["noticed"] or one["false_alarms"]]
    assert wrong == []
    assert len(document["sabotages"]) == len(SPOILT)
