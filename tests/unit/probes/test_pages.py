"""Test pages: asked for, found where they arrive, and taken away there; nobody's own mail is touched."""

from __future__ import annotations

import datetime as dt
import json
import os
import pwd
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from secondsite.checks.model import Section
from secondsite.errors import Unreachable
from secondsite.estate.load import load_estate
from secondsite.estate.model import HostName
from secondsite.probes import pages
from secondsite.probes.remote import pages as script
from secondsite.probes.remote.collectors import paging
from secondsite.run.ports import Hands

ESTATE = load_estate(Path(__file__).parents[3] / "inventories" / "lab")
NOW = dt.datetime(2026, 11, 30, 12, tzinfo=dt.UTC)
PERSON = "somebody@persons.test"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("ASKED", "RECEIVED", "MAILBOXES"):
        monkeypatch.setattr(script, name, tmp_path / name.lower())
    (tmp_path / "received").mkdir()
    (tmp_path / "mailboxes" / PERSON / "new").mkdir(parents=True)
    return tmp_path


def mail(place: Path, name: str, page: str, *, age_s: float = 0.0) -> Path:
    path = place / "mailboxes" / PERSON / "new" / name
    path.write_text(f"Subject: x\nX-Secondsite-Page: {page}\n\nbody\n")
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def test_a_page_is_asked_for_in_the_name_of_who_takes_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert script.ask("test-1-here") == {"asked": False}, "nobody is there to take it"
    (place / "asked").mkdir()
    monkeypatch.setattr(pwd, "getpwnam", lambda _: SimpleNamespace(pw_uid=os.getuid(), pw_gid=os.getgid()))

    assert script.ask("test-1-here") == {"asked": True}
    assert [path.name for path in (place / "asked").iterdir()] == ["test-1-here"]


def test_what_arrived_is_told_and_taken_away_and_a_persons_own_mail_is_not(place: Path) -> None:
    own = mail(place, "1", "1796032689-db-dc1-abc")
    wanted = mail(place, "2", "test-1-here")
    anothers, left = mail(place, "3", "test-0-here"), mail(place, "4", "test-0-there", age_s=1000)
    (place / "received" / "test-1-here.json").write_text("{}")

    found = script.arrivals({"test-1-here"}, [PERSON], webhook=True, within_s=0)

    assert {name: set(came) for name, came in found.items()} == {"webhook": {"test-1-here"}, PERSON: {"test-1-here"}}
    assert own.exists()
    assert anothers.exists(), "another check waits for it"
    assert not wanted.exists()
    assert not left.exists()
    assert list((place / "received").iterdir()) == []


def test_what_does_not_arrive_is_waited_for_no_longer_than_said(place: Path) -> None:
    assert script.arrivals({"test-1-here"}, [PERSON], webhook=True, within_s=0) == {"webhook": {}, PERSON: {}}


class World:
    """Hosts that answer orders of the script; ``dark`` ones can't be reached, and ``lost`` is what arrives nowhere."""

    def __init__(self, *, dark: str = "", deaf: str = "", lost: str = "") -> None:
        self.dark, self.deaf, self.lost = dark, deaf, lost

    def run(self, host: str, _argv: Any, *, stdin: str = "", **_: Any) -> Any:
        if host == self.dark:
            raise Unreachable("no answer")
        if not stdin:
            return SimpleNamespace(exit_code=0, stdout="")
        order = json.loads(stdin)
        return SimpleNamespace(exit_code=0, stdout=json.dumps(self.answer(host, order)))

    def answer(self, host: str, order: Mapping[str, Any]) -> Any:
        if "ask" in order:
            return {"asked": host != self.deaf}
        came = {page: 5.0 for page in order["await"] if not page.endswith(self.lost or "?")}
        return dict.fromkeys([*order["persons"], *(["webhook"] if order["webhook"] else [])], came)


def tried(world: World) -> dict[HostName, Section]:
    value: dict[HostName, Section] = pages.TestPages(cast("Hands", world), ESTATE).try_all(at=NOW).value
    return value


def test_every_host_that_looks_for_trouble_sends_a_page_of_its_own() -> None:
    told = tried(World())

    assert len(told) == 10
    assert all(set(one.value["arrived"].values()) == {5.0} for one in told.values())


def test_a_page_that_arrives_nowhere_is_missed_for_its_host_only() -> None:
    told = tried(World(lost="-vault"))

    assert set(told[HostName("vault")].value["arrived"].values()) == {None}
    assert set(told[HostName("web-dc1")].value["arrived"].values()) == {5.0}


def test_what_nobody_could_look_at_is_in_trouble() -> None:
    assert "could not be asked" in tried(World(dark="web-dc1"))[HostName("web-dc1")].trouble
    assert all("customers can't be looked at" in one.trouble for one in tried(World(dark="customers")).values())
    assert tried(World(deaf="web-dc1"))[HostName("web-dc1")].value["asked"] is False


def test_the_collector_tells_how_long_ago_and_of_nothing_where_nobody_ever_looked(tmp_path: Path) -> None:
    nobody = paging.pager({}, tmp_path)
    assert (nobody["looked_ago"], nobody["told_ago"]) == (None, None)

    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    (tmp_path / "look.json").write_text(json.dumps({"at": now - 5}))
    told = {"at": now - 1, "waiting": 1, "waiting_since": time.time() - 90, "failing": {"mail": "no"}, "ages": {}}
    (tmp_path / "tell.json").write_text(json.dumps(told))
    found = paging.pager({}, tmp_path)

    assert 5 <= found["looked_ago"] < 60
    assert 90 <= found["waiting_for"] < 150
