"""Since when a storekeeper has had no lease to write by: what may be concluded of moments nobody watched."""

from __future__ import annotations

import importlib
import itertools
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

FILES = Path(__file__).resolve().parents[3] / "roles" / "store" / "files"
HERE, THERE = "store-dc1", "store-dc2"


class Kept:
    """A quorum that keeps the lease of one workload."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def leases(self) -> dict[str, str]:
        return dict(self.texts)

    def swap(self, workload: str, *, expected: Any, new: Any) -> bool:
        if self.texts.get(workload) != expected.text():
            return False
        self.texts[workload] = new.text()
        return True


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Start a storekeeper's house over a quorum and a clock; each start finds what the one before left on disk."""
    monkeypatch.setattr(sys, "path", [str(FILES), *sys.path])
    module = importlib.import_module("storekeeper.house")
    kept, clock = Kept(), [100.0]
    monkeypatch.setattr(module, "Quorum", lambda *_, **__: kept)
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    root = tmp_path / "kept"
    (root / ".memory").mkdir(parents=True)
    settings = SimpleNamespace(root=root, workloads=("mail",), host=HERE, quorum=(), context=lambda *_: None)
    return SimpleNamespace(
        house=lambda: module.House(settings),
        kept=kept,
        clock=clock,
        lease=importlib.import_module("storekeeper.rules").Lease,
    )


@pytest.mark.parametrize("leaders", list(itertools.product([HERE, THERE], repeat=4)), ids="-".join)
def test_a_storekeeper_has_been_a_standby_since_its_last_lease_or_its_start(
    start: Any, leaders: tuple[str, ...]
) -> None:
    house, since = start.house(), 100.0
    assert house.standby_since("mail") == since
    for epoch, leader in enumerate(leaders, start=1):
        start.clock[0] += 10
        start.kept.texts["mail"] = start.lease(primary=leader, epoch=epoch).text()
        if leader == THERE and epoch > 1 and leaders[epoch - 2] == HERE:
            since = start.clock[0]
        house.refresh()
        assert house.standby_since("mail") == (None if leader == HERE else since)


def test_a_lease_that_is_given_away_ends_its_time_as_a_primary_at_once(start: Any) -> None:
    house = start.house()
    own = start.lease(primary=HERE, epoch=1)
    start.kept.texts["mail"] = own.text()
    house.refresh()
    start.clock[0] = 150.0
    assert house.swap("mail", expected=own, new=own.handed_to(THERE))
    assert house.standby_since("mail") == 150.0


def test_a_restart_says_nothing_of_the_time_before_it(start: Any) -> None:
    start.house()
    start.clock[0] = 500.0
    assert start.house().standby_since("mail") == 500.0


class Stopped(Exception):  # noqa: N818  what happened
    """The thread that copies for ever was stopped by its test."""


def test_trouble_with_a_copy_ends_when_the_host_is_no_longer_the_primary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(FILES), *sys.path])
    kept, rules = importlib.import_module("storekeeper.kept"), importlib.import_module("storekeeper.rules")
    roles = [rules.Role.PRIMARY, rules.Role.STANDBY]
    notes: list[tuple[str, str]] = []

    def sleep(_: float) -> None:
        if len(notes) > 1:
            raise Stopped

    house = SimpleNamespace(
        settings=SimpleNamespace(root=Path("/nowhere"), peer=THERE),
        lease=lambda _: rules.Lease(primary=HERE, epoch=2),
        role=lambda _: roles[min(len(notes), 1)],
        note=lambda what, why: notes.append((what, why)),
    )
    one = kept.Kept("mail", house)
    monkeypatch.setattr(one, "copy", lambda _: (_ for _ in ()).throw(kept.NotSent("epoch 2 is over")))
    monkeypatch.setattr(one.due, "wait", lambda _: True)
    monkeypatch.setattr(kept.time, "sleep", sleep)

    with pytest.raises(Stopped):
        one.copy_for_ever()

    assert notes == [("mail", "epoch 2 is over"), ("mail", "")]
