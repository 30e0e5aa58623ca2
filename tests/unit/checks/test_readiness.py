"""What was not green when it was last looked at is in the way of a move, until somebody overrides it by name."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from secondsite.app.readiness import overrides_in
from secondsite.checks.model import Result, State
from secondsite.checks.readiness import Kept, Obstacle, obstacles, unpassed
from secondsite.checks.rules import CHECKS
from secondsite.errors import UsageError
from secondsite.estate.model import HostName
from secondsite.store.checks import KeptChecks

NOW = dt.datetime(2026, 11, 30, 12, tzinfo=dt.UTC)
LOST = ("web-dc1", "db-dc1")


def kept(state: State, *hosts: str, hours: float = 1, check: str = "RDY-LOGIN") -> Kept:
    return Kept(id=check, state=state, saw="saw that", hosts=hosts, at=NOW - dt.timedelta(hours=hours))


def told(*found: Kept) -> list[str]:
    return [one.check for one in obstacles(found, lost=LOST, now=NOW)]


@pytest.mark.parametrize("state", [State.FAILED, State.UNKNOWN])
def test_a_check_that_was_not_green_is_in_the_way_unless_it_is_about_the_site_that_is_left_alone(state: State) -> None:
    assert told(kept(state, "db-dc2")) == ["RDY-LOGIN"]
    assert told(kept(state, "db-dc1", "db-dc2")) == ["RDY-LOGIN"]
    assert told(kept(state)) == ["RDY-LOGIN"], "a check about no host in particular is about all"
    assert told(kept(state, "db-dc1")) == []
    assert told(kept(State.PASSED, "db-dc2")) == []


def test_that_nobody_looked_for_a_day_or_ever_or_only_in_the_future_is_in_the_way() -> None:
    assert told() == ["READINESS"]
    assert told(kept(State.PASSED, hours=23)) == []
    assert told(kept(State.PASSED, hours=25)) == ["READINESS"]
    assert told(kept(State.PASSED, hours=-1)) == ["READINESS"]
    assert told(kept(State.PASSED), kept(State.PASSED, hours=25, check="CLK-SKEW")) == ["READINESS"], (
        "the oldest counts"
    )


def test_only_what_was_overridden_by_name_with_a_reason_is_passed() -> None:
    found = [Obstacle(check=name, why="") for name in ("RDY-LOGIN", "CLK-SKEW")]
    assert unpassed(found, {}) == tuple(found)
    assert unpassed(found, {"RDY-LOGIN": "known"}) == tuple(found[1:])
    assert unpassed(found, {"RDY-LOGIN": " ", "CLK-SKEW": "known"}) == tuple(found[:1])


def test_an_override_names_a_check_and_says_why() -> None:
    assert overrides_in(["RDY-LOGIN=known = harmless", "READINESS=no time"]) == {
        "RDY-LOGIN": "known = harmless",
        "READINESS": "no time",
    }
    for wrong in ("RDY-LOGON=why", "RDY-LOGIN", "RDY-LOGIN= ", "=why", ""):
        with pytest.raises(UsageError):
            overrides_in([wrong])


def result(number: int, state: State) -> Result:
    return Result(check=CHECKS[number], state=state, saw="saw", hosts=(HostName("db-dc2"),), fix="")


def test_the_newest_result_of_each_check_is_kept(tmp_path: Path) -> None:
    checks = KeptChecks(tmp_path)
    assert checks.newest() == ()
    checks.keep([result(0, State.PASSED), result(1, State.FAILED)], at=NOW - dt.timedelta(hours=2), whole=True)
    checks.keep([result(1, State.PASSED)], at=NOW, whole=False)
    newest = {one.id: one for one in checks.newest()}
    assert newest[CHECKS[0].id].at == NOW - dt.timedelta(hours=2)
    assert (newest[CHECKS[1].id].state, newest[CHECKS[1].id].at) == (State.PASSED, NOW)
    checks.keep([result(1, State.FAILED)], at=NOW, whole=True)
    assert [one.id for one in checks.newest()] == [CHECKS[1].id], "a whole round leaves nothing of earlier ones"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"checks": [{}]}', '{"checks": [{"id": "A", "state": "x"}]}'])
def test_results_that_can_not_be_read_are_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "checks.json").write_text(content)
    assert KeptChecks(tmp_path).newest() == ()
