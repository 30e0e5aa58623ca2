"""Code that a host keeps is used only when it is surely that source's; whatever is wrong, the host works on."""

from __future__ import annotations

import ast
import hashlib
import marshal
from pathlib import Path

import pytest

from secondsite.hands import host_code
from secondsite.hands.mitogen_code import ON_HOSTS

SOURCE = "answer = 'compiled'\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(host_code, "FOLDER", str(tmp_path / "code"))
    return tmp_path / "code"


def answer(source: str | bytes = SOURCE, path: str = "master:/a.py") -> object:
    names: dict[str, object] = {}
    exec(host_code.compile_once(source, path, "exec", 0, True), names)  # noqa: S102, FBT003
    return names["answer"]


def put(kept: Path, source: str) -> None:
    code = marshal.dumps(compile(source, "master:/a.py", "exec"))
    kept.write_bytes(hashlib.sha256(code).digest() + code)


def test_a_later_run_takes_the_code_that_was_kept(folder: Path) -> None:
    assert answer() == "compiled"
    (kept,) = folder.iterdir()
    assert (folder.stat().st_mode & 0o777, kept.stat().st_mode & 0o777) == (0o700, 0o600)
    put(kept, "answer = 'kept'")
    assert answer() == answer(SOURCE.encode()) == "kept"


def test_another_source_or_path_is_another_code(folder: Path) -> None:
    answer()
    put(next(folder.iterdir()), "answer = 'kept'")
    assert answer("answer = 'changed'\n") == "changed"
    assert answer(path="master:/b.py") == "compiled"
    assert len(list(folder.iterdir())) == 3


@pytest.mark.parametrize("damage", [b"", b"x" * 20, b"x" * 3000])
def test_damaged_code_is_compiled_and_kept_anew(folder: Path, damage: bytes) -> None:
    answer()
    (kept,) = folder.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(damage)
    assert answer() == "compiled"
    assert kept.read_bytes() == whole
    kept.write_bytes(whole[:-3])
    assert answer() == "compiled"
    assert kept.read_bytes() == whole


def test_a_folder_that_others_may_write_or_that_is_a_link_is_not_used(folder: Path, tmp_path: Path) -> None:
    answer()
    (kept,) = folder.iterdir()
    put(kept, "answer = 'planted'")
    folder.chmod(0o770)
    assert answer() == "compiled"
    folder.chmod(0o700)
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    assert answer() == "compiled"


def test_where_nothing_can_be_kept_everything_works(folder: Path) -> None:
    folder.write_text("in the way")
    assert answer() == "compiled"
    assert folder.read_text() == "in the way"


def test_what_is_kept_does_not_grow_without_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_code, "MOST", 5)
    assert [answer(f"answer = {number}") for number in range(23)] == list(range(23))
    assert 0 < len(list(folder.iterdir())) <= 5


def test_an_error_in_the_source_is_the_one_that_python_tells() -> None:
    with pytest.raises(SyntaxError):
        answer("answer = ")


def test_it_needs_no_newer_python_than_hosts_have() -> None:
    ast.parse(ON_HOSTS.read_text(encoding="utf-8"), feature_version=(3, 8))
