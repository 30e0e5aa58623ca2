"""What one host tells: nothing is lost by a restart or a full disk, and one way that fails holds no other one back."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.unit.pager.test_spool_and_look import settings

FILES = Path(__file__).resolve().parents[3] / "roles" / "pager" / "files"


def module(name: str) -> ModuleType:
    return importlib.import_module(f"pager.{name}")


@pytest.fixture(autouse=True)
def _found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(FILES), *sys.path])


class Ways:
    """Ways that take every page, but for those that are shut."""

    def __init__(self) -> None:
        self.shut: set[str] = set()
        self.took: list[tuple[str, str]] = []

    def deliver(self, _: Any, way: str, page: dict[str, Any]) -> str:
        if way in self.shut:
            raise module("ways").NotTaken("shut")
        self.took.append((way, page["text"]))
        return "here"


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> Ways:
    made = Ways()
    monkeypatch.setattr(module("ways"), "deliver", made.deliver)
    return made


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Any]:
    """Start what tells, over what the one before left on disk."""

    def started(**more: Any) -> Any:
        run = tmp_path / "run"
        run.mkdir(exist_ok=True)
        return module("tell").Teller(replace(settings(), **more), state=tmp_path, run=run)

    return started


def look(tmp_path: Path, **troubles: str) -> None:
    at = module("look").boottime()
    (tmp_path / "run" / "look.json").write_text(json.dumps({"at": at, "troubles": troubles, "claims": None}))


def test_a_trouble_is_sent_by_each_way_once_and_a_restart_forgets_nothing(
    start: Callable[..., Any], ways: Ways, tmp_path: Path
) -> None:
    first = start()
    look(tmp_path, unit="it has failed")
    first.tick()  # and it ends here, before anything is sent

    second = start()
    second.tick()
    for _ in range(2):
        for way in ("mail", "webhook"):
            second.send_due(way, {})

    assert ways.took == [("mail", "it has failed"), ("webhook", "it has failed")]
    assert list(second.opened) == ["unit"]


def test_a_way_that_is_shut_is_tried_again_later_and_holds_the_other_one_back_in_nothing(
    start: Callable[..., Any], ways: Ways, tmp_path: Path
) -> None:
    teller = start()
    look(tmp_path, unit="it has failed")
    teller.tick()
    ways.shut = {"mail"}
    again: dict[str, tuple[float, float]] = {}
    teller.send_due("mail", again)
    teller.send_due("webhook", {})
    teller.tell_state()

    assert ways.took == [("webhook", "it has failed")]
    told = json.loads((tmp_path / "run" / "tell.json").read_text())
    assert (told["waiting"], told["failing"]) == (1, {"mail": "shut"})

    ways.shut = set()
    teller.send_due("mail", again)
    assert len(ways.took) == 1, "it is not due yet"
    again = {name: (0.0, pause) for name, (_, pause) in again.items()}
    teller.send_due("mail", again)
    assert ways.took[1:] == [("mail", "it has failed")]


def test_a_disk_that_takes_nothing_keeps_nobody_from_being_told(
    start: Callable[..., Any], ways: Ways, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device", str(path))

    teller = start()
    look(tmp_path, unit="it has failed")
    monkeypatch.setattr(module("disk"), "place", full)
    teller.tick()
    for _ in range(2):
        for way in ("mail", "webhook"):
            teller.send_due(way, {})

    assert ways.took == [("mail", "it has failed"), ("webhook", "it has failed")]
    assert "No space left" in teller.failing["writing what is open"]
    assert teller.spool.pending() == []


def test_a_watcher_that_looks_no_more_is_told_of_and_clears_nothing(
    start: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teller = start()
    look(tmp_path, unit="it has failed")
    teller.tick()
    later = module("look").boottime() + 600
    monkeypatch.setattr(module("tell"), "boottime", lambda: later)
    teller.tick()

    assert set(teller.opened) == {"unit", "watch"}


def test_a_test_page_goes_the_same_way_and_is_not_tried_for_ever(
    start: Callable[..., Any], ways: Ways, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teller = start()
    for name in ("test-1-here", ".half", "not a name"):
        (tmp_path / "run" / "asked" / name).touch()
    teller.tick()
    ways.shut = {"mail"}
    teller.send_due("webhook", {})
    teller.send_due("mail", {})
    assert ways.took == [("webhook", "this is a test")]

    now = module("tell").time.time
    monkeypatch.setattr(module("tell").time, "time", lambda: now() + 61)
    teller.send_due("mail", {})
    assert teller.spool.pending() == []


def test_a_test_page_goes_to_the_very_mailboxes_of_those_on_call() -> None:
    page = {"id": "1-a", "kind": "test", "host": "here", "key": "k", "text": "t\nBcc: x@y", "since": 1.0, "at": 2.0}

    assert module("ways").recipients(settings(), page) == ["on-call+test@persons.test"]
    mail = module("ways").message(settings(), {**page, "kind": "trouble"}).decode()
    assert "To: on-call@persons.test\r\n" in mail
    assert "\r\nBcc" not in mail.partition("\r\n\r\n")[0]
