"""A backup job doubts what it is about to call a backup: dumps without rows, lost files, a hidden exit code."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

ROLES = Path(__file__).resolve().parents[3] / "roles"
JOB = ROLES / "backup_producer" / "files" / "secondsite-backup"
KEEP = ROLES / "backup_target" / "files" / "secondsite-keep"
SNAPSHOT = "5" * 64


def load(script: Path) -> Any:
    """Run a script as a module, and leave no compiled code among what roles place on hosts."""
    module = ModuleType(script.name.replace("-", "_"))
    exec(compile(script.read_text(encoding="utf-8"), str(script), "exec"), vars(module))  # noqa: S102  our own file
    return module


job, keep = load(JOB), load(KEEP)

names = some.text(alphabet="abcdef_", min_size=1, max_size=8)
tables = some.dictionaries(names.map(lambda name: f"secondsite.{name}"), some.integers(0, 20), max_size=5)


def dump(rows: dict[str, int]) -> list[str]:
    lines = ["-- a dump\n", "SET search_path = '';\n"]
    for table, count in rows.items():
        lines += [f"COPY {table} (id, at) FROM stdin;\n", *(["COPY x FROM stdin;\\t1\n"] * count), "\\.\n", "\n"]
    return lines


@given(tables)
def test_the_rows_of_each_table_are_counted_whatever_they_hold(rows: dict[str, int]) -> None:
    assert job.dumped_rows(dump(rows)) == rows


@given(tables.filter(bool), some.data())
def test_a_dump_that_breaks_off_is_never_taken_for_a_whole_one(rows: dict[str, int], data: some.DataObject) -> None:
    lines = dump(rows)
    cut = lines[: data.draw(some.integers(0, len(lines) - 3))]
    try:
        counted = job.dumped_rows(cut)
    except job.Failed:
        return
    assert job.reasons_to_doubt(rows, counted)


@given(tables, tables)
def test_a_dump_is_believed_only_where_it_holds_what_the_database_held(
    expected: dict[str, int], dumped: dict[str, int]
) -> None:
    assert (not job.reasons_to_doubt(expected, dumped)) == (expected == dumped)


@given(some.tuples(*[some.text(min_size=1).filter(lambda name: "\n" not in name and "\r" not in name)] * 2))
def test_a_table_is_known_by_its_name_however_odd(name: tuple[str, str]) -> None:
    lines = [f'COPY {job.quoted(*name)} ("a (b) FROM", c) FROM stdin;', "1", "\\.", "COPY a.b  FROM stdin;", "\\."]
    assert job.dumped_rows(lines) == {"a.b": 0, ".".join(name): 1}


def program(folder: Path, text: str) -> str:
    path = folder / "program"
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(0o755)
    return str(path)


def restic(folder: Path, monkeypatch: pytest.MonkeyPatch, *, code: int, files: int, paths: dict[str, int]) -> None:
    """Stand in for restic: it sends with this exit code, and the server lists these files."""
    summary = {"message_type": "summary", "snapshot_id": SNAPSHOT, "total_files_processed": files}
    nodes = [{"struct_type": "snapshot"}, *({"type": "file", "path": one, "size": size} for one, size in paths.items())]
    text = f"""
import json, sys
if "backup" in sys.argv:
    print({json.dumps(summary)!r})
    sys.exit({code})
