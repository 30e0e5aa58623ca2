"""How long silence is listened for, and what counts as having been tried."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from secondsite.probes.remote.reach import Patience, Target, silence

PATIENCE = Patience(least_s=0.12, most_s=0.5, factor=8.0)
SECONDS = st.floats(0.0, 1.0)


@given(SECONDS)
def test_without_an_answer_of_a_reference_the_whole_time_is_listened(elapsed: float) -> None:
    assert PATIENCE.is_over(elapsed, []) == (elapsed >= PATIENCE.most_s)


@given(SECONDS, st.lists(SECONDS, min_size=1))
def test_it_is_never_cut_short_of_the_least_nor_of_what_the_slowest_reference_calls_for(
    elapsed: float, answers: list[float]
) -> None:
    if PATIENCE.is_over(elapsed, answers) and elapsed < PATIENCE.most_s:
        assert elapsed >= PATIENCE.least_s
        assert all(elapsed >= PATIENCE.factor * answer for answer in answers)


@given(st.lists(SECONDS))
def test_it_ends(answers: list[float]) -> None:
    assert PATIENCE.is_over(PATIENCE.most_s, answers)


def test_a_try_that_never_left_this_host_is_no_flow_of_silence() -> None:
    never_sent = Target(address="255.255.255.255", port=443, site="dc1", every_s=1.0)

    told = silence([never_sent], flows=4, references=[], patience=PATIENCE)

    assert told["255.255.255.255"] == {"flows": 0, "answers": 0, "heard": [], "listened_s": 0.0}
