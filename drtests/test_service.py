"""The service is where it should be, seen from the customers' side."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from testinfra.host import Host

Saw = Callable[[object], None]
Facts = dict[str, Any]


@pytest.mark.on("customers")
def test_customers_resolve_every_name_to_its_home(host: Host, facts: Facts, saw: Saw) -> None:
    found = {}
    for name in facts["names"]:
        answer = host.check_output("getent ahostsv4 %s", name)
        found[name] = sorted({line.split()[0] for line in answer.splitlines()})
    saw(found)
    assert found == {name: [address] for name, address in facts["names"].items()}


@pytest.mark.on("customers")
def test_every_name_server_has_the_same_serial(host: Host, facts: Facts, saw: Saw) -> None:
    service = facts["service"]
    serials = {
        address: host.check_output("kdig +short +timeout=5 +retry=0 @%s %s SOA", address, service["zone"])
        for address in service["name_servers"]
    }
    saw(serials)
    assert all(serials.values())
    assert len(set(serials.values())) == 1


@pytest.mark.on("customers")
def test_plain_http_is_refused_or_silent_at_both_sites(host: Host, facts: Facts, saw: Saw) -> None:
    codes = {
        address: host.run("curl -s -o /dev/null -m 1 http://%s/", address).rc
        for address in facts["service"]["addresses"]
    }
    saw(codes)
    assert all(code in (7, 28) for code in codes.values())


@pytest.mark.on("customers")
def test_both_sites_prove_their_name_with_tls_that_lasts_30_days(host: Host, facts: Facts, saw: Saw) -> None:
    name = facts["service"]["dns_name"]
    seen = {}
    for address in facts["service"]["addresses"]:
        shown = host.check_output(
            "timeout 10 openssl s_client -connect %s:443 -servername %s -verify_hostname %s -verify_return_error"
            " -CApath /etc/ssl/certs </dev/null 2>/dev/null | openssl x509 -noout -checkend 2592000",
            address,
            name,
            name,
        )
        seen[address] = shown
    saw(seen)
    assert all("will not expire" in shown for shown in seen.values())


@pytest.mark.on("store")
def test_what_is_stored_is_written_at_home_and_copied_to_the_other_site(host: Host, facts: Facts, saw: Saw) -> None:
    known = json.loads(host.check_output("storectl status"))
    seen = {}
    for workload in facts["stored"]:
        found = known["workloads"][workload["name"]]
        at_home = known["host"] == workload["home_host"]
        seen[workload["name"]] = (found["role"], found["lag_s"], found["in_sync"], found["trouble"])
        saw(seen)
        assert found["role"] == ("primary" if at_home else "standby")
        assert found["writable"] is at_home
        assert found["trouble"] == ""
        if not at_home:
            assert found["through_epoch"] == found["epoch"]
            assert found["lag_s"] <= max(workload["rpo_s"], 5)
        if workload["in_sync"]:
            assert found["in_sync"]


@pytest.mark.on("database")
def test_each_cluster_has_one_leader_at_home_and_a_standby_that_follows(host: Host, facts: Facts, saw: Saw) -> None:
    seen = {}
    for workload in facts["workloads"]:
        members = json.loads(host.check_output("patronictl -c /etc/patroni/%s.yml list -f json", workload["scope"]))
        seen[workload["scope"]] = {member["Member"]: (member["Role"], member["State"]) for member in members}
        leaders = [member["Member"] for member in members if member["Role"] == "Leader"]
        standbys = [member for member in members if member["Role"] != "Leader"]
        if workload is facts["workloads"][-1]:
            saw(seen)
        assert leaders == [workload["home_host"]]
        assert [member["State"] for member in standbys] == ["streaming"] * workload["standbys"]
        if workload["synchronous"]:
            assert [member["Role"] for member in standbys] == ["Sync Standby"]
