"""What producers archived becomes the keeper's; what they name can lead the sealer nowhere else."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "roles" / "backup_target" / "files" / "secondsite-seal"


def load() -> ModuleType:
    """Run the script as a module, and leave no compiled code among what roles place on hosts."""
    module = ModuleType("secondsite_seal")
    exec(compile(SCRIPT.read_text(encoding="utf-8"), str(SCRIPT), "exec"), vars(module))  # noqa: S102  our own file
    return module


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    (folder / "billing" / "17-1").mkdir(parents=True)
    return folder


def sealer(archive: Path) -> Any:
    me = os.getuid()  # door and keeper are one person here: only root may give a file away
    return load().Sealer(str(archive), door=me, keeper=(me, os.getgid()), originals=str(archive.parent / "originals"))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_folders_become_sticky_and_files_readable_by_the_group(archive: Path) -> None:
    segment = archive / "billing" / "17-1" / "000000010000000000000001"
    segment.write_text("wal")
    segment.chmod(0o600)
    ours = sealer(archive)
    assert ours.seal() == 3
    assert mode(archive / "billing" / "17-1") == 0o3770
    assert mode(segment) == 0o640
    assert ours.seal() == 0


def test_what_is_still_being_written_is_left_until_it_has_its_name(archive: Path) -> None:
    unfinished = archive / "billing" / "17-1" / "000000010000000000000002.pgbackrest.tmp"
    unfinished.write_text("half")
    unfinished.chmod(0o600)
    ours = sealer(archive)
    ours.seal()
    assert mode(unfinished) == 0o600
    segment = unfinished.rename(unfinished.with_name("000000010000000000000002"))
    ours.seal()
    assert mode(segment) == 0o640


def test_a_folder_can_be_written_to_at_any_moment_while_it_is_taken(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes, give = [], os.fchown

    def given(handle: int, owner: int, group: int) -> None:
        give(handle, owner, group)
        modes.append((stat.S_ISDIR(os.fstat(handle).st_mode), stat.S_IMODE(os.fstat(handle).st_mode)))

    monkeypatch.setattr(os, "fchown", given)
    (archive / "billing" / "17-1").chmod(0o750)
    sealer(archive).seal()
    folders = [mode for is_folder, mode in modes if is_folder]
    assert folders
    assert {mode & 0o070 for mode in folders} == {0o070}, "a file of the door's in it could not get its name"


def test_what_was_left_unfinished_does_not_stand_in_the_keepers_way(archive: Path) -> None:
    stanza = archive / "billing"
    seconds = {"archive.info": 0, "beside": 0, "beside-left": 3, "17-1/fresh": 100, "17-1/abandoned": 400}
    files = {name: stanza / f"{name}.pgbackrest.tmp" for name in seconds}
    for name, file in files.items():
        file.write_text("left")
        os.utime(file, (time.time() - seconds[name], time.time() - seconds[name]))
    sealer(archive).seal()
    assert {name for name, file in files.items() if file.exists()} == {"beside", "17-1/fresh"}


def test_no_link_leads_out_of_the_archive(archive: Path, tmp_path: Path) -> None:
    outside, other = tmp_path / "outside", tmp_path / "other"
    outside.mkdir(mode=0o700)
    other.write_text("another's")
    other.chmod(0o600)
    (archive / "billing" / "folder").symlink_to(outside)
    (archive / "billing" / "file").symlink_to(other)
    (archive / "billing" / "second-name").hardlink_to(other)
    os.mkfifo(archive / "billing" / "pipe", 0o600)
    sealer(archive).seal()
    assert mode(outside) == 0o700
    assert mode(other) == 0o600
    assert mode(archive / "billing" / "pipe") == 0o600


def test_what_belongs_to_somebody_else_stays_as_it_is(archive: Path) -> None:
    segment = archive / "billing" / "17-1" / "000000010000000000000003"
    segment.write_text("wal")
    segment.chmod(0o600)
    ours = load().Sealer(
        str(archive), door=os.getuid() + 1, keeper=(os.getuid() + 2, os.getgid()), originals=str(archive / "none")
    )
    assert ours.seal() == 0
    assert mode(segment) == 0o600


HISTORY = "00000002.history"


@pytest.fixture
def history(archive: Path) -> Path:
    path = archive / "billing" / "17-1" / HISTORY
    path.write_text("1\t0/5000000\tno recovery target specified\n")
    return path


def test_a_history_that_is_sent_again_is_taken_and_the_first_one_stays(archive: Path, history: Path) -> None:
    first = history.read_bytes()
    ours = sealer(archive)
    ours.seal()
    again = history.with_name(f"{HISTORY}.pgbackrest.tmp")
    again.write_bytes(b"the same, sealed with another salt")
    again.rename(history)  # as pgBackRest's server does: were it refused, the archiver would send nothing any more
    ours.seal()
    assert history.read_bytes() == first
    assert mode(history) == 0o640
    assert sorted(path.name for path in history.parent.iterdir()) == [HISTORY]


def test_a_history_that_was_written_over_where_it_lies_or_moved_away_is_back(archive: Path, history: Path) -> None:
    first = history.read_bytes()
    ours = sealer(archive)
    ours.seal()
    with history.open("r+b") as file:
        file.write(b"9")  # the folder does not change by that
    ours.seal()
    assert history.read_bytes() == first
    history.rename(history.with_name("elsewhere"))
    ours.seal()
    assert history.read_bytes() == first


def test_a_history_that_is_a_link_leads_nowhere(archive: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("another's")
    other.chmod(0o600)
    link = archive / "billing" / "17-1" / "00000003.history"
    link.symlink_to(other)
    sealer(archive).seal()
    assert mode(other) == 0o600
    assert not (archive.parent / "originals" / "billing" / "17-1" / "00000003.history").exists()


def test_originals_outlive_a_sealer_that_was_begun_again(archive: Path, history: Path) -> None:
    first = history.read_bytes()
    sealer(archive).seal()
    history.write_text("another past")
    sealer(archive).seal()
    assert history.read_bytes() == first
