"""A check of the steady state is run on every host of its kinds, and a misspelt kind is never silently nobody."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from secondsite.app.places import lab_of
from secondsite.estate.load import load_estate
from secondsite.probes.steady import name_servers_of

INVENTORIES = Path(__file__).resolve().parents[3] / "inventories"
DRTESTS = Path(__file__).resolve().parents[3] / "drtests"
HOSTS = {"web-dc1": {"groups": ["web"]}, "vault": {"groups": ["vault", "etcd"]}}
CHECK = 'import pytest\n\n@pytest.mark.on("{kind}")\ndef test_one(name):\n    assert name\n'


@pytest.mark.parametrize(
    ("kind", "code", "says"),
    [
        pytest.param("web", 0, "1 passed", id="a kind the estate has"),
        pytest.param("edge", 5, "1 deselected", id="a kind the estate lacks"),
        pytest.param("wbe", 2, "no kind of host is called", id="misspelt"),
    ],
)
def test_a_check_is_for_the_hosts_of_its_kinds(kind: str, code: int, says: str, tmp_path: Path) -> None:
    for name in ("conftest.py", "pytest.ini"):
        shutil.copy(DRTESTS / name, tmp_path)
    (tmp_path / "facts.json").write_text(json.dumps({"hosts": HOSTS}))
    (tmp_path / "test_kind.py").write_text(CHECK.format(kind=kind))

    argv = [sys.executable, "-m", "pytest", "-q", "--facts", "facts.json", "test_kind.py"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert (done.returncode, says in done.stdout + done.stderr) == (code, True)


@pytest.mark.parametrize(("size", "copies"), [("small", ("web-dc1", "web-dc2")), ("lab", ("ops-dc1", "ops-dc2"))])
def test_names_are_asked_where_the_estate_copies_them_to(size: str, copies: tuple[str, ...]) -> None:
    estate = load_estate(INVENTORIES / size)

    assert name_servers_of(estate.services[0], estate) == ("vault", *copies)


def test_a_lab_has_one_name_for_its_topology_however_its_estate_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(INVENTORIES)
    monkeypatch.setenv("SECONDSITE_STATE", str(tmp_path))

    assert lab_of(load_estate(Path("small"))) == lab_of(load_estate(INVENTORIES / "small"))
