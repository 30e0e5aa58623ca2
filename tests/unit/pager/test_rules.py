"""When a person is told of trouble: once, again in a while, and when it is over; who is silent; what is old."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FILES = Path(__file__).resolve().parents[3] / "roles" / "pager" / "files"
REPEAT_S = 1800.0
HOUR = 3600.0
OLDEST = {"backup": 9 * HOUR, "full": 192 * HOUR, "files": 2.5 * HOUR, "databases": 9 * HOUR}
NOW = 1_000_000.0


@pytest.fixture
def rules(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [str(FILES), *sys.path])
    return importlib.import_module("pager.rules")


def told(rules: ModuleType, *moments: tuple[float, dict[str, str]]) -> list[tuple[float, str, str]]:
    """Return the pages that come of what is wrong at each moment."""
    opened: dict[str, Any] = {}
    pages = []
    for now, troubles in moments:
        opened, due = rules.folded(opened, troubles, host="here", now=now, repeat_s=REPEAT_S)
        pages += [(now, page.kind, page.key) for page in due]
    return pages


def test_a_trouble_is_told_once_again_in_a_while_and_when_it_is_over(rules: ModuleType) -> None:
    wrong = {"unit:a": "a has failed"}
    moments = [(float(at), wrong if at < 1900 else {}) for at in range(0, 2000, 10)]

    assert told(rules, *moments) == [
        (0, "trouble", "unit:a"),
        (1800, "still", "unit:a"),
        (1920, "clear", "unit:a"),
    ]


def test_what_comes_and_goes_between_two_looks_is_one_trouble(rules: ModuleType) -> None:
    wrong = {"unit:a": "a has failed"}

    assert told(rules, (0, wrong), (10, {}), (20, wrong), (30, {}), (40, wrong)) == [(0, "trouble", "unit:a")]


def test_no_two_pages_have_one_name(rules: ModuleType) -> None:
    after, first = rules.folded({}, {"a": "x", "b": "x"}, host="here", now=1.0, repeat_s=60)
    _, second = rules.folded(after, {"a": "x", "b": "x"}, host="here", now=61.0, repeat_s=60)

    assert len({page.id for page in (*first, *second)}) == 4
    assert {page.since for page in second} == {1.0}, "it goes on since it began"


def silent(rules: ModuleType, ages: dict[str, float], **words: Any) -> set[str]:
    given: dict[str, Any] = {"told_by": {}, "own": (), "turn": 0, "silence_s": 25.0, **words}
    told_by, own = given.pop("told_by"), given.pop("own")
    return {key for key, _ in rules.silences(ages, told_by, own=own, **given)}


def test_a_host_that_is_not_heard_is_told_of(rules: ModuleType) -> None:
    assert silent(rules, {"a": 26.0, "b": 5.0}) == {"silent:a"}
    assert silent(rules, {"a": 24.0, "b": 5.0}) == set()


def test_the_next_in_turn_waits_and_tells_nothing_that_was_told_already(rules: ModuleType) -> None:
    ages = {"a": 30.0, "ops-dc1": 5.0}
    assert silent(rules, ages, turn=1) == set()
    assert silent(rules, {**ages, "a": 36.0}, turn=1) == {"silent:a"}
    assert silent(rules, {**ages, "a": 36.0}, turn=1, told_by={"ops-dc1": ["silent:a"]}) == set()


def test_what_a_silent_relay_told_counts_no_more(rules: ModuleType) -> None:
    ages = {"a": 300.0, "ops-dc1": 40.0, "b": 5.0}

    assert silent(rules, ages, turn=1, told_by={"ops-dc1": ["silent:a"]}) == {"silent:a", "silent:ops-dc1"}


def test_who_told_of_a_silence_goes_on_though_another_one_did_too(rules: ModuleType) -> None:
    ages = {"a": 60.0, "ops-dc2": 5.0}

    assert silent(rules, ages, own=["silent:a"], told_by={"ops-dc2": ["silent:a"]}) == {"silent:a"}


def test_who_hears_nobody_tells_that_of_itself_and_nothing_of_the_others(rules: ModuleType) -> None:
    assert silent(rules, {"a": 30.0, "b": 31.0}) == {"hears-nobody"}


def backup(hours: float, kind: str = "full", **more: Any) -> dict[str, Any]:
    return {"label": kind, "type": kind, "timestamp": {"stop": NOW - hours * HOUR}, **more}


def stanza(*backups: dict[str, Any], code: int = 0) -> dict[str, Any]:
    return {"status": {"code": code, "message": "broken"}, "backup": list(backups)}


@pytest.mark.parametrize(
    ("given", "had", "for_s", "said"),
    [
        pytest.param(stanza(backup(1)), True, 0, "", id="new"),
        pytest.param(stanza(backup(10)), True, 0, "10.0 h old", id="old"),
        pytest.param(stanza(backup(200), backup(1, "incr")), True, 0, "newest full backup", id="no new full one"),
        pytest.param(stanza(backup(1, error=True)), True, 0, "with errors", id="errors"),
        pytest.param(stanza(backup(1), code=6), True, 0, "in trouble: broken", id="status"),
        pytest.param(stanza(backup(-1)), True, 0, "from the future", id="future"),
        pytest.param(stanza(), True, 0, "has no backup", id="lost"),
        pytest.param(None, True, 0, "has no backup", id="stanza lost"),
        pytest.param(stanza(), False, 60, "", id="not begun yet"),
        pytest.param(stanza(), False, 1000, "has no backup", id="never begun"),
    ],
)
def test_a_repository_is_judged_by_what_lies_in_it(
    rules: ModuleType, given: Any, *, had: bool, for_s: float, said: str
) -> None:
    found = "; ".join(rules.stanza_troubles(given, had=had, for_s=for_s, now=NOW, oldest=OLDEST))

    assert (said in found) if said else found == ""


CLAIM = {"web": {"files": {"snapshot": "one", "parts": []}}}
DUMPS = {name: {"databases": {"snapshot": name, "parts": ["billing"]}} for name in ("first", "second")}


@pytest.mark.parametrize(
    ("wanted", "claims", "came", "for_s", "said"),
    [
        pytest.param(("files", "web"), CLAIM, {("web", "one"): NOW - HOUR}, 0, "", id="new"),
        pytest.param(("files", "web"), CLAIM, {("web", "one"): NOW - 3 * HOUR}, 0, "3.0 h old", id="old"),
        pytest.param(("files", "web"), CLAIM, {}, 0, "does not lie here", id="lost"),
        pytest.param(("files", "web"), CLAIM, {("db", "one"): NOW}, 0, "does not lie here", id="another's"),
        pytest.param(("files", "web"), {}, {}, 60, "", id="not begun yet"),
        pytest.param(("files", "web"), {}, {}, 1000, "nothing was ever sent", id="never begun"),
        pytest.param(("databases", "billing"), DUMPS, {("second", "second"): NOW}, 0, "", id="by the other host"),
    ],
)
def test_a_snapshot_counts_where_it_lies_and_not_where_it_was_made(
    rules: ModuleType, wanted: Any, claims: Any, came: Any, for_s: float, said: str
) -> None:
    found = rules.snapshot_trouble(wanted, claims, came, now=NOW, for_s=for_s, oldest=OLDEST[wanted[0]])

    assert (said in found) if said else found == ""


FIRST, SECOND, THIRD = (f"00000001000000000000000{number}" for number in "123")


def test_a_segment_that_counts_as_archived_is_awaited_until_it_lies_there(rules: ModuleType) -> None:
    claim = rules.awaited(None, [SECOND], {"00000001": 1}, now=5.0)
    assert claim == rules.Claim(segment=SECOND, since=5.0)
    assert rules.awaited(claim, [THIRD], {"00000001": 1}, now=9.0) == claim, "a busy log does not hide the gap"
    assert rules.awaited(claim, [SECOND], {"00000001": 2}, now=9.0) is None


def test_a_promoted_clusters_log_goes_on_on_a_later_timeline(rules: ModuleType) -> None:
    assert rules.awaited(None, [SECOND], {"00000001": 1, "00000002": 2}, now=0.0) is None
    assert rules.awaited(None, ["0" * 7 + "2" + SECOND[8:]], {"00000001": 9}, now=0.0) is not None


def test_what_a_host_makes_up_is_awaited_by_nobody(rules: ModuleType) -> None:
    assert rules.awaited(None, ["../../etc/passwd"], {}, now=0.0) is None
