"""How far an archive is behind is told from what was heard: never less than it was, and a gap hides nothing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as some

from .scripts import script

wal_lag = script("wal_lag")

numbers = some.lists(some.floats(0, 100), min_size=1, max_size=20)


def segment(number: int) -> str:
    return f"00000001{0:08X}{number:08X}"


def marks(*told: tuple[float, int]) -> list[object]:
    return [wal_lag.Mark(at=at, segment=segment(number), position=number) for at, number in told]


def test_the_lag_of_a_segment_is_taken_from_its_last_commit() -> None:
    heard = marks((0.0, 1), (3.9, 1), (4.1, 2), (8.0, 2))
    found = wal_lag.lags(heard, {segment(1): 5.0, segment(2): 8.5}, ended=20.0)
    assert found == {segment(1): pytest.approx(1.1), segment(2): pytest.approx(0.5)}


def test_a_segment_that_never_arrived_is_as_late_as_it_was_waited_for() -> None:
    assert wal_lag.lags(marks((1.0, 1)), {}, ended=31.0) == {segment(1): 30.0}


def test_a_segment_that_overtook_another_counts_from_when_the_other_was_there() -> None:
    heard = marks((1.0, 1), (2.0, 2))
    found = wal_lag.lags(heard, {segment(1): 9.0, segment(2): 2.5}, ended=20.0)
    assert found == {segment(1): 8.0, segment(2): 7.0}


def test_what_lies_behind_a_gap_is_of_no_use() -> None:
    heard = marks((1.0, 1), (2.0, 2), (3.0, 3))
    arrived = {segment(1): 1.5, segment(3): 3.5}
    assert wal_lag.usable([one.segment for one in heard], arrived).keys() == {segment(1)}  # type: ignore[attr-defined]
    assert wal_lag.lags(heard, arrived, ended=63.0)[segment(3)] == 60.0


def test_what_would_be_lost_is_as_old_as_the_oldest_commit_that_the_vault_lacks() -> None:
    heard = marks((0.0, 1), (2.0, 1), (4.0, 2), (6.0, 2))
    assert wal_lag.exposures(heard, {segment(1): 5.0}) == [0.0, 2.0, 4.0, 2.0]


def test_the_load_is_what_the_log_grew_by_and_not_what_was_asked_for() -> None:
    heard = [
        wal_lag.Mark(at=at, segment=segment(1), position=position) for at, position in ((1.0, 0), (3.0, 8_000_000))
    ]
    assert wal_lag.rate_of(heard) == 4.0


@given(numbers, some.integers(0, 5))
def test_nothing_is_lost_more_than_was_written(times: list[float], until: int) -> None:
    heard = marks(*((at, int(at // 10)) for at in sorted(times)))
    arrived = {segment(number): number * 10 + 11.0 for number in range(until)}
    ages = wal_lag.exposures(heard, arrived)
    assert all(0 <= age <= max(times) - min(times) for age in ages)


@given(numbers, some.floats(0.01, 1))
def test_a_percentile_is_one_of_the_values_and_as_many_do_not_exceed_it(values: list[float], share: float) -> None:
    found = wal_lag.percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= math.floor(share * len(values))
    assert sum(value < found for value in values) < share * len(values) + 1e-9
