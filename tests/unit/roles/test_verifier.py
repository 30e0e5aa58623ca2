"""A verification doubts what it restores: tools that end with 0, missing rows, another moment, unread parts."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from tests.unit.roles.test_backup_jobs import job

FILES = Path(__file__).resolve().parents[3] / "roles" / "backup_verifier" / "files"


def module(name: str) -> Any:
    """Return a module of the verifier as it lies in its role, and leave no compiled code beside it."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, str(FILES))
    try:
        return importlib.import_module(f"secondsite_verify.{name}")
    finally:
        sys.path.remove(str(FILES))
        sys.dont_write_bytecode = before


common, packs, snapshots, stanzas, tables, tallies = map(
    module, ("common", "packs", "snapshots", "stanzas", "tables", "tally")
)

# --- what pgBackRest 2.55 prints; it ended with 0 each time ---

LABEL = "20261130-094224F"
WELL = f"""stanza: billing
status: ok
  archiveId: 17-1, total WAL checked: 2, total valid WAL: 2
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
  backup: {LABEL}, status: valid, total files checked: 1268, total valid files: 1268
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
"""
FLIPPED = f"2026-11-30 09:42:47.196 P01   INFO: invalid checksum '{LABEL}/bundle/2'\n" + WELL.replace(
    "status: valid, total files checked: 1268, total valid files: 1268",
    "status: invalid, total files checked: 1268, total valid files: 1267",
).replace("status: ok", "status: error")
MISSING = FLIPPED.replace(f"invalid checksum '{LABEL}/bundle/2'", f"file missing '{LABEL}/bundle/1'")
SEGMENT = "17-1/0000000100000000/000000010000000000000002-1d0b.lz4"
LOG = f"2026-11-30 09:43:20.726 P01   INFO: invalid result {SEGMENT}: [29] raised from local-1\n" + WELL.replace(
    "status: ok", "status: error"
).replace("total valid WAL: 2", "total valid WAL: 1")


def test_a_stanza_of_which_everything_was_read_is_whole() -> None:
    assert stanzas.reasons_not_whole(0, WELL, LABEL) == []


@pytest.mark.parametrize(
    ("code", "said", "newest", "why"),
    [
        pytest.param(0, FLIPPED, LABEL, f"invalid checksum '{LABEL}/bundle/2'", id="a flipped bit"),
        pytest.param(0, MISSING, LABEL, f"file missing '{LABEL}/bundle/1'", id="a missing file"),
        pytest.param(0, LOG, LABEL, f"invalid result {SEGMENT}", id="a segment of the log"),
        pytest.param(0, FLIPPED[FLIPPED.index("stanza") :], LABEL, "1267 of 1268 files are right", id="no name"),
        pytest.param(0, "", LABEL, "does not say that all is well", id="no word"),
        pytest.param(0, "stanza: billing\nstatus: ok\n", LABEL, f"read nothing of backup {LABEL}", id="nothing read"),
        pytest.param(0, WELL, "20261130-100000F", "read nothing of backup 20261130-100000F", id="not the newest"),
        pytest.param(50, "", LABEL, "ended with exit code 50", id="it did not run"),
    ],
)
def test_what_was_read_back_is_believed_only_with_every_file_named_right(
    code: int, said: str, newest: str, why: str
) -> None:
    reasons = stanzas.reasons_not_whole(code, said, newest)
    assert any(why in reason for reason in reasons), reasons


# --- which backup leads to which tally ---


def backup(stop: str, *, timeline: int = 1) -> dict[str, Any]:
    return {"archive": {"stop": f"{timeline:08X}0000000000000002"}, "lsn": {"stop": stop}, "label": LABEL}


