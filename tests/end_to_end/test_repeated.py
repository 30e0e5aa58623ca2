"""Night work: the same drill twenty times over. One acknowledged write lost in any of them is one too many."""

from __future__ import annotations

import json

import pytest
from tests.end_to_end.conftest import Estate

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3 * 3600)]

DRILLS = 20


def test_twenty_drills_pass_and_lose_no_acknowledged_write(provisioned: Estate) -> None:
    results = []
    for _ in range(DRILLS):
        done = provisioned.secondsite("drill", "run", "site-loss", "--keep", "--json")
        assert done.stdout, done.stderr[-3000:]
        results.append(json.loads(done.stdout))

    told = [(result["drill"], result["verdict"], result["writes"], result["times"]) for result in results]
    assert [result["writes"]["lost"] for result in results] == [0] * DRILLS, told
    assert [result["verdict"] for result in results] == ["passed"] * DRILLS, told
