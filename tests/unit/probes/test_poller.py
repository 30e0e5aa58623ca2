"""Polling ends with one more look at every node, so that a second writer of the last instant is counted."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import pytest

from secondsite.drill.ports import Records
from secondsite.estate.model import HostName, WorkloadName
from secondsite.measure.model import Instant, Writability, WritabilitySample
from secondsite.measure.writers import most_at_once, writing_intervals
from secondsite.probes.writability import NodePoller, PolledCluster
from secondsite.run.ports import CommandResult, Hands

CLUSTER = PolledCluster(workload=WorkloadName("billing"), port=5432, database="billing")
NODES = (HostName("db-dc1"), HostName("db-dc2"))


class Kept:
    def __init__(self) -> None:
        self.lines: list[Mapping[str, object]] = []

    def append(self, kind: str, line: Mapping[str, object]) -> None:
        assert kind == "writability"
        self.lines.append(dict(line))


class Polling:
    """A host that tells every ``every_s`` that it is writable; ``mute`` ones tell nothing at all."""

    def __init__(self, host: str, on_line: Callable[[str], None], *, every_s: float) -> None:
        self._host, self._on_line, self._every_s = host, on_line, every_s
        self._stopping = threading.Event()
        threading.Thread(target=self._tell, daemon=True).start()

    def _tell(self) -> None:
        while not self._stopping.wait(self._every_s):
            line = {"t": time.monotonic(), "workload": "billing", "state": "writable", "took_s": 0.001}
            self._on_line(json.dumps(line))

    def alive(self) -> bool:
        return not self._stopping.is_set()

    def stop(self) -> None:
        self._stopping.set()


class Hosts:
    def __init__(self, every_s: Mapping[str, float]) -> None:
        self.every_s = every_s

    def run(self, _host: str, _argv: Sequence[str], **_: object) -> CommandResult:
        return CommandResult(exit_code=0, stdout="", stderr="")

    def stream(self, host: str, _argv: Sequence[str], *, stdin: str, on_line: Callable[[str], None]) -> Polling:
        assert stdin
        return Polling(host, on_line, every_s=self.every_s[host])


def poller(kept: Kept, **every_s: float) -> NodePoller:
    speeds = {str(node): every_s[node.replace("-", "_")] for node in NODES}
    return NodePoller(
        cast("Hands", Hosts(speeds)),
        dict.fromkeys(NODES, (CLUSTER,)),
        records=cast("Records", kept),
        monotonic=time.monotonic,
    )


@pytest.mark.parametrize("db_dc2", [0.02, 0.7], ids=["polled-often", "polled-seldom"])
def test_ending_waits_until_each_node_was_looked_at_once_more(db_dc2: float) -> None:
    kept = Kept()
    polling = poller(kept, db_dc1=0.02, db_dc2=db_dc2)
    polling.start()
    asked = time.monotonic()

    polling.stop()

    began = {line["node"]: float(str(line["t"])) - float(str(line.get("took_s", 0.0))) for line in kept.lines}
    assert set(began) == set(NODES)
    assert min(began.values()) >= asked
    samples = [
        WritabilitySample(
            t=Instant(float(str(line["t"]))),
            began=Instant(float(str(line["t"])) - 0.001),
            workload="billing",
            node=str(line["node"]),
            state=Writability(str(line["state"])),
        )
        for line in kept.lines
        if line["state"] == "writable"
    ]
    assert most_at_once(writing_intervals(samples)) == 2


def test_ending_does_not_wait_for_a_node_that_never_answers() -> None:
    kept = Kept()
    polling = poller(kept, db_dc1=0.02, db_dc2=60.0)
    polling.start()
    polling.stop()
    assert {line["state"] for line in kept.lines if line["node"] == "db-dc2"} == {"unreachable"}


def test_ending_what_was_never_begun_waits_for_nothing() -> None:
    begun = time.monotonic()
    poller(Kept(), db_dc1=60.0, db_dc2=60.0).stop()
    assert time.monotonic() - begun < 1
