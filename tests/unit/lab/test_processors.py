"""How much processor time the machine under the lab was denied, as the kernel counts it."""

from __future__ import annotations

from pathlib import Path

import pytest

from secondsite.lab.processors import ProcessorTime, read_processor_time, stolen_time_limitation


def test_the_kernels_own_counters_are_read_and_only_grow() -> None:
    first, then = read_processor_time(), read_processor_time()

    assert first is not None
    assert then is not None
    assert 0 <= first.stolen <= first.total <= then.total


def test_guest_time_is_not_counted_twice(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 5 50 800 20 1 4 20 60 3\ncpu0 1 2 3\n")

    assert read_processor_time(stat) == ProcessorTime(total=1000, stolen=20)


@pytest.mark.parametrize("text", ["", "cpu 1 2 3\n", "intr 1 2 3 4 5 6 7 8\n", "cpu a b c d e f g h\n"])
def test_what_is_no_such_file_gives_no_number(tmp_path: Path, text: str) -> None:
    (tmp_path / "stat").write_text(text)

    assert read_processor_time(tmp_path / "stat") is None
    assert read_processor_time(tmp_path / "none") is None


def test_time_taken_is_said_from_five_percent_on_and_never_guessed() -> None:
    since = ProcessorTime(total=1000, stolen=100)

    assert stolen_time_limitation(since, ProcessorTime(total=2000, stolen=149)) == ()
    (said,) = stolen_time_limitation(since, ProcessorTime(total=2000, stolen=410))
    assert "denied 31% of its processor time" in said
    (unknown,) = stolen_time_limitation(None, since)
    assert "not known" in unknown
