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
    return load().Sealer(str(archive), door=me, keeper=(me, os.getgid()))


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
    ours = load().Sealer(str(archive), door=os.getuid() + 1, keeper=(os.getuid() + 2, os.getgid()))
    assert ours.seal() == 0
    assert mode(segment) == 0o600