@pytest.mark.parametrize(
    ("stop", "timeline", "left", "leads"),
    [
        pytest.param("0/2000120", 2, {1: 9 << 24}, True, id="the same timeline"),
        pytest.param("0/9000000", 2, {1: 9 << 24}, False, id="it ended later"),
        pytest.param("0/2000120", 1, {1: 9 << 24}, True, id="an earlier timeline, before it was left"),
        pytest.param("0/2000120", 1, {1: 1 << 24}, False, id="an earlier timeline, after it was left"),
        pytest.param("0/2000120", 3, {1: 9 << 24}, False, id="a timeline it never came from"),
    ],
)
def test_a_tally_is_used_only_where_the_log_leads_to_it(
    stop: str, timeline: int, left: dict[int, int], *, leads: bool
) -> None:
    assert stanzas.leads(backup(stop, timeline=timeline), {"timeline": 2, "lsn": "0/5054ED0"}, left) is leads


def test_a_tally_waits_until_its_segment_is_archived(tmp_path: Path) -> None:
    tally = {"timeline": 2, "lsn": "1/5054ED0"}
    (tmp_path / "17-1" / "0000000200000001").mkdir(parents=True)
    place = tmp_path / "17-1" / "0000000200000001"
    (place / "000000020000000100000004-ab.lz4").touch()
    assert not stanzas.is_archived(tmp_path, tally)
    (place / "000000020000000100000005-ab.lz4").touch()
    assert stanzas.is_archived(tmp_path, tally)


# --- what a producer tells each repository ---

TALLY = {"scope": "billing", "timeline": 1, "lsn": "0/9086030", "at": 1796078436.2}


@pytest.mark.parametrize("refusals", [0, 1, 2])
def test_a_repository_that_does_not_take_a_tally_at_once_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, refusals: int
) -> None:
    codes = iter([104] * refusals + [0])
    monkeypatch.setattr(tallies, "repositories", lambda: ["1"])
    monkeypatch.setattr(tallies, "AGAIN_S", 0.0)
    monkeypatch.setattr(tallies, "tried", lambda *_, **__: (next(codes), "P00 ERROR: unable\n to move it", ""))
    told = list(tallies.tell(TALLY))
    expected = ["repository 1 did not take the tally of billing: P00 ERROR: unable to move it"]
    assert told == (expected if refusals > 1 else [])


# --- what is compared ---

counts = some.dictionaries(
    some.sampled_from(["a.b", "a.c", "d.e"]),
    some.fixed_dictionaries({"rows": some.integers(0, 3), "digest": some.sampled_from("xy")}),
)
databases = some.dictionaries(some.sampled_from(["shop", "postgres"]), counts)


@given(databases, databases)
def test_databases_are_alike_only_where_each_table_has_the_same_rows(
    expected: dict[str, Any], found: dict[str, Any]
) -> None:
    assert (not list(tables.differences(expected, found))) == (expected == found)


def role(**changed: Any) -> dict[str, Any]:
    return {"login": True, "super": False, "verifier": "ab", "databases": ["shop"], **changed}


@pytest.mark.parametrize(
    ("found", "why"),
    [
        pytest.param({}, "role shop is missing", id="missing"),
        pytest.param({"shop": role(verifier="cd")}, "role shop has another password", id="another password"),
        pytest.param({"shop": role(login=False)}, "role shop may do something else", id="it may not log in"),
        pytest.param({"shop": role(), "eve": role()}, "role eve was not there", id="one too many"),
    ],
)
def test_roles_are_compared_with_what_they_may_do(found: dict[str, Any], why: str) -> None:
    assert list(tables.role_differences({"shop": role()}, found)) == [why]


# --- by turns ---


@given(some.integers(1, 20), some.integers(1, 5))
def test_every_part_is_read_over_the_rota(parts: int, rounds: int) -> None:
    told: dict[str, Any] = {}
    read: list[int] = []
    for _ in range(parts * rounds):
        part, rota = common.turn(told, parts * 10, 10)
        told = {"rota": {**common.turned(rota, part), "read": {**rota["read"], str(part): len(read) + 1.0}}}
        read.append(part)
    assert all(sorted(read[n : n + parts]) == list(range(parts)) for n in range(0, len(read), parts))


