"""What another controller is rebuilt from: the same bytes for the same program, and nothing that was changed."""

from __future__ import annotations

import hashlib
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from secondsite.errors import UsageError
from secondsite.store.kit import (
    FILE,
    NOTE,
    is_whole,
    kit_in,
    make_kit,
    needed_wheels,
    program_files,
    unpack_kit,
    version_of,
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for name, text in {
        "secondsite": "#!/bin/sh\n",
        "src/secondsite/a.py": "A = 1\n",
        "src/secondsite/__pycache__/a.pyc": "",
        "requirements/main.lock": "",
        "requirements/pyinfra.lock": "",
        "roles/x/y.yml": "",
        "inventories/lab/estate.yml": "name: lab\n",
        ".venv/bin/python": "",
        "tests/test_a.py": "",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "secondsite").chmod(0o755)
    return root


def lock(root: Path, *wheels: Path) -> None:
    lines = [f"--hash=sha256:{hashlib.sha256(one.read_bytes()).hexdigest()}" for one in wheels]
    (root / "requirements" / "main.lock").write_text("\n".join(lines))


def wheel(folder: Path, name: str, content: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


def test_what_is_made_again_and_what_tests_is_in_no_kit(project: Path) -> None:
    files = program_files(project, project / "inventories" / "lab")
    assert set(files) == {
        "secondsite", "src/secondsite/a.py", "requirements/main.lock", "requirements/pyinfra.lock", "roles/x/y.yml",
        "inventories/lab/estate.yml",
    }  # fmt: skip


def test_an_estate_from_elsewhere_comes_along_without_what_is_sealed(project: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    for name in ("estate.yml", "secrets/ca.age", "approvers"):
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_text("")
    files = program_files(project, own)
    assert {name for name in files if name.startswith("inventories/own")} == {
        "inventories/own/estate.yml", "inventories/own/approvers",
    }  # fmt: skip


def test_the_same_program_gives_the_same_bytes_whenever_and_by_whomever_it_is_packed(
    project: Path, tmp_path: Path
) -> None:
    files = program_files(project, project / "inventories" / "lab")
    packages = [wheel(tmp_path / "w", "a-1.whl", b"a")]
    first = make_kit(files, packages, estate="inventories/lab", into=tmp_path / "first")
    for path in files.values():
        os.utime(path, (1, 1))
        path.chmod(path.stat().st_mode | 0o020)
    second = make_kit(files, packages, estate="inventories/lab", into=tmp_path / "second")
    assert first == second
    assert (tmp_path / "first" / FILE).read_bytes() == (tmp_path / "second" / FILE).read_bytes()


@pytest.mark.parametrize("change", ["content", "name", "program", "new"])
def test_any_change_of_the_program_is_another_version(project: Path, change: str) -> None:
    before = version_of(program_files(project, project / "inventories" / "lab"))
    source = project / "src" / "secondsite" / "a.py"
    match change:
        case "content":
            source.write_text("A = 2\n")
        case "name":
            source.rename(source.with_name("b.py"))
        case "program":
            source.chmod(0o755)
        case "new":
            source.with_name("b.py").write_text("")
    assert version_of(program_files(project, project / "inventories" / "lab")) != before


def test_a_kit_unpacks_to_the_program_with_its_packages(project: Path, tmp_path: Path) -> None:
    files = program_files(project, project / "inventories" / "lab")
    kit = make_kit(files, [wheel(tmp_path / "w", "a-1.whl", b"a")], estate="e", into=tmp_path)
    assert kit_in((tmp_path / NOTE).read_text()) == kit
    program = unpack_kit(tmp_path / FILE, tmp_path / "there", noted=kit)
    assert os.access(program / "secondsite", os.X_OK)
    assert (program / "wheels" / "a-1.whl").read_bytes() == b"a"
    assert version_of(program_files(program, program / "inventories" / "lab")) == kit.version


def test_a_kit_with_one_other_bit_is_not_unpacked(project: Path, tmp_path: Path) -> None:
    kit = make_kit(program_files(project, project), [], estate="e", into=tmp_path)
    content = bytearray((tmp_path / FILE).read_bytes())
    content[len(content) // 2] ^= 1
    assert is_whole(tmp_path / FILE, kit)
    (tmp_path / FILE).write_bytes(content)
    assert not is_whole(tmp_path / FILE, kit)
    with pytest.raises(UsageError, match="has the digest"):
        unpack_kit(tmp_path / FILE, tmp_path / "there", noted=kit)
    assert not (tmp_path / "there").exists()


def test_a_kit_that_would_write_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evil").write_text("x")
    with tarfile.open(tmp_path / FILE, "w") as archive:
        archive.add(tmp_path / "evil", arcname="../evil-too")
    digest = hashlib.sha256((tmp_path / FILE).read_bytes()).hexdigest()
    noted = replace(kit_in('{"version":"","sha256":"","bytes":1,"estate":"","python":"","machine":""}'), sha256=digest)
    with pytest.raises(UsageError, match="can't be unpacked"):
        unpack_kit(tmp_path / FILE, tmp_path / "there", noted=noted)


def test_only_packages_that_a_lock_names_go_into_a_kit(project: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not at hand"):
        needed_wheels(project)
    good = wheel(project / ".wheels", "a-1.whl", b"a")
    lock(project, good)
    assert needed_wheels(project) == [good]
    wheel(project / ".wheels", "b-1.whl", b"b")
    with pytest.raises(UsageError, match=r"b-1\.whl is no package"):
        needed_wheels(project)


def test_a_program_that_came_as_a_kit_makes_the_next_one_of_what_it_brought(project: Path) -> None:
    wheel(project / ".wheels", "b-1.whl", b"b")
    brought = wheel(project / "wheels", "a-1.whl", b"a")
    lock(project, brought)
    assert needed_wheels(project) == [brought]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": "1"}', "null"])
def test_a_note_that_tells_nothing_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="does not tell"):
        kit_in(text)
