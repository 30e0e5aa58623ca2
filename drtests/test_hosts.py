"""Every host is up, and each runs what its group must run."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from testinfra.host import Host

Saw = Callable[[object], None]
Facts = dict[str, Any]


def _all_active(host: Host, saw: Saw, *units: str) -> None:
    listed = {unit: host.run("systemctl is-active -- %s", unit).stdout.strip() for unit in units}
    saw(listed)
    assert listed == dict.fromkeys(units, "active")


def test_no_unit_failed(host: Host, saw: Saw) -> None:
    failed = host.check_output("systemctl list-units --failed --no-legend --plain")
    saw(failed or "none failed")
    assert failed == ""


@pytest.mark.on("web", "database", "vault", "customers", "console")
def test_the_firewall_drops_by_default(host: Host, saw: Saw) -> None:
    rules = host.check_output("nft list ruleset")
    saw([line.strip() for line in rules.splitlines() if "policy" in line])
    assert "hook input" in rules
    assert any("hook input" in line and "policy drop" in line for line in rules.splitlines())


@pytest.mark.on("web")
def test_the_shop_runs(host: Host, saw: Saw) -> None:
    _all_active(host, saw, "nginx", "shop")


@pytest.mark.on("database")
def test_patroni_runs(host: Host, saw: Saw) -> None:
    _all_active(host, saw, "patroni@billing", "patroni@control")


@pytest.mark.on("etcd")
def test_etcd_has_a_quorum_seen_from_here(host: Host, facts: Facts, saw: Saw) -> None:
    answer = host.run("/usr/local/sbin/secondsite-etcdctl endpoint health --cluster")
    words = answer.stdout + answer.stderr
    saw(words.strip())
    assert answer.rc == 0
    assert words.count("is healthy") == sum("etcd" in one["groups"] for one in facts["hosts"].values())


@pytest.mark.on("carrier")
def test_no_site_is_isolated_that_is_there(host: Host, facts: Facts, saw: Saw) -> None:
    fenced = host.check_output("nft list set inet secondsite_isolation fenced")
    elements = re.findall(r"[0-9.]+/[0-9]+", fenced)
    saw(elements or "empty")
    assert sorted(elements) == sorted(facts["isolated"])