def test_what_failed_keeps_its_reasons_short_and_has_no_mark(tmp_path: Path) -> None:
    common.keep(tmp_path, "one", common.came([f"reason {n} {'x' * 900}" for n in range(9)], backup="ab"))
    told = json.loads((tmp_path / "one.json").read_text())
    assert (told["ok"], told["why"][-1], len(told["why"])) == (False, "and 4 more", 6)
    assert max(map(len, told["why"])) < 400
    assert not (tmp_path / "one.ok").exists()
    common.keep(tmp_path, "one", common.came([]))
    assert (tmp_path / "one.ok").exists()


# --- packs ---


def repository(folder: Path, *contents: bytes) -> Path:
    for content in contents:
        name = hashlib.sha256(content).hexdigest()
        (folder / "data" / name[:2]).mkdir(parents=True, exist_ok=True)
        (folder / "data" / name[:2] / name).write_bytes(content)
    return folder


@given(some.sets(some.binary(min_size=1, max_size=9), min_size=1, max_size=5), some.data())
def test_one_flipped_bit_of_a_pack_is_named(
    tmp_path_factory: pytest.TempPathFactory, contents: set[bytes], data: some.DataObject
) -> None:
    folder = repository(tmp_path_factory.mktemp("packs"), *contents)
    assert packs.verify(folder, {})["ok"]
    path = data.draw(some.sampled_from(sorted(folder.glob("data/*/*"))))
    spoilt = bytearray(path.read_bytes())
    spoilt[data.draw(some.integers(0, len(spoilt) - 1))] ^= 1 << data.draw(some.integers(0, 7))
    path.write_bytes(bytes(spoilt))
    told = packs.verify(folder, {})
    assert (told["ok"], [path.name in why for why in told["why"]]) == (False, [True])


def test_a_repository_without_a_file_is_no_backup(tmp_path: Path) -> None:
    assert packs.verify(tmp_path, {})["why"] == [f"{tmp_path.name}: there is nothing"]


# --- snapshots ---

RESTIC_SAID = """load indexes
read all data
pack 5c11fa6b00f4ab33b9ca91f58eaea2727db85f92a6c5367464e9751a026a3ab3 contains 2 errors: [blob 9ab6a6db failed]
The repository contains damaged pack files.
Fatal: repository contains errors
"""


def test_restics_complaint_names_the_pack() -> None:
    assert snapshots.reasons_not_whole(0, "") == []
    assert snapshots.reasons_not_whole(1, RESTIC_SAID)[0].startswith("pack 5c11fa6b00f4ab33b9ca91f58eaea2727db85f92a")
    assert snapshots.reasons_not_whole(11, "") == ["restic check ended with exit code 11"]


@pytest.fixture
def sent(tmp_path: Path) -> tuple[dict[str, Any], Path]:
    """What a job wrote down of a folder, and a restored copy of it."""
    source, restored = tmp_path / "source", tmp_path / "restored"
    source.mkdir()
    for name in ("a", "b"):
        (source / name).write_text(name * 9)
        copy = restored / str(source / name).lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(name * 9)
    found = job.digested([str(path) for path in source.iterdir()], since=float("inf"), before={})
    return {"files": 2, "digests": found}, restored


def test_restored_files_are_compared_with_the_digests_of_what_was_sent(sent: tuple[dict[str, Any], Path]) -> None:
    record, restored = sent
    assert list(snapshots.file_differences(record, restored)) == []
    spoilt, gone = sorted(path for path in restored.rglob("*") if path.is_file())
    spoilt.write_text("x" * 9)
    gone.unlink()
    told = list(snapshots.file_differences(record, restored))
    assert [why.rpartition(" is ")[2] for why in told[1:]] == ["not what was sent", "missing"]
    assert told[0] == "1 files were restored instead of 2"


def test_nothing_to_compare_with_is_never_right(tmp_path: Path) -> None:
    assert list(snapshots.file_differences({"files": 0, "digests": {}}, tmp_path)) == [
        "no file has a digest to compare with"
    ]


