"""A lease that ended confirms a fencing only when it was read without the site, and its holder is known to give up."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from secondsite.errors import ActionError, MeasurementError, Unreachable
from secondsite.estate.load import load_estate
from secondsite.estate.model import WorkloadName
from secondsite.plan.builder import call, guard
from secondsite.plan.model import Step
from secondsite.plan.rules import reasons_not_to_proceed
from secondsite.run.ports import CommandResult
from secondsite.workloads.lease_end import LeaseEnd
from secondsite.workloads.patroni import Cluster, PatroniCluster

ESTATE = load_estate(Path(__file__).resolve().parents[3] / "inventories" / "small")
BILLING = {"site": "dc1", "workload": "billing"}
VOTERS = ("db-dc1", "db-dc2", "vault")


@dataclass(kw_only=True)
class Quorum:
    """Three voters of etcd, as the runner reaches them. A lease that nobody renews is simply not there."""

    holder: str = ""
    leads: str = "vault"
    silent: set[str] = field(default_factory=set)
    follows: dict[str, str] = field(default_factory=dict)
    holders: dict[str, str] = field(default_factory=dict)

    def run(self, host: str, argv: Sequence[str], **_: object) -> CommandResult:
        if host in self.silent:
            raise Unreachable(f"{host} does not answer")
        words = list(argv)
        said = self._status(host) if "status" in words else self._keys(self.holders.get(host, self.holder))
        return CommandResult(exit_code=0, stdout=json.dumps(said), stderr="")

    def _status(self, host: str) -> Any:
        leader = VOTERS.index(self.follows.get(host, self.leads)) + 1
        return [{"Endpoint": host, "Status": {"header": {"member_id": VOTERS.index(host) + 1}, "leader": leader}}]

    @staticmethod
    def _keys(holder: str) -> Any:
        pair = {"key": "/service/billing/leader", "value": holder}
        coded = {name: base64.b64encode(text.encode()).decode() for name, text in pair.items()}
        return {"kvs": [coded] if holder else []}


def lease_end(quorum: Quorum, *, rehearsed: bool = True) -> LeaseEnd:
    clock = iter(range(0, 100_000, 100))
    cluster = Cluster(
        scope="billing", port=5432, database="shop", table="t", members=("db-dc1", "db-dc2"),
        lease_hosts=("vault", "db-dc1", "db-dc2"), synchronous=True,
    )  # fmt: skip
    adapter = PatroniCluster(cluster, hands=quorum, monotonic=lambda: next(clock), sleep=lambda _: None)  # type: ignore[arg-type]  # run is all it uses
    return LeaseEnd(
        ESTATE, adapters={WorkloadName("billing"): adapter}, hands=quorum, rehearsed=lambda *_: rehearsed  # type: ignore[arg-type]  # run is all it uses
    )  # fmt: skip


def reasons(end: LeaseEnd) -> list[str]:
    wanted = guard("fencing-confirmed", on=("read",), carriers=[], addresses=[], leases=["billing"])
    step = Step(name="promote", title="", call=call("promote"), hosts=(), guards=(wanted,))
    return list(reasons_not_to_proceed(step, {"read": end.read_back(BILLING)}))


@pytest.mark.parametrize("holder", ["", "db-dc2"])
def test_a_lease_that_is_gone_confirms_when_all_of_the_rule_was_observed(holder: str) -> None:
    end = lease_end(Quorum(holder=holder, silent={"db-dc1"}))
    assert reasons(end) == []
    assert end.is_closed(BILLING)


@pytest.mark.parametrize(
    ("quorum", "rehearsed", "fencing"),
    [
        pytest.param(Quorum(holder="db-dc1"), True, "failed", id="still held"),
        pytest.param(Quorum(), False, "unknown", id="nobody knows whether its holder gives up"),
        pytest.param(Quorum(silent={"db-dc1", "db-dc2"}), True, "unknown", id="one voter left"),
        pytest.param(Quorum(leads="db-dc1"), True, "unknown", id="led from the fenced site"),
        pytest.param(Quorum(follows={"db-dc2": "db-dc2"}), True, "unknown", id="two leaders"),
        pytest.param(Quorum(holders={"vault": "db-dc1"}), True, "unknown", id="the voters do not agree"),
    ],
)
def test_anything_less_confirms_nothing(quorum: Quorum, rehearsed: bool, fencing: str) -> None:  # noqa: FBT001  a case's
    assert reasons(lease_end(quorum, rehearsed=rehearsed))[0] == f"fencing of the old primary is {fencing}"


def test_a_lease_that_could_not_be_read_is_no_lease_that_ended() -> None:
    with pytest.raises(MeasurementError):
        lease_end(Quorum(silent={"vault"})).is_closed(BILLING)


def test_nobody_can_make_a_lease_end() -> None:
    end = lease_end(Quorum())
    for verb in (end.close, end.open):
        with pytest.raises(ActionError):
            verb(BILLING)
