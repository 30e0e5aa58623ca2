"""``runs show`` says who began a run and who answers for its runbook, or that nobody does."""

from __future__ import annotations

import pytest

from secondsite.cli.runs import finish, result_json
from secondsite.run.model import Authorship, Beginning, RunResult, RunState

SIGNED = Authorship(runbook="failover", version="ab" * 32, name="ana", key="SHA256:1", at="then", signature="...")
UNSIGNED = Authorship(runbook="failover", version="ab" * 32, why="no version of it is signed")


def run_with(beginning: Beginning) -> RunResult:
    return RunResult(run="000001-failover", state=RunState.DONE, exit_code=0, steps={}, beginning=beginning)


@pytest.mark.parametrize(
    ("beginning", "told"),
    [
        (
            Beginning(by=("bo", "cy"), authorship=SIGNED),
            ["Begun by bo, cy.", "failover, version abababababab: ana (SHA256:1) answers for it."],
        ),
        (
            Beginning(by=("bo",), authorship=UNSIGNED),
            ["nobody answers for this version of failover (abababababab): no version of it is signed"],
        ),
        (Beginning(), []),
    ],
)
def test_the_beginning_of_a_run_is_shown(
    beginning: Beginning, told: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert finish(run_with(beginning), as_json=False) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert all(line in shown for line in told)
    assert told or "answers" not in shown


def test_programs_are_told_the_same() -> None:
    assert result_json(run_with(Beginning(by=("bo",), authorship=SIGNED)))["beginning"] == {
        "by": ["bo"],
        "runbook_version": "ab" * 32,
        "author": {"name": "ana", "key": "SHA256:1", "at": "then"},
        "nobody_answers": None,
    }
    unsigned = result_json(run_with(Beginning(by=("bo",), authorship=UNSIGNED)))["beginning"]
    assert isinstance(unsigned, dict)
    assert (unsigned["author"], unsigned["nobody_answers"]) == (None, "no version of it is signed")
    assert result_json(run_with(Beginning()))["beginning"] == {
        "by": [],
        "runbook_version": None,
        "author": None,
        "nobody_answers": None,
    }
