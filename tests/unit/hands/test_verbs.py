# ruff: noqa: ARG002  the port names its arguments
"""What runbooks run through sudo is what role `access` lets them run, and nothing that is like it."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from secondsite.errors import SecondsiteError
from secondsite.hands.isolation import CarrierFilter
from secondsite.probes.ship import APPROVED, scripts, ship
from secondsite.run.ports import CommandResult, Stream
from secondsite.workloads.patroni import Cluster, PatroniCluster

ROLE = Path(__file__).parents[3] / "roles" / "access"
VERBS = YAML(typ="safe").load(ROLE / "defaults" / "main.yml")["access_verbs"]
PLACES = {
    "nft": "/usr/sbin/nft",
    "tee": "/usr/bin/tee",
    "psql": "/usr/bin/psql",
    "patronictl": "/usr/bin/patronictl",
    "knotc": "/usr/sbin/knotc",
}
FENCED = {
    "nftables": [
        {"set": {"name": "fenced", "elem": [{"prefix": {"addr": "198.18.1.0", "len": 24}}]}},
        {"chain": {"name": "prerouting", "hook": "prerouting", "prio": -310}},
    ]
}


class Answering:
    """Hands that note what they were asked to run, and answer with what a host would say."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def open(self, hosts: Sequence[str]) -> dict[str, str]:
        return {}

    def run(
        self,
        host: str,
        argv: Sequence[str],
        *,
        timeout: timedelta,
        stdin: str = "",
        accept: Sequence[int] = (0,),
        limit: int = 0,
    ) -> CommandResult:
        self.asked.append(list(argv))
        said = {"list": json.dumps(FENCED), "get": '{"kvs": []}', "txn": "SUCCESS"}
        answer = next((text for word, text in said.items() if word in argv), "Successfully switched over")
        return CommandResult(exit_code=0, stdout=answer, stderr="")

    def arm(self, host: str, argv: Sequence[str]) -> None:
        self.asked.append(list(argv))

    def stream(self, host: str, argv: Sequence[str], *, stdin: str, on_line: Callable[[str], None]) -> Stream:
        raise NotImplementedError


def may_run(argv: Sequence[str]) -> bool:
    """Say what sudo says, by the rules that sudoers(5) has for commands and their arguments."""
    words = [word for word in argv if word != "-n"]
    assert words.pop(0) == "sudo"
    user = "root"
    if words[0] == "-u":
        user = words[1]
        words = words[2:]
    words = words[1:] if words[0] == "--" else words
    command, arguments = PLACES.get(words[0], words[0]), " ".join(words[1:])
    rules = [verb for verbs in VERBS.values() for verb in verbs]
    rules += [
        {"command": f"/usr/bin/python3 ^-I -u {re.escape(f'{APPROVED}/{name}')}( [a-z]+)?$", "user": user}
        for name in scripts()
    ]
    for rule in rules:
        allowed, _, pattern = rule["command"].partition(" ")
        if allowed == command and rule.get("user", "root") == user:
            pattern = pattern.replace("\\=", "=").replace('""', "")  # two quotes: no arguments at all
            if re.search(pattern, arguments) if pattern.startswith("^") else pattern == arguments:
                return True
    return False


def cluster(hands: Answering) -> PatroniCluster:
    about = Cluster(
        scope="billing",
        port=5432,
        database="shop",
        table="secondsite.orders",
        members=("db-dc1", "db-dc2"),
        lease_hosts=("vault", "db-dc2"),
        synchronous=True,
    )
    return PatroniCluster(about, hands=hands, monotonic=lambda: 0.0, sleep=lambda _: None)


NETWORKS = (IPv4Network("198.18.1.0/24"), IPv4Network("198.18.11.0/29"))


@pytest.mark.parametrize(
    "deed",
    [
        pytest.param(lambda hands: CarrierFilter(hands).isolate("carrier-a", NETWORKS), id="isolate"),
        pytest.param(lambda hands: CarrierFilter(hands).get_ready("carrier-a"), id="get ready to isolate"),
        pytest.param(
            lambda hands: cluster(hands).get_ready_to_promote(old="db-dc1", new="db-dc2"), id="get ready to promote"
        ),
        pytest.param(lambda hands: CarrierFilter(hands).fenced("carrier-a"), id="read an isolation"),
        pytest.param(lambda hands: CarrierFilter(hands).keep("carrier-a"), id="keep an isolation"),
        pytest.param(lambda hands: CarrierFilter(hands).lift("carrier-a", NETWORKS), id="lift an isolation"),
        pytest.param(lambda hands: cluster(hands).lease(), id="read a lease"),
        pytest.param(lambda hands: cluster(hands).promote(old="db-dc1", new="db-dc2"), id="promote"),
        pytest.param(lambda hands: cluster(hands).demote("db-dc1", successor="db-dc2"), id="switch over"),
        pytest.param(lambda hands: cluster(hands).writers(), id="ask who writes"),
        pytest.param(
            lambda hands: hands.run("x", ship(hands, "x", "reach", "watch"), timeout=timedelta(1)), id="watch"
        ),
        pytest.param(
            lambda hands: hands.run("x", ship(hands, "x", "writability", user="postgres"), timeout=timedelta(1)),
            id="write as postgres",
        ),
    ],
)
def test_a_runbooks_deed_is_one_that_runner_may_do(deed: Callable[[Answering], object]) -> None:
    hands = Answering()
    with contextlib.suppress(SecondsiteError):  # what the host says is not the point; what it was asked is
        deed(hands)
    through_sudo = [argv for argv in hands.asked if argv[0] == "sudo"]
    assert through_sudo
    assert [argv for argv in through_sudo if not may_run(argv)] == []


@pytest.mark.parametrize(
    "argv",
    [
        ["sudo", "-n", "/bin/sh"],
        ["sudo", "-n", "nft", "flush", "ruleset"],
        ["sudo", "-n", "nft", "-f", "-"],
        ["sudo", "-n", "/usr/local/sbin/secondsite-isolate", "add"],
        [
            "sudo",
            "-n",
            "nft",
            "add",
            "element",
            "inet",
            "secondsite_isolation",
            "fenced",
            "{",
            "1.1.1.1",
            "}",
            ";",
            "x",
        ],
        ["sudo", "-n", "tee", "--", "/etc/passwd"],
        ["sudo", "-n", "tee", "--", "/var/lib/secondsite/fenced.nft", "/etc/passwd"],
        ["sudo", "-n", "/usr/bin/python3", "-c", "print()"],
        ["sudo", "-n", "/usr/bin/python3", "-I", "-u", f"{APPROVED}/../../../tmp/own.py"],
        ["sudo", "-n", "psql", "-c", "SELECT 1"],
        ["sudo", "-n", "/usr/local/sbin/secondsite-etcdctl", "--command-timeout=3s", "del", "--prefix", "/service/"],
    ],
)
def test_what_is_like_it_is_refused(argv: list[str]) -> None:
    assert not may_run(argv)
