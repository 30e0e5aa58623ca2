"""The checks notice what was broken by hand, name it, and cry no wolf."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from tests.end_to_end.conftest import Estate

from secondsite.checks.load import load_sabotages
from secondsite.checks.rules import CHECKS
from secondsite.checks.rules.planted import target
from secondsite.estate.load import load_estate

pytestmark = pytest.mark.lab

ROOT = Path(__file__).resolve().parents[2]
AT_ONCE = 6
SETTLED_WITHIN_S = 120.0
ESTATE = load_estate(ROOT / "inventories" / "small")
SABOTAGES = load_sabotages(ROOT / "drtests" / "sabotages", checks=CHECKS)
IDS = sorted(name for name, one in SABOTAGES.items() if target(one, ESTATE) is not None)
DECISIVE = ["N01", "D01", "T01", "T02", "R18", "F01"]
GROUPS = [
    pytest.param(DECISIVE, id="-".join(DECISIVE), marks=pytest.mark.nightly),
    *(
        pytest.param(IDS[first : first + AT_ONCE], id="-".join(IDS[first : first + AT_ONCE]), marks=pytest.mark.nightly)
        for first in range(0, len(IDS), AT_ONCE)
    ),
]


@pytest.fixture
def healthy(whole: Estate) -> Estate:
    """The restored lab, once its databases and clocks found each other again."""
    until = time.monotonic() + SETTLED_WITHIN_S
    while whole.secondsite("check", "--json").returncode != 0 and time.monotonic() < until:
        time.sleep(1)
    return whole


def test_a_healthy_estate_passes_every_check(healthy: Estate) -> None:
    done = healthy.secondsite("check", "--json")
    document = json.loads(done.stdout)

    assert {one["id"]: one["saw"] for one in document["checks"] if one["state"] != "passed"} == {}
    assert done.returncode == 0
    assert {"schema_version", "estate", "checks", "seconds"} <= set(document)


@pytest.mark.parametrize("some", GROUPS)
def test_every_planted_fault_is_noticed_and_nothing_else_is(healthy: Estate, some: list[str]) -> None:
    done = healthy.secondsite("sabotage", "run", "--json", *some)
    assert done.stdout, done.stderr
    document = json.loads(done.stdout)

    wrong = [one for one in document["sabotages"] if not one["noticed"] or one["false_alarms"]]
    assert wrong == []
    assert document["planted"] == document["noticed"] == len(some)
    assert document["false_alarms"] == 0
    assert done.returncode == 0


@pytest.mark.nightly
def test_a_host_that_can_not_be_read_is_unknown_and_the_others_are_judged(healthy: Estate) -> None:
    healthy.on("web-dc2", "systemctl stop 'ssh.s*'")

    done = healthy.secondsite("check", "--tags", "services,FW-PARITY", "--json")
    states = {one["id"]: one["state"] for one in json.loads(done.stdout)["checks"]}

    assert states["FW-PARITY"] == "unknown"
    assert "failed" not in states.values()
    assert done.returncode == 8


@pytest.mark.nightly
def test_a_program_that_is_missing_on_a_host_leaves_its_checks_unknown(healthy: Estate) -> None:
    healthy.on("db-dc2", "mv /usr/sbin/nft /usr/sbin/nft.away")

    done = healthy.secondsite("check", "--tags", "firewall", "--json")
    found = {one["id"]: one for one in json.loads(done.stdout)["checks"]}

    assert found["FW-PARITY"]["state"] == "unknown"
    assert "nft is not installed" in found["FW-PARITY"]["saw"]
    assert done.returncode == 8


def test_when_no_host_answers_nothing_is_decided(healthy: Estate) -> None:
    for host in json.loads(healthy.secondsite("lab", "status", "--json").stdout)["lab"]["hosts"]:
        healthy.on(str(host["name"]), "systemctl stop 'ssh.s*'")

    done = healthy.secondsite("check")

    assert done.returncode == 4
    assert "nothing was decided" in done.stderr
