"""What a host tells of its backups: the folders that hold anything, what a snapshot lacks, and the log as ranges."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from secondsite.probes.remote.collectors import keeping
from secondsite.probes.remote.collectors.common import Unreadable


@given(some.lists(some.integers(0, 60)))
def test_ranges_are_the_same_numbers_and_never_touch(numbers: list[int]) -> None:
    found = keeping.ranges(numbers)
    assert {one for first, last in found for one in range(first, last + 1)} == set(numbers)
    assert all(before[1] + 1 < after[0] for before, after in itertools.pairwise(found))


def file(path: Path, text: str = "x", *, at: float | None = None) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if at is not None:
        os.utime(path, (at, at))
    return str(path)


def test_a_file_that_a_snapshot_lacks_is_found_unless_it_is_newer(tmp_path: Path) -> None:
    listed, lost = file(tmp_path / "a" / "kept"), file(tmp_path / "a" / "lost.dat")
    since = time.time() + 5
    assert list(keeping.lacking([str(tmp_path)], {listed}, since=since)) == [lost]
    assert list(keeping.lacking([str(tmp_path)], {listed, lost}, since=since)) == []
    assert list(keeping.lacking([str(tmp_path)], set(), since=time.time() - 60)) == []


def test_folders_that_hold_a_file_are_named_and_empty_ones_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = str(tmp_path)
    monkeypatch.setattr(keeping, "_PLACES", {place: 2})
    file(tmp_path / "store" / "git" / "deep" / "file")
    file(tmp_path / "runbooks" / "page.html")
    (tmp_path / "empty" / "below").mkdir(parents=True)
    assert set(keeping.folders_with_files(place, 2)) == {f"{place}/store/git", f"{place}/runbooks"}


def archive(folder: Path, *names: str) -> None:
    for name in names:
        file(folder / name[:16] / f"{name}-{'a' * 40}.lz4")


def test_only_whole_segments_of_the_newest_archive_count(tmp_path: Path) -> None:
    archive(tmp_path / "16-1", "000000010000000000000001")
    archive(tmp_path / "17-2", "0000000100000000000000FF", "000000010000000100000000", "000000020000000100000001")
    file(tmp_path / "17-2" / "00000002.history")
    file(tmp_path / "17-2" / "0000000100000000" / "000000010000000000000002.00000028.backup")
    file(tmp_path / "17-2" / "0000000100000000" / f"000000010000000000000003-{'a' * 40}.lz4.pgbackrest.tmp")
    found = keeping.archived(tmp_path)
    assert found["ranges"] == {"00000001": [[255, 256]], "00000002": [[257, 257]]}
    assert found["newest_at"] == pytest.approx(time.time(), abs=60)


def test_a_snapshot_that_is_not_what_its_name_says_is_none(tmp_path: Path) -> None:
    content = "sealed"
    name = hashlib.sha256(content.encode()).hexdigest()
    file(tmp_path / "repository" / "db-dc1" / "snapshots" / name, content)
    file(tmp_path / "repository" / "db-dc1" / "snapshots" / ("0" * 64), content)
    unit = file(
        tmp_path / "unit", f"ExecStart=/usr/bin/restic-rest-server --path {tmp_path}/repository --append-only\n"
    )
    told = keeping.kept({}, repository=tmp_path / "none", append_only=Path(unit))
    assert set(told["snapshots"]["db-dc1"]) == {name}
    assert set(told["oldest"]) == {"db-dc1"}
    assert told["stanzas"] == {}


def test_what_a_job_wrote_down_of_another_snapshot_is_not_believed(tmp_path: Path) -> None:
    file(tmp_path / "files.sent.json", json.dumps({"snapshot": "new", "roots": [], "began": 0}))
    file(tmp_path / "files.paths", json.dumps({"snapshot": "old", "paths": []}))
    with pytest.raises(Unreadable, match="is not written down"):
        keeping.stores({}, kept=tmp_path)


def test_a_folder_that_held_nothing_when_its_job_last_ran_is_taken_next_and_one_that_was_passed_over_is_not(
    tmp_path: Path,
) -> None:
    file(tmp_path / "passed-over" / "old")
    began = time.time() + 1
    file(tmp_path / "opened" / "door")
    watched = [str(tmp_path / "passed-over"), str(tmp_path / "opened")]
    configuration = {"jobs": {"files": {"where_there": watched}}}
    while time.time() < began:
        time.sleep(0.05)
    (tmp_path / "opened" / "door").write_text("closed")
    sent = {"roots": [], "began": began}
    assert list(keeping.taken_next(configuration, sent)) == [str(tmp_path / "opened")]
    assert list(keeping.taken_next({}, sent)) == []
    sent = {"roots": [str(tmp_path / "opened")], "began": began}
    assert list(keeping.taken_next(configuration, sent)) == []


def test_a_prune_is_told_with_the_key_that_lies_in_the_repository(tmp_path: Path) -> None:
    unit = tmp_path / "restic-server.service"
    file(unit, f"[Service]\nExecStart=/usr/bin/restic-rest-server --listen x --path {tmp_path}/restic --append-only\n")
    key = hashlib.sha256(b"a key").hexdigest()
    for name in ("db", "web", "new"):
        file(tmp_path / "restic" / name / "keys" / key, "a key")
        (tmp_path / "restic" / name / "snapshots").mkdir()
    (tmp_path / "restic" / ".aside").mkdir()
    prunes = tmp_path / "prunes"
    file(prunes / "db.json", json.dumps({"ended": 7.0, "why": ["a reason"]}))
    file(prunes / "db.key.json", json.dumps({"key": key}))
    file(prunes / "web.json", json.dumps({"ended": 8.0, "why": []}))
    file(prunes / "web.key.json", json.dumps({"key": key}))
    file(tmp_path / "restic" / "web" / "keys" / key, "another")
    told = keeping.kept({}, tmp_path / "none", unit, prunes)["pruned"]
    assert told == {
        "db": {"ended": 7.0, "why": ["a reason"], "key": True},
        "web": {"ended": 8.0, "why": [], "key": False},
        "new": {"ended": None, "why": [], "key": False},
    }


def test_the_oldest_part_of_a_log_counts_in_whichever_archive(tmp_path: Path) -> None:
    archive(tmp_path / "16-1", "000000010000000000000001")
    archive(tmp_path / "17-2", "000000010000000000000002")
    old = next((tmp_path / "16-1").rglob("*.lz4"))
    os.utime(old, (1000, 1000))
    told = keeping.archived(tmp_path)
    assert told["oldest_at"] == 1000
    assert told["ranges"] == {"00000001": [[2, 2]]}
