"""FW-FLOWS is green only when every declared flow came through, and the target itself saw that nothing else did."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from secondsite.checks.model import Result, Section, State, World
from secondsite.checks.rules.flows import FLOWS, flows_are_as_declared
from secondsite.checks.rules.frame import judged
from secondsite.estate.firewall.model import Answer, Matrix, Packet, Trial, Tried
from secondsite.estate.load import load_estate
from secondsite.estate.model import HostName, Protocol

ESTATE = load_estate(Path(__file__).resolve().parents[3] / "inventories" / "small")
NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
WEB, DATABASE = HostName("web-dc2"), HostName("db-dc2")


def a_try(*, flow: str | None, protocol: Protocol = Protocol.TCP, answer: Answer = Answer.SILENT) -> Tried:
    packet = Packet(source=IPv4Address("198.18.2.10"), target=IPv4Address("198.18.2.20"), protocol=protocol, port=5432)
    trial = Trial(source=WEB, target=DATABASE, packet=packet, flow=flow)
    return Tried(trial=trial, answer=answer, arrived=True, entered=flow is not None)


WORKS = a_try(flow="the shop", answer=Answer.OPEN)
MEETS_SILENCE = a_try(flow=None)


def result_of(*tried: Tried, blind: dict[HostName, str] | None = None) -> Result:
    matrix = Section(value=Matrix(tried=tried, blind=blind or {}))
    return judged(flows_are_as_declared, World(estate=ESTATE, now=NOW, hosts={}, outside={FLOWS: matrix}))


def test_flows_that_work_and_others_that_meet_silence_are_as_declared() -> None:
    result = result_of(WORKS, MEETS_SILENCE)

    assert result.state is State.PASSED
    assert result.saw.startswith("1 tries of declared flows work, and 1 others meet silence")


def test_declared_flows_that_nothing_tried_are_named() -> None:
    assert ESTATE.firewall is not None
    tried, untried, *_ = [flow.name for flow in ESTATE.firewall.flows]

    saw = result_of(a_try(flow=tried, answer=Answer.OPEN)).saw

    assert f"not tried, for no two hosts speak so: {untried}" in saw
    assert tried not in saw


def test_a_refusal_shows_that_the_firewall_let_the_packet_in() -> None:
    assert result_of(dataclasses.replace(WORKS, answer=Answer.REFUSED)).state is State.PASSED
    assert result_of(WORKS, dataclasses.replace(MEETS_SILENCE, answer=Answer.REFUSED)).state is State.FAILED


def test_a_datagram_needs_no_answer_when_its_target_saw_it_behind_its_rules() -> None:
    datagram = a_try(flow="names", protocol=Protocol.UDP)

    assert result_of(datagram).state is State.PASSED
    assert result_of(dataclasses.replace(datagram, entered=False)).state is State.FAILED


@pytest.mark.parametrize(
    ("arrived", "words"),
    [
        (True, "db-dc2: does not work: the shop: web-dc2 to db-dc2 tcp 5432 (db-dc2 drops it)"),
        (False, "db-dc2: does not work: the shop: web-dc2 to db-dc2 tcp 5432 (it does not arrive)"),
    ],
)
def test_a_declared_flow_that_meets_silence_is_named_with_the_place_where_it_ends(*, arrived: bool, words: str) -> None:
    result = result_of(dataclasses.replace(WORKS, answer=Answer.SILENT, arrived=arrived, entered=False))

    assert (result.state, result.saw, result.hosts) == (State.FAILED, words, (DATABASE,))


Leak = Callable[[Tried], Tried]


@pytest.mark.parametrize(
    ("leak", "words"),
    [
        (lambda one: dataclasses.replace(one, answer=Answer.OPEN), "db-dc2 lets in what nothing declares"),
        (lambda one: dataclasses.replace(one, entered=True), "db-dc2 lets in what nothing declares"),
        (lambda one: dataclasses.replace(one, crossed=frozenset({"e1"})), "e1 lets across what nothing declares"),
    ],
)
def test_a_packet_that_nothing_declares_may_come_through_nowhere(leak: Leak, words: str) -> None:
    result = result_of(WORKS, leak(MEETS_SILENCE))

    assert result.state is State.FAILED
    assert result.saw == f"{words}: web-dc2 to db-dc2 tcp 5432"


def test_each_edge_must_let_across_what_is_handed_to_it_and_nothing_else() -> None:
    edge = HostName("e2")
    handed = dataclasses.replace(WORKS, answer=Answer.SENT, entered=False)
    handed = dataclasses.replace(handed, trial=dataclasses.replace(handed.trial, via=edge))
    other = dataclasses.replace(MEETS_SILENCE, answer=Answer.SENT, trial=dataclasses.replace(handed.trial, flow=None))

    assert result_of(dataclasses.replace(handed, crossed=frozenset({edge})), other).state is State.PASSED
    dropped = result_of(handed, other)
    assert dropped.state is State.FAILED
    assert dropped.saw.endswith("web-dc2 to db-dc2 tcp 5432 from 198.18.2.10 through e2 (e2 drops it)")
    leaked = result_of(dataclasses.replace(other, crossed=frozenset({edge})))
    assert (leaked.state, leaked.hosts) == (State.FAILED, (edge,))


def test_silence_at_the_source_alone_proves_nothing() -> None:
    assert result_of(WORKS, dataclasses.replace(MEETS_SILENCE, entered=None)).state is State.UNKNOWN


def test_what_a_source_could_not_tell_is_unknown() -> None:
    for one in (WORKS, MEETS_SILENCE):
        untold = dataclasses.replace(one, answer=Answer.UNTOLD, by="it does not answer")
        result = result_of(WORKS, MEETS_SILENCE, untold)

        assert result.state is State.UNKNOWN
        assert "it does not answer" in result.saw


def test_a_host_that_could_not_say_what_it_saw_makes_it_unknown() -> None:
    result = result_of(WORKS, MEETS_SILENCE, blind={WEB: "web-dc2: no session"})

    assert (result.state, result.hosts) == (State.UNKNOWN, (WEB,))


def test_a_leak_is_failed_also_when_others_could_not_tell() -> None:
    leak = dataclasses.replace(MEETS_SILENCE, entered=True)

    assert result_of(leak, blind={WEB: "gone"}).state is State.FAILED


def test_without_tries_it_is_unknown() -> None:
    assert result_of().state is State.UNKNOWN
    world = World(estate=ESTATE, now=NOW, hosts={})
    assert judged(flows_are_as_declared, world).state is State.UNKNOWN
