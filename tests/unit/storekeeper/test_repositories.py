"""A repository that lost its power: what git never put on disk is made anew, what it did is kept."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

FILES = Path(__file__).resolve().parents[3] / "roles" / "store" / "files"


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Start a storekeeper's keeper of repositories, as after a boot."""
    monkeypatch.setattr(sys, "path", [str(FILES), *sys.path])
    kept = importlib.import_module("storekeeper.kept")
    settings = SimpleNamespace(root=tmp_path, repositories=("shop",))
    return lambda: kept.Repositories("git", SimpleNamespace(settings=settings))


def push(path: Path, work: Path) -> str:
    """Push one commit, and return it."""
    identity = ["-c", "user.name=a test", "-c", "user.email=test@invalid"]
    commands = (["init", "-q", "-b", "main"], [*identity, "commit", "-q", "--allow-empty", "-m", "first"])
    work.mkdir()
    for command in (*commands, ["push", "-q", str(path), "main"]):
        subprocess.run(["git", "-C", str(work), *command], check=True, capture_output=True)
    head = subprocess.run(["git", "-C", str(work), "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return head.stdout.strip()


@pytest.mark.parametrize("emptied", [("HEAD",), ("config",), ("HEAD", "config", "description")])
def test_a_repository_whose_files_are_empty_after_a_power_cut_is_used_again_with_what_was_pushed(
    start: Any, tmp_path: Path, emptied: tuple[str, ...]
) -> None:
    path = start().make("shop")
    commit = push(path, tmp_path / "work")
    for name in emptied:
        (path / name).write_bytes(b"")

    again = start()

    assert again.refs("shop") == {"refs/heads/main": commit}
    told = again.git("-C", str(path), "config", "--get-regexp", "^(http.receivepack|core.fsync)$")
    assert set(told.splitlines()) == {"http.receivepack true", "core.fsync committed,reference"}


def test_a_folder_that_a_power_cut_left_without_anything_is_a_repository_again(start: Any, tmp_path: Path) -> None:
    (tmp_path / "git" / "shop.git" / "objects").mkdir(parents=True)
    (tmp_path / "git" / "shop.git" / "HEAD").write_bytes(bytes(23))

    assert start().refs("shop") == {}


def test_locks_of_who_died_keep_nobody_waiting(start: Any, tmp_path: Path) -> None:
    path = start().make("shop")
    push(path, tmp_path / "work")
    for lock in ("config.lock", "packed-refs.lock", "refs/heads/main.lock"):
        (path / lock).touch()

    again = start()
    again.make("shop")

    again.git("-C", str(path), "update-ref", "refs/heads/main", "refs/heads/main")
    again.git("-C", str(path), "config", "a.test", "yes")


def test_a_lock_that_is_held_now_is_left_alone(start: Any) -> None:
    running = start()
    path = running.make("shop")
    (path / "config.lock").touch()

    running.make("shop")

    assert (path / "config.lock").exists()
