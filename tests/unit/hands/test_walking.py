"""The walk beside the engine: what it tells is read, what it does not tell is not made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from secondsite.hands.walking import PrintedWalk

WALK = """
import json, os, sys, time
assert not [name for name in os.environ if name.startswith("PYTHON")]
print(json.dumps({{"event": "began", "words": sys.argv[1:], "mark": os.environ["MARK"]}}), flush=True)
print("no event")
print(json.dumps({{"plan_digest": "0"}}), flush=True)
{then}
"""


def walk(folder: Path, then: str) -> PrintedWalk:
    script = folder / "walk.py"
    script.write_text(WALK.format(then=then))
    page, config = folder / "page.md", folder / "config"
    return PrintedWalk(script=script, page=page, ssh_config=config, persons=["one", "other"], mark=("MARK", "here"))


@pytest.mark.parametrize(
    ("then", "state"),
    [
        ("sys.exit(0)", "done"),
        ("sys.exit(3)", "failed"),
        ("sys.exit(2)", "unknown"),
        ("os.kill(os.getpid(), 9)", "unknown"),
    ],
)
def test_what_it_tells_is_an_event_and_its_exit_code_says_how_it_ended(tmp_path: Path, then: str, state: str) -> None:
    walking = walk(tmp_path, then)
    (began,) = walking.events()
    assert began["words"] == [
        *(str(tmp_path / "page.md"), "--ssh-config", str(tmp_path / "config")),
        *("--consent", "one", "--consent", "other", "--log", "-"),
    ]
    assert began["mark"] == "here"
    assert walking.ended() == state


def test_one_that_is_stopped_has_not_ended_well(tmp_path: Path) -> None:
    walking = walk(tmp_path, "time.sleep(60)")
    for _ in walking.events():
        walking.stop()
    assert walking.ended() == "unknown"


def test_one_that_never_began_has_not_ended_well(tmp_path: Path) -> None:
    walking = walk(tmp_path, "")
    walking.stop()
    assert walking.ended() == "unknown"
