"""Durability is what a role's session gets, not what the server says; replication is seen from both ends."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondsite.checks.model import State
from secondsite.checks.rules.database import effective

from .estates import changed, verdict, world

APP = {"login": True, "superuser": False}


def cluster(**different: Any) -> dict[str, Any]:
    return {
        "version": "17.6", "recovering": False, "checksums": "on", "system": "1", "written": "1000", "received": None,
        "receiver": None, "followers": [], "databases": ["shop"],
        "settings": {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on",
                     "synchronous_standby_names": "x"},
        "extensions": {"plpgsql": "1.0"}, "collations": {"shop": ["en_US.UTF-8 2.41", "2.41"]},
        "roles": {"shop": APP}, "role_settings": {}, **different,
    }  # fmt: skip


def standby(**different: Any) -> dict[str, Any]:
    receiver = {"status": "streaming", "sender": "198.18.1.20", "silence_s": 0.5}
    return cluster(**{"recovering": True, "written": None, "received": "1000", "receiver": receiver, **different})


def state(check: str, first: dict[str, Any], second: dict[str, Any], port: str = "5432") -> State:
    return verdict(check, world("postgres", {}, db_dc1={port: first}, db_dc2={port: second})).state


def test_a_healthy_pair_passes() -> None:
    for check in ("CFG-DURABILITY", "FEN-SINGLE-WRITER", "RP-WALRECEIVER", "RDY-COLLATION", "RDY-COLLATION-PARITY"):
        assert state(check, cluster(), standby()) is State.PASSED


@pytest.mark.parametrize(
    "weak",
    [
        pytest.param({"role_settings": {"shop@": ["synchronous_commit=local"]}}, id="of a role"),
        pytest.param({"role_settings": {"@shop": ["synchronous_commit=off"]}}, id="of a database"),
        pytest.param(
            {"role_settings": {"shop@shop": ["synchronous_commit=remote_write"]}}, id="of a role in a database"
        ),
        pytest.param({"role_settings": {"@": ["synchronous_commit=local"]}}, id="of everybody"),
        pytest.param({"settings": changed(cluster()["settings"], synchronous_commit="local")}, id="of the server"),
        pytest.param({"settings": changed(cluster()["settings"], fsync="off")}, id="without fsync"),
        pytest.param(
            {"settings": changed(cluster()["settings"], synchronous_standby_names="")}, id="without a standby"
        ),
        pytest.param({"checksums": "off"}, id="without checksums"),
    ],
)
def test_commits_that_could_be_lost_are_found_where_nothing_may_be_lost(weak: dict[str, Any]) -> None:
    assert state("CFG-DURABILITY", cluster(**weak), standby()) is State.FAILED
    assert state("CFG-DURABILITY", cluster(**weak), standby(), port="5433") is State.UNKNOWN  # the control arm may lose


def test_a_role_that_may_not_log_in_commits_nothing() -> None:
    weak = {"role_settings": {"shop@": ["synchronous_commit=local"]}, "roles": {"shop": {"login": False}}}

    assert state("CFG-DURABILITY", cluster(**weak), standby()) is State.PASSED


words = st.sampled_from(["on", "off", "local", "remote_apply"])


@given(st.dictionaries(st.sampled_from(["shop@shop", "shop@", "@shop", "@"]), words))
def test_the_narrowest_setting_wins(given_at: dict[str, str]) -> None:
    told = cluster(role_settings={key: [f"synchronous_commit={word}"] for key, word in given_at.items()})
    expected = next((given_at[key] for key in ("shop@shop", "shop@", "@shop", "@") if key in given_at), "on")

    assert effective("shop", "shop", told, "synchronous_commit") == expected


@pytest.mark.parametrize(
    ("different", "expected"),
    [
        pytest.param({}, State.PASSED, id="follows"),
        pytest.param({"receiver": None}, State.FAILED, id="no receiver"),
        pytest.param({"receiver": {"status": "waiting", "sender": "", "silence_s": 0}}, State.FAILED, id="waits"),
        pytest.param({"receiver": {"status": "streaming", "sender": "x", "silence_s": 11}}, State.FAILED, id="silence"),
        pytest.param({"received": str(1000 - (17 << 20))}, State.FAILED, id="far behind"),
        pytest.param({"received": None}, State.FAILED, id="not known how far"),
        pytest.param({"recovering": False, "written": "1000"}, State.FAILED, id="follows nobody"),
    ],
)
def test_a_standby_that_does_not_follow_is_found(different: dict[str, Any], expected: State) -> None:
    assert state("RP-WALRECEIVER", cluster(), standby(**different)) is expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"writes": True, "age_s": None}, {"writes": False, "age_s": 0.2}, State.PASSED),
        ({"writes": True, "age_s": None}, {"writes": False, "age_s": 7.0}, State.FAILED),
        ({"writes": True, "age_s": None}, {"writes": False, "age_s": None}, State.FAILED),
        ({"writes": False, "age_s": 0.2}, {"writes": False, "age_s": 0.2}, State.UNKNOWN),
    ],
)
def test_a_time_written_now_must_arrive(first: dict[str, Any], second: dict[str, Any], expected: State) -> None:
    told = world("heartbeat", {}, db_dc1={"5432": first}, db_dc2={"5432": second})
    assert verdict("RP-HEARTBEAT", told).state is expected


def test_two_writers_or_none_are_found() -> None:
    assert state("FEN-SINGLE-WRITER", cluster(), cluster()) is State.FAILED
    assert state("FEN-SINGLE-WRITER", standby(), standby()) is State.FAILED


def test_a_collation_that_drifted_is_found_and_one_without_a_version_can_not_drift() -> None:
    drifted = {"collations": {"shop": ["en_US.UTF-8 2.36", "2.41"]}}
    without = {"collations": {"shop": ["C -", "-"]}}

    assert state("RDY-COLLATION", cluster(), standby(**drifted)) is State.FAILED
    assert state("RDY-COLLATION", cluster(**without), standby(**without)) is State.PASSED
    other = {"collations": {"shop": ["en_US.UTF-8 2.36", "2.36"]}}
    assert state("RDY-COLLATION-PARITY", cluster(), standby(**other)) is State.FAILED


@pytest.mark.parametrize(
    "different",
    [
        pytest.param({"version": "16.1"}, id="version"),
        pytest.param({"extensions": {}}, id="extension missing"),
        pytest.param({"system": "2"}, id="another cluster altogether"),
        pytest.param({"settings": changed(cluster()["settings"], fsync="off")}, id="setting"),
        pytest.param({"roles": {"shop": APP, "backdoor": APP}}, id="one more role"),
    ],
)
def test_databases_that_differ_are_found(different: dict[str, Any]) -> None:
    assert state("CFG-DATABASE", cluster(), cluster()) is State.PASSED
    assert state("CFG-DATABASE", cluster(), cluster(**different)) is State.FAILED


LOGIN = {
    "role": "shop", "database": "shop", "host": "db-dc2", "port": 5432, "as": "shop", "synchronous_commit": "on",
    "node": "db-dc2", "recovering": True, "tls": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("different", "expected"),
    [
        pytest.param({}, State.PASSED, id="at its own site"),
        pytest.param({"node": "db-dc1"}, State.FAILED, id="at the other site"),
        pytest.param({"node": None}, State.FAILED, id="nobody knows where"),
        pytest.param({"tls": False}, State.FAILED, id="without TLS"),
        pytest.param({"as": "postgres"}, State.FAILED, id="as somebody else"),
        pytest.param({"synchronous_commit": "local"}, State.FAILED, id="not durable"),
        pytest.param({"trouble": "password authentication failed"}, State.FAILED, id="refused"),
    ],
)
def test_a_login_must_work_at_home_over_tls_and_commit_durably(different: dict[str, Any], expected: State) -> None:
    at_primary = [{**LOGIN, "host": "db-dc1", "node": "db-dc1"}]

    assert verdict("RDY-LOGIN", world("logins", at_primary, web_dc2=[{**LOGIN, **different}])).state is expected


def patroni(**different: Any) -> dict[str, Any]:
    members = [
        {"name": "db-dc1", "role": "leader", "state": "running"},
        {"name": "db-dc2", "role": "sync_standby", "state": "streaming"},
    ]
    config = {"maximum_lag_on_failover": 1048576, "check_timeline": True, "synchronous_mode": True}
    told = {"cluster": {"members": members, **different.pop("cluster", {})}, "config": config, "self": {}}
    return {"billing": {**told, **different}}


@pytest.mark.parametrize(
    "different",
    [
        pytest.param({"self": {"pause": True}}, id="paused"),
        pytest.param({"cluster": {"pause": True}}, id="paused for all"),
        pytest.param({"cluster": {"members": [{"name": "db-dc1", "role": "leader", "state": "running"}]}}, id="alone"),
        pytest.param(
            {
                "cluster": {
                    "members": [
                        {"name": "db-dc1", "role": "leader", "state": "running"},
                        {"name": "db-dc2", "role": "sync_standby", "state": "streaming", "tags": {"nofailover": True}},
                    ]
                }
            },
            id="tagged",
        ),
    ],
)
def test_whatever_holds_a_failover_back_is_found(different: dict[str, Any]) -> None:
    assert verdict("RDY-AUTOFAIL", world("patroni", patroni())).state is State.PASSED
    assert verdict("RDY-AUTOFAIL", world("patroni", patroni(), db_dc2=patroni(**different))).state is State.FAILED


@pytest.mark.parametrize(
    "config",
    [
        {"maximum_lag_on_failover": 10**12, "check_timeline": True, "synchronous_mode": True},
        {"maximum_lag_on_failover": 1, "check_timeline": False, "synchronous_mode": True},
        {"maximum_lag_on_failover": 1, "check_timeline": True, "synchronous_mode": False},
        {"maximum_lag_on_failover": 1, "check_timeline": True, "synchronous_mode": True, "failsafe_mode": True},
    ],
)
def test_agreed_settings_that_are_not_safe_are_found(config: dict[str, Any]) -> None:
    assert verdict("CFG-FAILOVER", world("patroni", patroni())).state is State.PASSED
    assert verdict("CFG-FAILOVER", world("patroni", patroni(config=config))).state is State.FAILED
