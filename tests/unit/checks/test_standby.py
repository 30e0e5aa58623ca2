"""The copy of the controller's state: what makes the check red, and what the collector tells of a real copy."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.checks.estates import changed, verdict, world

from secondsite.checks.model import Result, Section, State
from secondsite.checks.rules.standby import NEWEST_RUN
from secondsite.probes.remote.collectors import standby as collector
from secondsite.probes.remote.collectors.common import Settings
from secondsite.store.standby import pack

COPY = {"newest": "000007-failover", "journal": True, "made": 1.0, "private": True, "trouble": ""}
TOLD = {"newest": "000007-failover", "copy": "small.tgz"}


def judged_with(kept: Any, outside: Section | None = None) -> Result:
    told = world("standby", {"small.tgz": COPY}, vault=kept)
    return verdict("RDY-STANDBY", replace(told, outside={NEWEST_RUN: outside or Section(value=TOLD)}))


def test_a_whole_copy_with_the_newest_run_is_as_expected() -> None:
    assert judged_with({"small.tgz": COPY}).state is State.PASSED


@pytest.mark.parametrize(
    ("kept", "saw"),
    [
        pytest.param({}, "keeps no copy", id="none"),
        pytest.param({"lab.tgz": COPY}, "keeps no copy", id="another estate's"),
        pytest.param({"small.tgz": changed(COPY, trouble="it can't be read: eof")}, "is worth nothing", id="half"),
        pytest.param({"small.tgz": changed(COPY, journal=False)}, "holds no journal", id="no journal"),
        pytest.param({"small.tgz": changed(COPY, private=False)}, "can be read by others", id="open"),
        pytest.param({"small.tgz": changed(COPY, newest="000006-provision")}, "and the newest is 000007", id="behind"),
        pytest.param({"small.tgz": changed(COPY, newest="")}, "holds no run", id="empty"),
    ],
)
def test_a_copy_from_which_nobody_could_go_on_is_red(kept: Any, saw: str) -> None:
    result = judged_with(kept)
    assert result.state is State.FAILED
    assert saw in result.saw
    assert result.hosts == ("vault",)


def test_what_nobody_could_look_at_is_unknown() -> None:
    assert judged_with(Section(trouble="no answer")).state is State.UNKNOWN
    assert judged_with({"small.tgz": COPY}, Section(trouble="no state")).state is State.UNKNOWN


def test_a_controller_that_ran_nothing_has_nothing_to_be_copied() -> None:
    assert judged_with({}, Section(value={"newest": "", "copy": "small.tgz"})).state is State.PASSED


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A real copy of a state with two runs, where hosts keep it."""
    state, place = tmp_path / "state", tmp_path / "place"
    for run in ("000001-provision", "000002-failover"):
        (state / "runs" / run).mkdir(parents=True)
        (state / "runs" / run / "plan.json").write_text("{}")
    place.mkdir()

    sqlite3.connect(state / "journal.sqlite").execute("CREATE TABLE kept (id int)").connection.close()
    copy = place / "small.tgz"
    copy.write_bytes(pack(state, open_runs=()))
    copy.chmod(0o600)
    monkeypatch.setattr(collector, "PLACE", str(place))
    return copy


def described(name: str = "small.tgz") -> dict[str, Any]:
    settings: Settings = {}  # type: ignore[assignment, typeddict-item, unused-ignore]
    return collector.standby(settings)[name]


def test_the_collector_tells_of_a_real_copy(kept: Path) -> None:
    told = described()
    assert (told["newest"], told["journal"], told["private"], told["trouble"]) == ("000002-failover", True, True, "")
    kept.chmod(0o644)
    assert described()["private"] is False


def test_the_collector_tells_of_half_a_copy_and_of_a_folder_in_its_place(kept: Path) -> None:
    kept.write_bytes(kept.read_bytes()[:100])
    assert "can't be read" in described()["trouble"]
    kept.unlink()
    kept.mkdir()
    assert described()["trouble"] == "it is no file"


def test_the_collector_tells_of_a_copy_in_which_a_block_is_of_no_kind(kept: Path) -> None:
    whole = kept.read_bytes()
    kept.write_bytes(whole[:10] + b"\xff" + whole[11:])  # the first block behind the header
    assert "can't be read" in described()["trouble"]
