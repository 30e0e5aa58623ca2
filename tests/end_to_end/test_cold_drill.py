"""Night work: the drill of a cold restart, as anybody runs it, and what its evidence is worth to an outsider.

A second drill has the way from the vault throttled: what is measured is slow then, and production would not make it.
"""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.end_to_end.labs import lab_environment
from tests.end_to_end.test_by_hand import ROOT

INSTANCE = f"cdrl{os.getpid() % 10000}"
MINUTES = 40
THROTTLED_BYTES_A_SECOND = 4_000_000
THROTTLE = (
    "table inet throttle {{\n chain out {{\n  type filter hook output priority 10; policy accept;\n"
    "  tcp sport {{ 8432, 8000 }} limit rate over {rate} kbytes/second burst 200 kbytes drop\n }}\n}}\n"
)

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(2 * MINUTES * 60)]


def environment(folder: Path) -> dict[str, str]:
    return lab_environment(folder, INSTANCE)


def launch(known: Mapping[str, str], *words: str, said: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "secondsite"), *words],
        env=dict(known),
        cwd="/",
        input=said,
        capture_output=True,
        text=True,
        timeout=MINUTES * 60,
        check=False,
    )


def drill(known: Mapping[str, str]) -> dict[str, Any]:
    ended = launch(known, "drill", "run", "cold-restart", "--json")
    assert "Traceback" not in ended.stderr
    try:
        result: dict[str, Any] = json.loads(ended.stdout)
    except ValueError:
        pytest.fail(f"exit code {ended.returncode}, no JSON on standard output:\n{ended.stderr[-4000:]}")
    return result


def found(result: Mapping[str, Any], rule: str) -> dict[str, str]:
    return next(one for one in result["rules"] if one["id"] == rule)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    told = environment(tmp_path_factory.mktemp("cold-drill"))
    try:
        yield told
    finally:
        launch(told, "lab", "down")


@pytest.fixture(scope="module")
def result(known: dict[str, str]) -> dict[str, Any]:
    return drill(known)


def test_operations_begin_anew_and_production_would_be_in_time(result: dict[str, Any]) -> None:
    assert result["verdict"] == "passed", [one for one in result["rules"] if one["finding"] != "satisfied"]
    assert result["writes"]["lost"] > 0, "what no log at the vault held is lost, and seen to be lost"
    assert {one["store"] for one in result["restored"]} == {"billing", "control", "store-dc2"}
    assert all(one["verified_by"] and one["bytes"] > 0 and one["from"] == "vault" for one in result["restored"])
    projection = result["projection"]
    assert projection["target_h"] == 24
    assert 0 < projection["expected_h"] < projection["upper_95_h"] <= 24
    assert projection["missing"] == []
    assert {one["name"] for one in projection["phases"]} >= {"decision", "machines", "databases", "files", "open-hosts"}
    assert "refused" in found(result, "vault-withstood")["saw"]


def test_an_outsider_computes_the_same_and_finds_what_was_changed(
    result: dict[str, Any], known: dict[str, str], tmp_path: Path
) -> None:
    assert launch(known, "evidence", "verify", result["evidence"]).returncode == 0

    with tarfile.open(result["evidence"]) as bundle:
        bundle.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    restores = folder / "records" / "restores.jsonl"
    restores.write_text(restores.read_text().replace('"is_trial":true', '"is_trial":false', 1))
    changed = tmp_path / "changed.tar.gz"
    with tarfile.open(changed, "w:gz") as bundle:
        bundle.add(folder, arcname=folder.name)
    verified = launch(known, "evidence", "verify", str(changed))
    assert verified.returncode == 7
    assert "restores.jsonl" in verified.stderr


def test_a_throttled_way_from_the_vault_breaks_the_projection_and_is_named(tmp_path: Path) -> None:
    told = environment(tmp_path)
    over = threading.Event()

    def throttle() -> None:
        """Narrow the vault's way out from the moment at which trials begin."""
        while not over.is_set():
            records = [*tmp_path.glob("runs/*-cold-restart/records/restores.jsonl")]
            if records and '"is_trial":true' in records[0].read_text():
                rules = THROTTLE.format(rate=THROTTLED_BYTES_A_SECOND // 1000)
                launch(told, "lab", "shell", "vault", "--", "nft", "-f", "-", said=rules)
                return
            time.sleep(0.2)

    watching = threading.Thread(target=throttle)
    watching.start()
    try:
        slow = drill(told)
    finally:
        over.set()
        watching.join()
        launch(told, "lab", "down")

    assert slow["verdict"] == "failed"
    rule = found(slow, "production-in-time")
    assert rule["finding"] == "not-satisfied"
    assert "files" in rule["saw"] or "databases" in rule["saw"]
