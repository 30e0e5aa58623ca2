"""What a customer sends is due by the clock, and what came of it is never guessed in the shop's favour."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondsite.probes.remote.customer import Arm, due, outcome_of

ARMS = [Arm(arm="main", kind="write", rate=20), Arm(arm="control", kind="write", rate=10)]


def test_each_arm_keeps_its_rate() -> None:
    first_ten_seconds = [arm.arm for instant, arm in islice(due(ARMS, 0.0), 400) if instant < 10]
    assert first_ten_seconds.count("main") == 200
    assert first_ten_seconds.count("control") == 100


@given(st.lists(st.floats(0.5, 200), min_size=1, max_size=4), st.floats(0, 1e6))
def test_instants_are_in_order_and_never_drift(rates: list[float], start: float) -> None:
    arms = [Arm(arm=str(number), kind="write", rate=rate) for number, rate in enumerate(rates)]
    instants = list(islice(due(arms, start), 500))
    assert [instant for instant, _ in instants] == sorted(instant for instant, _ in instants)
    for arm in arms:
        own = [instant for instant, owner in instants if owner is arm]
        if len(own) > 1:
            assert own[-1] - own[0] == pytest.approx((len(own) - 1) / arm.rate, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("status", "write", "read"),
    [
        pytest.param(200, "ok", "ok", id="there already"),
        pytest.param(201, "ok", "ok", id="created"),
        pytest.param(202, "unknown", "failed", id="accepted only"),
        pytest.param(500, "unknown", "failed", id="broke"),
        pytest.param(502, "unknown", "failed", id="lost on the way back"),
        pytest.param(504, "unknown", "failed", id="late"),
        pytest.param(503, "failed", "failed", id="closed"),
        pytest.param(401, "failed", "failed", id="signed out"),
        pytest.param(404, "failed", "failed", id="an acknowledged order is missing"),
    ],
)
def test_a_write_is_failed_only_if_it_surely_was_not_applied(status: int, write: str, read: str) -> None:
    assert outcome_of("write", status) == write
    assert outcome_of("read", status) == read
