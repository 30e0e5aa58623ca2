"""First contact with the lab's bare hosts: afterwards certificates open them, and nothing else does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
INSTANCE = f"contact{os.getpid() % 10000}"
pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

STORY = Path(__file__).with_name("first_contact_story.py")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Any]]:
    state = tmp_path_factory.mktemp("contact")
    cache = os.environ.get("SECONDSITE_CACHE", "/var/cache/secondsite")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "SECONDSITE_LAB": INSTANCE}
    environment |= {"SECONDSITE_STATE": str(state), "SECONDSITE_CACHE": cache}

    def run(*argv: str) -> str:
        ended = subprocess.run(
            [sys.executable, *argv], env=environment, cwd=ROOT, check=False, capture_output=True, text=True, timeout=250
        )
        assert ended.returncode == 0, ended.stderr[-3000:]
        return ended.stdout

    try:
        run("-m", "secondsite", "lab", "up")
        yield json.loads(run(str(STORY), str(ROOT), str(state), cache, INSTANCE).splitlines()[-1])
    finally:
        run("-m", "secondsite", "lab", "down")


def test_nine_bare_hosts_are_contacted_and_then_left_alone(seen: Mapping[str, Any]) -> None:
    assert len(seen["first"]["made"]) == 9
    assert seen["first"]["failed"] == {}
    assert seen["again"]["made"] == []
    assert len(seen["again"]["already"]) == 9


def test_the_bootstrap_key_is_refused_everywhere(seen: Mapping[str, Any]) -> None:
    assert len(seen["refused"]) == 9
    assert all(seen["refused"].values())


def test_ops_logs_in_by_certificate_and_may_become_root(seen: Mapping[str, Any]) -> None:
    assert set(seen["login"].values()) == {"ops"}
    assert seen["root"] == "root"


def test_another_sites_certificate_opens_nothing(seen: Mapping[str, Any]) -> None:
    assert "Permission denied (publickey)" in seen["another_sites_certificate"]


def test_a_host_that_only_another_site_vouches_for_is_not_believed(seen: Mapping[str, Any]) -> None:
    assert "Host key verification failed" in seen["another_sites_word"]


def test_a_host_that_lost_its_marker_is_repaired_through_its_certificate(seen: Mapping[str, Any]) -> None:
    assert seen["repaired"]["made"] == ["console"]


def test_a_host_that_is_not_there_is_named_and_holds_up_no_other(seen: Mapping[str, Any]) -> None:
    assert list(seen["first"]["unreachable"]) == ["ghost"]
    assert len(seen["first"]["made"]) == 9


@pytest.mark.parametrize("way", ["mitogen", "plain"])
def test_roles_reach_hosts_as_root_and_name_the_one_that_is_not_there(seen: Mapping[str, Any], way: str) -> None:
    came = seen[way]
    assert came["tasks"] == 2
    assert came["failures"] == 0
    assert came["unreachable"] == ["ghost"]
    assert "nothing to change" not in came["said"]
    assert came["left"] == ""
