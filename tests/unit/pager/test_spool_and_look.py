"""Pages on disk until every way took them; what a host sees of itself and of what lies there for others."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FILES = Path(__file__).resolve().parents[3] / "roles" / "pager" / "files"


def module(name: str) -> ModuleType:
    return importlib.import_module(f"pager.{name}")


@pytest.fixture(autouse=True)
def _found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(FILES), *sys.path])


def page(name: str = "1-here-abc", kind: str = "trouble") -> Any:
    return module("rules").Page(id=name, kind=kind, host="here", key="unit:a", text="a has failed", since=1.0, at=2.0)


def test_a_page_waits_on_disk_until_every_way_took_it(tmp_path: Path) -> None:
    module("spool").Spool(tmp_path).put(page())
    begun_again = module("spool").Spool(tmp_path)
    begun_again.mark("1-here-abc", "mail", at=3.0)

    (waiting,) = begun_again.pending()
    assert waiting["delivered"] == {"mail": 3.0}
    assert begun_again.was_told("1-here-abc")

    begun_again.mark("1-here-abc", "webhook", at=4.0)
    assert begun_again.pending() == []
    assert begun_again.was_told("1-here-abc")
    begun_again.put(page())
    assert begun_again.pending() == [], "what was sent is not sent again"


def test_a_spoilt_page_keeps_no_other_one_from_being_sent(tmp_path: Path) -> None:
    spool = module("spool").Spool(tmp_path)
    spool.put(page())
    (tmp_path / "spool" / "0.json").write_text("{")
    (tmp_path / "spool" / "1.json").write_text('{"id": "../x", "delivered": {}}')

    assert [one["id"] for one in spool.pending()] == ["1-here-abc"]


def watched(**more: Any) -> Any:
    nothing = module("settings").Watched(
        jobs=(), logs={}, repository=None, stanzas=(), snapshots=None, wanted=(), oldest={"files": 9000.0}
    )
    return replace(nothing, **more)


def settings(**more: Any) -> Any:
    place = module("settings").Place(name="there", address="127.0.0.1", port=1)
    return module("settings").Settings(
        host="here",
        listens=None,
        sender="pager@here.test",
        persons=("on-call@persons.test",),
        ways={"mail": place, "webhook": place},
        relays=(),
        tells=(),
        senders=frozenset({"here"}),
        awaits=(),
        receives=False,
        look_s=10,
        silence_s=25,
        repeat_s=1800,
        watched=watched(**more),
        tls={},
    )


@pytest.fixture
def _no_failed_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        module("look"), "run", lambda *_: "secondsite-backup@files.service loaded failed failed Backup\n"
    )


@pytest.mark.usefixtures("_no_failed_units")
def test_a_failed_unit_is_a_trouble_and_jobs_say_what_they_sent(tmp_path: Path) -> None:
    (tmp_path / "files.sent.json").write_text(json.dumps({"snapshot": "a" * 64, "holds": {}}))
    seen = module("look").Watcher(settings(jobs=("files", "names")), state=tmp_path, jobs=tmp_path).look()

    assert seen["troubles"] == {"unit:secondsite-backup@files.service": "secondsite-backup@files.service has failed"}
    assert seen["claims"] == {"jobs": {"files": {"snapshot": "a" * 64, "parts": []}}, "logs": {}}


@pytest.mark.usefixtures("_no_failed_units")
def test_what_cannot_be_read_is_a_trouble_and_claims_nothing(tmp_path: Path) -> None:
    (tmp_path / "files.sent.json").write_text("{")
    seen = module("look").Watcher(settings(jobs=("files",)), state=tmp_path, jobs=tmp_path).look()

    assert "look:jobs" in seen["troubles"]
    assert seen["claims"] is None


@pytest.mark.usefixtures("_no_failed_units")
def test_a_log_that_waits_is_a_trouble_and_a_standby_claims_nothing(tmp_path: Path) -> None:
    status = tmp_path / "pg_wal" / "archive_status"
    status.mkdir(parents=True)
    for name in ("000000010000000000000001", "000000010000000000000002"):
        (tmp_path / "pg_wal" / name).touch()
    (status / "000000010000000000000001.done").touch()
    (status / "000000010000000000000002.ready").touch()
    os.utime(status / "000000010000000000000002.ready", (time.time() - 60, time.time() - 60))
    watcher = module("look").Watcher(settings(logs={"billing": str(tmp_path)}), state=tmp_path, jobs=tmp_path)

    seen = watcher.look()
    assert "log-waits:billing" in seen["troubles"]
    assert seen["claims"]["logs"] == {"billing": "000000010000000000000001"}

    (tmp_path / "standby.signal").touch()
    assert watcher.look()["claims"]["logs"] == {}


@pytest.mark.usefixtures("_no_failed_units")
@pytest.mark.parametrize("spoilt", [False, True])
def test_a_snapshot_that_is_not_what_its_name_says_does_not_lie_there(tmp_path: Path, *, spoilt: bool) -> None:
    name = hashlib.sha256(b"snapshot").hexdigest()
    folder = tmp_path / "restic" / "web" / "snapshots"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(b"spoilt" if spoilt else b"snapshot")
    claims = {"jobs": {"files": {"snapshot": name, "parts": []}}, "logs": {}}
    (tmp_path / "heard.json").write_text(json.dumps({"web": {"at": 0, "claims": claims}}))
    told = settings(snapshots=str(tmp_path / "restic"), wanted=(("files", "web"),))

    seen = module("look").Watcher(told, state=tmp_path, jobs=tmp_path).look()

    assert ("snapshot:files:web" in seen["troubles"]) is spoilt


@pytest.mark.parametrize(
    ("hours", "watched_for_s", "said"),
    [
        pytest.param(8, 60, "", id="last night"),
        pytest.param(40, 60, "the newest prune of what web sent is 40.0 h old", id="not for two nights"),
        pytest.param(None, 60, "", id="not yet"),
        pytest.param(None, 4000, "what web sent was never pruned", id="never"),
    ],
)
def test_a_person_is_told_where_nobody_prunes(
    tmp_path: Path, hours: float | None, watched_for_s: float, said: str
) -> None:
    (tmp_path / "restic").mkdir()
    if hours is not None:
        (tmp_path / "web.json").write_text(json.dumps({"ended": time.time() - hours * 3600, "why": []}))
    (tmp_path / "watch.json").write_text(json.dumps({"since": time.time() - watched_for_s, "had": []}))
    oldest = {"files": 9000.0, "prune": 36 * 3600.0}
    told = settings(snapshots=str(tmp_path / "restic"), wanted=(("files", "web"), ("names", "web")), oldest=oldest)

    seen = module("look").Watcher(told, state=tmp_path, jobs=tmp_path, prunes=tmp_path).look()

    assert seen["troubles"].get("prune:web", "") == said


def test_a_restart_forgets_neither_who_was_silent_nor_what_was_claimed(tmp_path: Path) -> None:
    heard = module("heard").Heard(tmp_path / "heard.json", ("web", "db"), silent=frozenset())
    claims = {"jobs": {"files": {"snapshot": "a" * 64, "parts": []}}, "logs": {}}
    heard.note("web", {"claims": claims, "paged": []})
    heard.save()

    again = module("heard").Heard(tmp_path / "heard.json", ("web", "db"), silent=frozenset({"silent:db"}))
    again.note("web", {"claims": None, "paged": []})  # it was begun again too, and has not looked yet
    again.save()

    assert again.ages(("web", "db"))["db"] > 3600 > again.ages(("web", "db"))["web"]
    assert json.loads((tmp_path / "heard.json").read_text())["web"]["claims"] == claims
