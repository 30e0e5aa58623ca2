"""Runs that older code began must be understood by newer code.

Add a file for each version of the journal; never edit one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from secondsite.plan.document import plan_from_document
from secondsite.run.model import ENGINE_VERSION, Attempt, AttemptKey, Note, NoteKind
from secondsite.run.rules import fold, result_from, run_state
from secondsite.run.service import open_gates, reasons_not_to_resume

RECORDED = sorted((Path(__file__).parent / "journals").glob("*.json"))


def load(path: Path) -> Any:
    return json.loads(path.read_text())


def test_there_are_recorded_journals_of_this_version() -> None:
    assert any(load(path)["engine"] == ENGINE_VERSION for path in RECORDED)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_run_that_was_begun_before_stands_where_it_stood(path: Path) -> None:
    recorded = load(path)
    plan = plan_from_document(recorded["plan"])
    run = recorded["run"]
    attempts = [
        Attempt(
            key=AttemptKey(run=run, step=one["step"], attempt=one["attempt"]),
            intent=one["intent"],
            result=result_from(one["result"]) if one["result"] else None,
        )
        for one in recorded["attempts"]
    ]
    notes = [
        Note(run=run, kind=NoteKind(one["kind"]), name=one["name"], body=one["body"], number=place)
        for place, one in enumerate(recorded["notes"], start=1)
    ]

    assert list(reasons_not_to_resume(plan, run, notes)) == []
    assert {name: record.state.value for name, record in fold(plan, attempts, notes).items()} == recorded["states"]
    assert run_state(notes).value == recorded["state"]
    assert list(open_gates(notes)) == recorded["gates"]
