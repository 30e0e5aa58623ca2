"""Clocks and names: what makes their checks red, and what leaves them unknown."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

import pytest

from secondsite.checks.model import Section, State, World
from secondsite.checks.rules import clock, names
from secondsite.checks.rules.frame import judged
from secondsite.estate.load import load_estate
from secondsite.estate.model import HostName

ESTATE = load_estate(Path(__file__).parents[3] / "inventories" / "small")
NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
SERVICE = ESTATE.services[0].dns_name


def source(**changed: object) -> dict[str, object]:
    return {
        "address": "192.0.2.1",
        "state": "*",
        "answers": 8,
        "age_s": 3,
        "offset_s": 0.0,
        "error_s": 0.001,
        **changed,
    }


def clocks(**changed: object) -> World:
    """Every host is right, but for the second database host."""
    right = {
        "followed": "192.0.2.1",
        "leads": False,
        "leap": "Normal",
        "sources": [source(), source(address="192.0.2.2")],
    }
    told = {host: {"clock": Section(value=right)} for host in ESTATE.hosts}
    told[HostName("db-dc2")] = {"clock": Section(value={**right, **changed})}
    return World(estate=ESTATE, now=NOW, hosts=told)


def answer(server: str, **changed: object) -> dict[str, object]:
    told = {"server": server, "name": SERVICE, "authoritative": True, "addresses": ["192.0.2.9"], "ttl": 1, "serial": 7}
    return {**told, **changed}


def named(answers: Mapping[str, list[dict[str, object]]]) -> World:
    told = {host: {"names": Section(value=answers.get(str(host), []))} for host in ESTATE.hosts}
    return World(estate=ESTATE, now=NOW, hosts=told)


@pytest.mark.parametrize(
    ("changed", "state", "saw"),
    [
        pytest.param({}, State.PASSED, "", id="right"),
        pytest.param(
            {"sources": [source(offset_s=600.0)]}, State.FAILED, "db-dc2 is +600.0000 s off", id="ten minutes ahead"
        ),
        pytest.param({"sources": [source(offset_s=-0.06)]}, State.FAILED, "-0.0600 s off", id="a little behind"),
        pytest.param(
            {"sources": [source(), source(answers=0)]}, State.FAILED, "hears nothing", id="one source is silent"
        ),
        pytest.param({"leap": "Not synchronised"}, State.FAILED, "follows no time source", id="follows nobody"),
        pytest.param({"sources": [source(age_s=900)]}, State.UNKNOWN, "900 s ago", id="measured long ago"),
        pytest.param({"leads": True, "sources": [source(age_s=900)]}, State.PASSED, "", id="leads the others"),
        pytest.param({"sources": []}, State.UNKNOWN, "asks nobody", id="asks nobody"),
        pytest.param({"sources": [source(error_s=3.0)]}, State.UNKNOWN, "measured to", id="hardly measured"),
        pytest.param({"sources": [{"address": "x"}]}, State.UNKNOWN, "", id="told nonsense"),
    ],
)
def test_a_clock_is_right_only_when_every_source_says_so(changed: dict[str, object], state: State, saw: str) -> None:
    result = judged(clock.skew, clocks(**changed))
    assert result.state is state
    assert saw in result.saw


TWO = {"vault": [answer("198.18.3.30")], "web-dc1": [answer("198.18.1.10")]}


@pytest.mark.parametrize(
    ("answers", "state", "saw"),
    [
        pytest.param(TWO, State.PASSED, "serial 7 at 2 servers of 2 sites", id="alike"),
        pytest.param({**TWO, "web-dc2": [answer("x", serial=6)]}, State.FAILED, "x has 6", id="one is behind"),
        pytest.param(
            {**TWO, "web-dc2": [answer("x", addresses=["192.0.2.8"])]}, State.FAILED, "192.0.2.8", id="two answers"
        ),
        pytest.param({**TWO, "web-dc2": [answer("x", trouble="no answer")]}, State.FAILED, "says nothing", id="silent"),
        pytest.param({"vault": [answer("x")]}, State.FAILED, "served at 1 site", id="only the vault"),
        pytest.param({}, State.FAILED, "served at 0 site", id="nobody"),
    ],
)
def test_all_name_servers_must_tell_one_story(
    answers: dict[str, list[dict[str, object]]], state: State, saw: str
) -> None:
    result = judged(names.serials, named(answers))
    assert result.state is state
    assert saw in result.saw


@pytest.mark.parametrize(
    ("ttl", "state"),
    [
        pytest.param(1, State.PASSED, id="as declared"),
        pytest.param(86400, State.FAILED, id="a day"),
        pytest.param(None, State.UNKNOWN, id="no record"),
    ],
)
def test_an_address_may_be_kept_no_longer_than_declared(ttl: int | None, state: State) -> None:
    answers = {"customers": [answer("127.0.0.1", authoritative=False, ttl=ttl)]}
    assert judged(names.time_to_live, named(answers)).state is state
