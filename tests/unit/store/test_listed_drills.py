"""What a list of runs says of drills."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from secondsite.store.clock import SystemClock
from secondsite.store.runs import RunStore


@pytest.mark.parametrize(
    ("result", "told"),
    [
        pytest.param({"verdict": "passed"}, "passed", id="judged"),
        pytest.param(None, "interrupted", id="killed-before-it-was-judged"),
        pytest.param([], "interrupted", id="a-result-that-makes-no-sense"),
    ],
)
def test_a_drill_is_listed_with_its_verdict_or_as_interrupted(tmp_path: Path, result: object, told: str) -> None:
    store = RunStore(tmp_path, root=tmp_path, clock=SystemClock())
    with store.session(purpose="drill site-loss") as session:
        folder = session.new_folder("site-loss")
        assert [one.drill for one in store.summaries()] == ["open"]
    if result is not None:
        (folder.path / "evidence").mkdir()
        (folder.path / "evidence" / "result.json").write_text(json.dumps(result))
    (listed,) = store.summaries()
    assert (listed.state, listed.drill) == (None, told)
