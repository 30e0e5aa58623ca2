"""A held back copy is let go by its kernel when the drill that held it back was killed."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from typing import cast

import pytest

from secondsite.run.ports import CommandResult, Hands
from secondsite.workloads.hold import ReplicationHold

pytestmark = pytest.mark.lab


class InNamespace:
    """Hands that reach one host, which is a network namespace of this machine."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(
        self, host: str, argv: Sequence[str], *, timeout: dt.timedelta, stdin: str = "", accept: Sequence[int] = (0,)
    ) -> CommandResult:
        assert host == "copy"
        words = ["ip", "netns", "exec", self.name, *argv[2:]]
        done = subprocess.run(
            words, input=stdin, capture_output=True, text=True, timeout=timeout.total_seconds(), check=False
        )
        assert done.returncode in accept, done.stderr
        return CommandResult(exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr)


@pytest.fixture
def namespace() -> Iterator[InNamespace]:
    name = f"hold{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        yield InNamespace(name)
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def test_a_hold_is_in_force_until_it_is_let_go_and_ends_by_itself_within_a_quarter_of_an_hour(
    namespace: InNamespace,
) -> None:
    replication = ReplicationHold(cast("Hands", namespace))
    replication.hold("copy", port=5433)
    replication.hold("copy", port=5433)
    assert replication.is_held("copy")
    listing = namespace.run("copy", ["sudo", "-n", "nft", "-j", "list", "ruleset"], timeout=dt.timedelta(seconds=5))
    items = json.loads(listing.stdout)["nftables"]
    (element,) = next(item["set"]["elem"] for item in items if "set" in item)
    assert element["elem"]["val"] == 5433
    assert 0 < element["elem"]["expires"] <= 15 * 60

    replication.let_go("copy")
    assert not replication.is_held("copy")
