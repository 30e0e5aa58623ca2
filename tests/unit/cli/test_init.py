"""Beginning an estate writes what can be read at once, and overwrites nothing."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from secondsite.checks.doctor.model import Need
from secondsite.checks.doctor.rules import about_estate
from secondsite.cli.main import main
from secondsite.estate.load import load_estate
from secondsite.hands.age import Safe


@pytest.mark.parametrize("name", ["mine", "no", "on", "a" * 63])
def test_what_init_writes_is_strictly_valid_and_all_its_addresses_are_still_to_be_replaced(
    tmp_path: Path, name: str
) -> None:
    assert main(["init", name, "--directory", str(tmp_path / "estate")]) == 0

    estate = load_estate(tmp_path / "estate")
    wrong = {one.id: one.saw for one in about_estate(estate) if one.need is Need.MISSING}
    assert estate.name == name
    assert wrong.keys() == {"addresses", "fencing"}
    assert all(str(host.management) in wrong["addresses"] for host in estate.hosts.values())
    assert not estate.injections


def test_init_names_the_next_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["init", "mine", "--directory", str(tmp_path)])
    shown = capsys.readouterr()
    assert shown.out.strip() == str(tmp_path)
    assert f"secondsite doctor --estate {tmp_path}" in " ".join(shown.err.split())


@pytest.mark.parametrize("file", ["hosts.yml", "estate.yml"])
def test_init_overwrites_nothing(tmp_path: Path, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / file).write_text("mine")
    assert main(["init", "mine", "--directory", str(tmp_path)]) == 2
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [(file, "mine")]
    assert "never overwritten" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("name", ["Mine", "-x", "../up", ""])
def test_init_refuses_what_is_no_name(tmp_path: Path, name: str) -> None:
    assert main(["init", "--directory", str(tmp_path / "new"), "--", name]) == 2
    assert not (tmp_path / "new").exists()


def test_an_identity_opens_what_is_sealed_for_it_and_is_never_made_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    public = {}
    for name in ("engine", "escrow"):
        assert main(["identity", str(tmp_path / name)]) == 0
        public[name] = capsys.readouterr().out.strip()
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "recipients").write_text("".join(f"{name} {key}\n" for name, key in public.items()))
    safe = Safe(directory=secrets, identity=tmp_path / "engine")
    safe.require_identity()
    safe.seal("word", b"secret")

    assert safe.open("word") == b"secret"
    assert stat.S_IMODE((tmp_path / "engine").stat().st_mode) == 0o600
    assert main(["identity", str(tmp_path / "engine")]) == 2
    assert safe.open("word") == b"secret"
