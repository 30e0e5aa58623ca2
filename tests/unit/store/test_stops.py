"""The stop file: whatever lies there stops, and only its absence, seen, lets runs go on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from secondsite.errors import Refused, UsageError
from secondsite.sim.world import SimulatedClock
from secondsite.store.runs import RunStore
from secondsite.store.stops import StopFile


def stops(state: Path) -> StopFile:
    return StopFile(state, clock=SimulatedClock())


def test_who_stopped_everything_and_why_is_read_by_the_next_process_and_lifted_by_name(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert stops(state).order() is None
    written = stops(state).write(who="ana", reason="the data looks wrong")

    assert stops(state).order() == written
    assert (written.who, written.reason, written.since) == ("ana", "the data looks wrong", "2026-01-01T00:00:00+00:00")
    assert stops(state).write(who="bo", reason="me too") == written, "the first word stays"
    assert stops(state).remove(who="cy", reason="it was a drill") == written
    assert stops(state).order() is None
    assert stops(state).remove(who="cy", reason="again") is None
    said = [json.loads(line) for line in (state / "stops.jsonl").read_text().splitlines()]
    assert [(one["stop"], one["who"], one["reason"]) for one in said] == [
        (True, "ana", "the data looks wrong"),
        (True, "bo", "me too"),
        (False, "cy", "it was a drill"),
    ]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{", b"[]", b"{}", b'{"who": "ana"}', b"x" * 100_000])
def test_a_file_that_says_nothing_stops_as_well(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "STOP").write_bytes(content)
    order = stops(tmp_path).order()
    assert order is not None
    assert "somebody stopped everything" in str(order)


def test_a_link_that_leads_nowhere_and_a_folder_stop_as_well(tmp_path: Path) -> None:
    (tmp_path / "STOP").symlink_to(tmp_path / "nowhere")
    assert stops(tmp_path).order() is not None
    assert stops(tmp_path).remove(who="ana", reason="") is not None
    (tmp_path / "STOP").mkdir()
    assert stops(tmp_path).order() is not None
    with pytest.raises(UsageError, match="can't be removed"):
        stops(tmp_path).remove(who="ana", reason="")


def test_where_it_can_not_be_seen_whether_one_lies_there_everything_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    order = stops(tmp_path / "file").order()
    assert order is not None
    assert "can't be seen" in str(order)


def test_a_session_is_refused_while_it_lies_there(tmp_path: Path) -> None:
    store = RunStore(tmp_path, root=tmp_path, clock=SimulatedClock())
    store.stops.write(who="ana", reason="the data looks wrong")
    with pytest.raises(Refused, match="ana stopped everything"), store.session(purpose="failover"):
        raise AssertionError("it began")
    store.stops.remove(who="ana", reason="all is well")
    with store.session(purpose="failover"):
        pass
