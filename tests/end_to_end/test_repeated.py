"""Night work: the same drill twenty times over. One acknowledged write lost in any of them is one too many."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.end_to_end.conftest import Estate, was_starved

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3 * 3600)]

DRILLS = 20
AT_MOST = 2 * DRILLS
"""Drills whose machine was denied its processors may be repeated, as often as there are drills to make."""


def test_twenty_drills_pass_and_lose_no_acknowledged_write(provisioned: Estate) -> None:
    results: list[dict[str, Any]] = []
    repeated: list[dict[str, Any]] = []
    while len(results) < DRILLS and len(results) + len(repeated) < AT_MOST:
        done = provisioned.secondsite("drill", "run", "site-loss", "--keep", "--json")
        assert done.stdout, done.stderr[-3000:]
        result = json.loads(done.stdout)
        (repeated if was_starved(result) else results).append(result)

    told = [(result["drill"], result["verdict"], result["writes"], result["times"]) for result in results]
    assert {result["writes"]["lost"] for result in [*results, *repeated]} <= {0, None}, told
    assert [result["writes"]["lost"] for result in results] == [0] * DRILLS, told
    assert [result["verdict"] for result in results] == ["passed"] * DRILLS, told