def test_what_changed_while_it_was_sent_has_no_digest_and_what_did_not_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("a")
    changed = max(path.stat().st_mtime, path.stat().st_ctime)
    assert job.digested([str(path)], since=changed, before={}) == {}
    first = job.digested([str(path)], since=changed + 1, before={})
    known = {str(path): [*first[str(path)][:3], "known"]}
    assert job.digested([str(path)], since=changed + 1, before=known) == known
    path.write_text("b")
    assert job.digested([str(path)], since=float("inf"), before=known)[str(path)][3] != "known"


def test_what_older_snapshots_hold_is_forgotten_but_for_one_a_day(tmp_path: Path) -> None:
    hours = 24 * 100
    for hour in range(hours):
        (tmp_path / f"files-{hour * 3600}-ab.json").touch()
    job.forget(tmp_path, "files", hours * 3600)
    left = [int(path.stem.split("-")[1]) // 3600 for path in job.records(tmp_path, "files")]
    assert left[: job.REMEMBERED] == list(range(hours - 1, hours - 1 - job.REMEMBERED, -1))
    assert len(left) <= job.REMEMBERED + job.REMEMBERED_DAYS + 1


class Clocked:
    """A connection on which every statement takes as long as it is told; it remembers what was committed."""

    def __init__(self, *, steps: list[float]) -> None:
        self.now, self.steps = dt.datetime(2026, 1, 1, tzinfo=dt.UTC), steps
        self.done: list[str] = []

    def execute(self, query: str, _values: object = None) -> Clocked:
        self.now += dt.timedelta(seconds=self.steps.pop(0) if self.steps else 0.01)
        self.done.append(query.split("(", maxsplit=1)[0].strip())
        return self

    def fetchone(self) -> tuple[dt.datetime]:
        return (self.now,)

    def transaction(self) -> contextlib.nullcontext[None]:
        return contextlib.nullcontext()


def test_nothing_is_destroyed_that_was_not_preceded_by_a_commit_within_the_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tallies.time, "sleep", lambda _: None)
    quick, slow = Clocked(steps=[0.1, 0.3]), Clocked(steps=[0.1, 1.2])

    assert tallies.destroyed(quick, "marker", 1, "digest")
    assert any(one.startswith("DROP TABLE") for one in quick.done)
    assert not tallies.destroyed(slow, "marker", 1, "digest")
    assert not [one for one in slow.done if one.startswith("DROP TABLE")]
    assert slow.done[-1].startswith("DELETE FROM"), "what was not destroyed is not told of"


class Standby:
    """A standby that a third party may have go on, between any two statements."""

    def __init__(self, *, paused: list[bool], positions: list[str]) -> None:
        self.paused, self.positions = paused, positions
        self.said: list[str] = []

    def execute(self, query: str, _values: object = None) -> Standby:
        self.said.append(query)
        return self

    def fetchone(self) -> tuple[object]:
        if "pause_state" in self.said[-1]:
            return (self.paused.pop(0) if self.paused else True,)
        return (self.positions.pop(0) if len(self.positions) > 1 else self.positions[0],)


def test_a_position_counts_only_if_nothing_was_replayed_while_snapshots_were_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tallies.time, "sleep", lambda _: None)
    position = "SELECT pg_last_wal_replay_lsn()::text"
    still, moved = Standby(paused=[], positions=["0/1"]), Standby(paused=[], positions=["0/1", "0/2"])
    inside = {"shop": Standby(paused=[], positions=["0/1"])}

    assert tallies.position_held(still, inside, position) == "0/1"
    assert tallies.position_held(moved, inside, position) == ""
    assert inside["shop"].said[-1] == "ROLLBACK", "a snapshot of another moment is not counted in"
    monkeypatch.setattr(tallies, "HELD_WITHIN_S", -1.0)
    assert tallies.position_held(Standby(paused=[False] * 3, positions=["0/1"]), inside, position) == ""
