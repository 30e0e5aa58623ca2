"""What knocks come to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondsite.errors import MeasurementError
from secondsite.lab.probing import Knock, outage


def knocks(answered: list[bool]) -> list[Knock]:
    return [Knock(at=index / 100, answered=one) for index, one in enumerate(answered)]


def test_an_outage_spans_the_first_to_the_last_lost_knock() -> None:
    found = outage(knocks([True] * 10 + [False, True, True, False] + [True] * 10), since=0.0, until=0.24)
    assert (found.lost, found.knocks) == (2, 24)
    assert found.seconds == pytest.approx(0.04)


@given(st.lists(st.booleans(), min_size=10, max_size=60))
def test_an_outage_is_nothing_exactly_when_nothing_was_lost(answered: list[bool]) -> None:
    found = outage(knocks(answered), since=0.0, until=len(answered) / 100)
    assert (found.seconds == 0.0) == all(answered)
    assert found.lost == answered.count(False)


def test_hardly_any_knocks_are_no_measurement() -> None:
    with pytest.raises(MeasurementError, match="only 10 knocks"):
        outage(knocks([True] * 10), since=0.0, until=1.0)
