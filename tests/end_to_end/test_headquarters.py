"""Night work: headquarters is lost in the middle of a failover of the whole estate, and deputies finish it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.end_to_end.conftest import was_starved
from tests.end_to_end.labs import lab_environment
from tests.end_to_end.test_site_loss import TRIES, launch

ROOT = Path(__file__).resolve().parents[2]
INSTANCE = f"hq{os.getpid() % 10000}"

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return lab_environment(tmp_path_factory.mktemp("headquarters"), INSTANCE, "lab")


def test_deputies_at_the_secondary_finish_what_headquarters_can_not(environment: dict[str, str]) -> None:
    try:
        result = drilled(environment)
        for _ in range(TRIES - 1):
            if was_starved(result):
                result = drilled(environment)
    finally:
        launch(environment, "lab", "down")

    assert result["verdict"] == "passed", result
    assert 0 < result["times"]["waited_on_people_s"] < 15
    assert result["times"]["approved_to_restored_s"] < 10
    records = Path(result["report"]).parent / "records"
    (consent,) = json.loads((records / "approvals.json").read_text())["approvals"]
    assert consent["by"] == "persons"
    assert sorted(consent["persons"]) == ["lab-deputy-1", "lab-deputy-2"]
    events = [json.loads(line)["event"] for line in (records / "events.jsonl").read_text().splitlines()]
    order = ["fault-begun", "declared", "also-lost", "also-lost-proven", "deputies-answered", "approved", "sustained"]
    assert [event for event in events if event in order] == order
    told = " ".join(json.loads((records / "limitations.json").read_text()))
    assert "keys of its approvers" in told


def drilled(environment: dict[str, str]) -> dict[str, Any]:
    ended = launch(environment, "drill", "run", "hq-loss", "--json")
    assert ended.stdout, ended.stderr[-3000:]
    document: dict[str, Any] = json.loads(ended.stdout)
    return document
