"""Night work: the controller of a failover and of a return dies of ``kill -9``; every effect comes about once.

A handful of cells of the whole matrix, which is ``benchmarks/crash_matrix.py --lab``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.end_to_end.labs import command, lab_environment

ROOT = Path(__file__).resolve().parents[2]
INSTANCE = f"dies{os.getpid() % 10000}"
CELLS = [
    ("failover", "isolate-carrier-a"),
    ("failover", "promote-billing"),
    ("failover", "redirect-shop"),
    ("failback", "rebuild-billing"),
    ("failback", "switch-billing"),
]

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    own = lab_environment(tmp_path_factory.mktemp("dies"), INSTANCE, "small")
    try:
        yield own
    finally:
        command(own, "lab", "down")


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("runbook", "step"), CELLS)
def test_a_controller_that_dies_at_a_step_is_resumed_and_each_effect_comes_about_once(
    environment: dict[str, str], runbook: str, step: str, moment: str
) -> None:
    matrix = [sys.executable, str(ROOT / "benchmarks" / "crash_matrix.py"), "--lab"]
    words = ["--runbook", runbook, "--step", step, "--moment", moment]
    ended = subprocess.run(
        [*matrix, *words], env=environment, capture_output=True, text=True, check=False, timeout=1700
    )
    last = ended.stdout.splitlines()[-1:]
    assert last == ["real: killed 1, resumed 1, effects repeated 0, effects lost 0"], ended.stdout + ended.stderr
    assert ended.returncode == 0, ended.stdout
    assert re.search(rf"{runbook}/{step} {moment} .* ok ", ended.stdout)