print({chr(10).join(map(json.dumps, nodes))!r})
"""
    monkeypatch.setitem(vars(job), "RESTIC", program(folder, text))


def test_what_the_server_lists_is_what_was_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    restic(tmp_path, monkeypatch, code=0, files=1, paths={"/etc/motd": 3})
    assert job.send("files", "web", ["/etc"]) == (SNAPSHOT, {"/etc/motd": 3})


@pytest.mark.parametrize(
    ("code", "files", "paths", "why"),
    [
        pytest.param(3, 1, {"/etc/motd": 3}, "exit code 3", id="some files could not be read"),
        pytest.param(0, 2, {"/etc/motd": 3}, "lists 1 files instead of 2", id="one is lost"),
        pytest.param(0, 0, {}, "lists 0 files", id="nothing was sent"),
        pytest.param(0, 1, {"/srv/other": 3}, "lists nothing of /etc", id="a folder is lost"),
        pytest.param(0, 1, {"/etc/motd": 0}, "with 0 bytes instead of 3", id="one is empty"),
    ],
)
def test_a_snapshot_that_lacks_anything_fails_the_job(
    code: int, files: int, paths: dict[str, int], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restic(tmp_path, monkeypatch, code=code, files=files, paths=paths)
    with pytest.raises(job.Failed, match=why):
        job.send("files", "web", ["/etc"], staged={"/etc/motd": 3})


def test_a_folder_that_is_gone_or_empty_is_no_new_state_of_it(tmp_path: Path) -> None:
    with pytest.raises(job.Failed, match="is not there"):
        job.require_roots([str(tmp_path / "gone")])
    (tmp_path / "below").mkdir()
    with pytest.raises(job.Failed, match="holds nothing"):
        job.require_roots([str(tmp_path)])
    (tmp_path / "below" / "file").touch()
    job.require_roots([str(tmp_path)])


def test_a_dump_of_a_header_alone_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "shop.dump"
    with pytest.raises(job.Failed, match="is empty"):
        job.check_dump(path, {})
    path.write_bytes(b"PGDMP")
    with pytest.raises(job.Failed, match="is empty"):
        job.check_dump(path, {})


def test_what_came_of_a_job_is_written_down_beside_what_was_last_sent(tmp_path: Path) -> None:
    sent = job.report("databases", SNAPSHOT, 1.0, ["/staging"], {"/staging/shop.dump": 9}, {"billing": {}})
    job.keep(dict(sent), tmp_path)
    job.keep({"job": "databases", "began": 2.0, "ended": 3.0, "left": True}, tmp_path)  # the other host does it now
    assert json.loads((tmp_path / "databases.json").read_text())["left"] is True
    kept = json.loads((tmp_path / "databases.sent.json").read_text())
    assert (kept["snapshot"], kept["bytes"]) == (SNAPSHOT, 9)
    listed = {"snapshot": SNAPSHOT, "paths": ["/staging/shop.dump"]}
    assert json.loads((tmp_path / "databases.paths").read_text()) == listed


def stanza(*labels: str, status: int = 0, size: int = 9, error: bool = False) -> dict[str, Any]:
    told = {"error": error, "info": {"size": size}, "timestamp": {"stop": 9}}
    backups = [{"label": label, **told} for label in labels]
    return {"name": "billing", "status": {"code": status, "message": "said"}, "backup": backups}


@pytest.mark.parametrize(
    ("after", "why"),
    [
        pytest.param(stanza("1F", "2F"), [], id="a new one"),
        pytest.param(stanza("1F"), ["it has no new backup"], id="the old one"),
        pytest.param(stanza("1F", "2F", error=True), ["backup 2F has errors"], id="errors"),
        pytest.param(stanza("1F", "2F", size=0), ["backup 2F is empty"], id="empty"),
        pytest.param(stanza("1F", "2F", status=2), ["its status is said"], id="in trouble"),
    ],
)
def test_a_stanza_is_backed_up_when_it_has_a_new_backup_without_errors(after: dict[str, Any], why: list[str]) -> None:
    assert list(keep.reasons_to_doubt(stanza("1F"), after)) == why


def test_one_stanza_that_fails_keeps_no_other_from_its_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state.json"
    state.write_text(json.dumps([{**stanza("1F"), "name": name} for name in ("billing", "control")]))
    text = f"""
import json, pathlib, sys
place = pathlib.Path({str(state)!r})
told = json.loads(place.read_text())
if "info" in sys.argv:
    print(place.read_text())
elif "--stanza=billing" in sys.argv:
    sys.exit(82)
else:
    told[1]["backup"].append({{"label": "2F", "error": False, "info": {{"size": 1}}}})
    place.write_text(json.dumps(told))
"""
    pgbackrest = Path(program(tmp_path, text)).rename(tmp_path / "pgbackrest")
    monkeypatch.setenv("PATH", str(pgbackrest.parent), prepend=":")
    monkeypatch.setattr(sys, "argv", ["secondsite-keep", "full"])
    configuration = tmp_path / "pgbackrest.conf"
    configuration.write_text(f"[global]\nrepo2-path={tmp_path}\n")
    monkeypatch.setitem(vars(keep), "CONFIGURATION", configuration)
    assert keep.main() == 1
    assert "billing: pgbackrest ended with exit code 82" in capfd.readouterr().err
    assert len(json.loads(state.read_text())[1]["backup"]) == 2


def test_what_was_told_before_the_oldest_backup_ended_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = tmp_path / "pgbackrest.conf"
    configuration.write_text(f"[global]\nrepo2-path={tmp_path}\n")
    monkeypatch.setitem(vars(keep), "CONFIGURATION", configuration)
    place = tmp_path / "archive" / "billing" / "tallies"
    place.mkdir(parents=True)
    for name in ("00000001-0000000002000028-99.json", "00000001-0000000003000028-100.json", "odd.json"):
        (place / name).touch()
    keep.forget_tallies("billing", {"backup": [{"timestamp": {"stop": stop}} for stop in (300, 100)]})
    assert sorted(path.name for path in place.iterdir()) == ["00000001-0000000003000028-100.json", "odd.json"]
