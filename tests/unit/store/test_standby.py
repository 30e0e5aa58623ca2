"""The copy that another controller goes on from: what must be in it, what must not, and what is no copy."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

import pytest

from secondsite.errors import JournalError, UsageError
from secondsite.run.durable import Notebook
from secondsite.run.model import NoteKind
from secondsite.store.standby import pack, unpack

STOPPED = "STOP"
MACHINES = "machines.json"
PRIVATE = ("keys/ops/dc1", "keys/runner/dc1")
KEPT = (STOPPED, MACHINES, "keys/ops/dc1.pub", "keys/pins", "secrets/ssh-dc1.age", "standing-orders/one.json")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    state = tmp_path / "state"
    for name in (*KEPT, *PRIVATE, "runs/000001-failover/plan.json", "runs/000001-failover/files/roles/a.yml",
                 "runs/000002-provision/plan.json", "runs/000002-provision/files/roles/a.yml"):  # fmt: skip
        (state / name).parent.mkdir(parents=True, exist_ok=True)
        (state / name).write_text(name)
    with contextlib.closing(Notebook(state / "journal.sqlite")) as book:
        book.note("000001-failover", NoteKind.BEGUN, "", {"engine": "1"})
    return state


def laid_out(state: Path, place: Path) -> Path:
    copy = place / "copy.tgz"
    copy.write_bytes(pack(state, open_runs={"000001-failover"}))
    unpack(copy, place / "other")
    return place / "other"


def test_a_stop_in_force_and_the_noted_machines_go_along_and_keys_that_log_in_do_not(
    state: Path, tmp_path: Path
) -> None:
    other = laid_out(state, tmp_path)

    assert [name for name in KEPT if not (other / name).is_file()] == []
    assert [name for name in PRIVATE if (other / name).exists()] == []
    with contextlib.closing(Notebook(other / "journal.sqlite")) as book:
        assert [note.kind for note in book.notes("000001-failover")] == [NoteKind.BEGUN]


def test_only_a_run_that_is_open_brings_its_own_files(state: Path, tmp_path: Path) -> None:
    other = laid_out(state, tmp_path)

    assert (other / "runs/000001-failover/files/roles/a.yml").is_file()
    assert sorted(path.name for path in (other / "runs/000002-provision").iterdir()) == ["plan.json"]


def test_a_controller_that_has_a_state_takes_nothing_over(state: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.tgz"
    copy.write_bytes(pack(state, open_runs=()))

    with pytest.raises(UsageError, match="has a journal already"):
        unpack(copy, state)


def test_what_is_no_copy_is_refused_and_nothing_is_laid_out(tmp_path: Path) -> None:
    copy = tmp_path / "copy.tgz"
    copy.write_bytes(b"not an archive")

    with pytest.raises(UsageError, match="can't be laid out"):
        unpack(copy, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_state_without_a_journal_can_not_be_copied(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="can't be copied"):
        pack(tmp_path, open_runs=())


def test_a_file_that_shrinks_while_it_is_copied_spoils_no_copy(state: Path) -> None:
    written = state / "runs" / "000001-failover" / "records" / "roles.json"
    written.parent.mkdir()
    written.write_bytes(b"x" * (1 << 20))
    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            os.truncate(written, 10)
            os.truncate(written, 1 << 20)

    writing = threading.Thread(target=write)
    writing.start()
    try:
        for _ in range(40):
            assert pack(state, open_runs={"000001-failover"})
    finally:
        ended.set()
        writing.join()
