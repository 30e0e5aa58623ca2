"""The collectors' start on a host: the code that is kept there, and what was noted before the tries."""

from __future__ import annotations

import base64
import json
import marshal
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from secondsite.probes import collecting
from secondsite.probes.remote.collectors import network

MAIN = """
import json, sys
SECTIONS = {"said": lambda settings: "as sent"}
def main(order, modules):
    sys.stdout.write(json.dumps(modules["main"].SECTIONS["said"](order["settings"])))
"""
ANOTHER = MAIN.replace("as sent", "as kept")


def begun(folder: Path, *, source: str = MAIN) -> str:
    order = {"sources": {"main": source}, "digest": "d1", "sections": ["said"], "settings": {}}
    boot = collecting._BOOT.replace("/run/secondsite", str(folder))
    argv = [sys.executable, "-I", "-c", boot]
    said = subprocess.run(argv, input=json.dumps(order), capture_output=True, text=True, check=True)
    return str(json.loads(said.stdout))


def test_a_host_that_kept_nothing_asks_for_the_sources_and_one_that_did_needs_none(tmp_path: Path) -> None:
    order = {"digest": "d1", "sections": ["said"], "settings": {}}
    boot = collecting._BOOT.replace("/run/secondsite", str(tmp_path))
    argv = [sys.executable, "-I", "-c", boot]

    first = subprocess.run(argv, input=json.dumps(order), capture_output=True, text=True, check=False)
    begun(tmp_path)
    second = subprocess.run(argv, input=json.dumps(order), capture_output=True, text=True, check=False)

    assert (first.returncode, first.stdout) == (collecting._NOT_KEPT, "")
    assert json.loads(second.stdout) == "as sent"


def test_code_is_kept_for_its_owner_alone_and_used_again(tmp_path: Path) -> None:
    assert begun(tmp_path) == "as sent"
    (kept,) = tmp_path.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600

    kept.write_bytes(marshal.dumps({"main": compile(ANOTHER, "collectors/main.py", "exec")}))

    assert begun(tmp_path) == "as kept"


@pytest.mark.parametrize("spoilt", ["others may write it", "it is a link", "it is cut"])
def test_kept_code_that_somebody_else_may_have_written_is_not_used(tmp_path: Path, spoilt: str) -> None:
    begun(tmp_path)
    (kept,) = tmp_path.iterdir()
    content = marshal.dumps({"main": compile(ANOTHER, "collectors/main.py", "exec")})
    kept.write_bytes(content[:20] if spoilt == "it is cut" else content)
    if spoilt == "others may write it":
        kept.chmod(0o620)
    if spoilt == "it is a link":
        kept.rename(tmp_path.parent / "elsewhere")
        kept.symlink_to(tmp_path.parent / "elsewhere")

    assert begun(tmp_path) == "as sent"


def test_a_host_where_nothing_can_be_kept_tells_all_the_same(tmp_path: Path) -> None:
    assert begun(tmp_path / "is not there") == "as sent"


def test_what_was_noted_before_the_tries_is_told_and_nothing_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*argv: str, **_: Any) -> str:
        assert "-l" in argv, f"{argv} was asked though it was noted"
        return ""

    monkeypatch.setattr(network, "run", run)
    (tmp_path / "peers").write_text("0 0 198.18.1.10:40000 198.18.2.20:6432\n")

    assert network.peers({"before": str(tmp_path)}) == [{"address": "198.18.2.20", "port": 6432}]


def test_what_was_not_noted_is_asked_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def run(*argv: str, **_: Any) -> str:
        asked.append(argv)
        return ""

    monkeypatch.setattr(network, "run", run)

    network.peers({"before": str(tmp_path)})
    network.peers({})

    assert asked.count(network.BEFORE_TRIES["peers"]) == 2


def test_what_was_noted_is_forgotten_once_it_was_told(tmp_path: Path) -> None:
    before = tmp_path / "before"
    before.mkdir()
    (before / "peers").write_text("")
    order = {
        "sources": collecting.sources(["peers"]),
        "digest": "d2",
        "sections": ["peers"],
        "settings": {"before": str(before)},
    }
    boot = collecting._BOOT.replace("/run/secondsite", str(tmp_path))
    argv = [sys.executable, "-I", "-c", boot]

    said = subprocess.run(argv, input=json.dumps(order), capture_output=True, text=True, check=True)

    assert json.loads(zlib.decompress(base64.b64decode(said.stdout)))["complete"] is True
    assert not before.exists()
    assert list(tmp_path.glob("collectors-*"))
