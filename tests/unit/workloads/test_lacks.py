"""What is known of the writes that a copy lacks: told to persons, and never in the way of the reading it comes with."""

from __future__ import annotations

import base64
import json
from typing import Any, cast

import pytest

from secondsite.errors import MeasurementError
from secondsite.run.ports import CommandResult, Hands
from secondsite.workloads.patroni import Cluster, PatroniCluster

CLUSTER = Cluster(
    scope="billing", port=5432, database="shop", table="secondsite.marker", members=("db-dc1", "db-dc2"),
    lease_hosts=("db-dc1", "db-dc2", "vault"), synchronous=True,
)  # fmt: skip


def listing(status: str) -> str:
    key, value = (base64.b64encode(text.encode()).decode() for text in ("/service/billing/status", status))
    return json.dumps({"kvs": [{"key": key, "value": value}]})


def lacks(told: str, held: str = "1000|2026-11-30 07:31:40.1|24000|40") -> str:
    class Said:
        def run(self, _host: str, argv: list[str], **_: Any) -> CommandResult:
            stdout = held if "psql" in argv else told
            return CommandResult(exit_code=0, stdout=stdout, stderr="", truncated=False)

    adapter = PatroniCluster(CLUSTER, hands=cast("Hands", Said()), monotonic=lambda: 0.0, sleep=lambda _: None)
    return adapter.lacks("db-dc2", avoiding="db-dc1")


def test_the_difference_to_what_the_leader_last_told_is_named_with_the_newest_write() -> None:
    told = lacks(listing('{"optime": 6344}'))
    assert told.startswith("db-dc2 lacks at least 5344 bytes of db-dc1's log")
    assert "(about 9 writes, if each took 600 bytes as the newest 40 did)" in told
    assert told.endswith("after 2026-11-30 07:31:40.1 UTC")


@pytest.mark.parametrize("lately", ["24000|19", "0|40", "|", "-5|40", "24000|-40"])
def test_too_few_writes_lately_say_nothing_of_how_many_are_lacking(lately: str) -> None:
    told = lacks(listing('{"optime": 6344}'), held=f"1000|2026-11-30 07:31:40.1|{lately}")
    assert "how many writes that is can't be told" in told


@pytest.mark.parametrize(
    "told", ["", "no JSON", '{"kvs": [{}]}', '{"kvs": [{"key": "%"}]}', listing("{}"), listing("x")]
)
def test_an_answer_that_makes_no_sense_is_not_known_and_no_defect(told: str) -> None:
    with pytest.raises(MeasurementError, match="how much db-dc2 lacks is not known"):
        lacks(told)


def test_a_copy_that_tells_no_position_is_not_known() -> None:
    with pytest.raises(MeasurementError):
        lacks(listing('{"optime": 6344}'), held="")
