"""What `./test` says of tests that failed: which, why, and what came of the second try."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import stages

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

TESTS = """
import pathlib
import pytest

pytestmark = pytest.mark.lab
mark = pathlib.Path(__file__).with_suffix(".mark")

def test_good():
    pass

def test_starved():
    known = mark.exists()
    mark.touch()
    assert known, "the machine was busy"

{more}
"""
BAD = """
@pytest.mark.parametrize("word", ["[a::b]"])
def test_bad(word):
    assert word == "good"
"""
BROKEN = """
@pytest.fixture
def lab():
    raise RuntimeError("no lab")

def test_broken(lab):
    pass
"""


def stage(folder: Path, more: str = "", *, marks: str = "lab and not nightly") -> stages.Stage:
    (folder / "test_it.py").write_text(TESTS.format(more=more), encoding="utf-8")
    words = ("pytest", "-q", "-p", "no:cacheprovider", "-m", marks)
    return stages.Stage(name="it", argv=(*words, "test_it.py"), folder=folder, words=len(words))


def test_a_test_that_passes_alone_counts_as_passed_and_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = stages.run(stage(tmp_path))
    stages.show(first)

    (ended,) = stages.again_alone([first])

    assert (first.passed, first.failed) == (1, 1)
    assert (ended.passed, ended.failed) == (2, 0)
    said = capsys.readouterr().out
    assert "> test_it.py::test_starved" in said
    assert "the machine was busy" in said
    assert "it: again" in said


@pytest.mark.parametrize("more", [BAD, BROKEN], ids=["bad", "broken"])
def test_a_test_that_fails_twice_stays_failed(tmp_path: Path, more: str) -> None:
    (ended,) = stages.again_alone([stages.run(stage(tmp_path, more))])

    assert (ended.passed, ended.failed) == (2, 1)


def test_only_tests_on_the_lab_are_tried_again(tmp_path: Path) -> None:
    (ended,) = stages.again_alone([stages.run(stage(tmp_path, marks="not nightly"))])

    assert (ended.passed, ended.failed) == (1, 1)


def test_many_failures_are_no_accident(tmp_path: Path) -> None:
    many = '@pytest.mark.parametrize("number", range(9))\ndef test_bad(number):\n    assert number < 0\n'

    (ended,) = stages.again_alone([stages.run(stage(tmp_path, many))])

    assert (ended.passed, ended.failed) == (1, 10)


def test_a_run_that_was_cut_short_is_not_made_good_by_what_failed_in_it(tmp_path: Path) -> None:
    stops = "def test_stop():\n    raise KeyboardInterrupt\n\ndef test_never_run():\n    assert False\n"

    (ended,) = stages.again_alone([stages.run(stage(tmp_path, stops))])

    assert ended.failed > 0


def test_a_stage_in_which_nothing_ran_has_failed(tmp_path: Path) -> None:
    (ended,) = stages.again_alone([stages.run(stage(tmp_path, marks="lab and not nightly and never"))])

    assert (ended.passed, ended.failed) == (0, 1)
