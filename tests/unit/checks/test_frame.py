"""Unknown is never passed, whatever hosts tell; declared differences count until their last day."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secondsite.checks.model import Check, Section, State, World
from secondsite.checks.rules import CHECKS
from secondsite.checks.rules.differences import with_unused
from secondsite.checks.rules.frame import bad, concerned, good, host_check, judged
from secondsite.estate.model import Difference, HostName
from secondsite.probes.collecting import known_sections
from secondsite.probes.remote.collectors.main import _WAITING
from secondsite.probes.remote.collectors.network import BEFORE_TRIES

from .estates import ESTATE, FIRST, NOW, SECOND, declaring, verdict, world

READING = [check for check in CHECKS if check.reads or check.outside]

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def everywhere(check: Check, section: Section) -> World:
    told = {name: section for name in check.reads if not name.startswith("@")}
    outside = dict.fromkeys(check.outside, section)
    return World(estate=ESTATE, now=NOW, hosts=dict.fromkeys(ESTATE.hosts, told), outside=outside)


@pytest.mark.parametrize("check", READING, ids=lambda check: check.id)
def test_a_check_whose_facts_can_not_be_read_is_unknown_and_says_why(check: Check) -> None:
    result = judged(check, everywhere(check, Section(trouble="nft is not installed")))

    assert result.state is State.UNKNOWN
    if concerned(everywhere(check, Section()), check.groups):
        assert "nft is not installed" in result.saw


@pytest.mark.parametrize("check", READING, ids=lambda check: check.id)
def test_a_check_of_hosts_that_told_nothing_is_unknown(check: Check) -> None:
    nothing = World(estate=ESTATE, now=NOW, hosts={})

    assert judged(check, nothing).state is State.UNKNOWN


@pytest.mark.parametrize("check", READING, ids=lambda check: check.id)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(value=json_values)
def test_nonsense_from_hosts_breaks_no_check(check: Check, value: Any) -> None:
    assert judged(check, everywhere(check, Section(value=value))).state in State


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_a_check_says_what_it_proves_and_how_to_mend_it(check: Check) -> None:
    assert check.fix
    assert check.expected
    assert check.commitments
    assert all(one[0] == "C" and one[1:].isdigit() for one in check.commitments)
    assert all(one.startswith("DR-") for one in check.controls)
    assert {name for name in check.reads if not name.startswith("@")} <= known_sections()


def test_ids_are_given_once() -> None:
    ids = [check.id for check in CHECKS]

    assert len(ids) == len(set(ids))


def test_one_unreadable_twin_leaves_parity_unknown_and_a_difference_elsewhere_still_fails_it() -> None:
    alike = {"net.ipv4.ip_forward": "0"}
    facts = {"disk": {}, "live": alike}
    unreadable = world("kernel", facts, web_dc2=Section(trouble="truncated"))
    besides = world("kernel", facts, web_dc2=Section(trouble="truncated"), db_dc2={"disk": {}, "live": {}})

    assert verdict("CFG-KERNEL-PARITY", unreadable).state is State.UNKNOWN
    assert verdict("CFG-KERNEL-PARITY", besides).state is State.FAILED


def test_a_check_that_has_nothing_to_look_at_has_not_passed() -> None:
    @host_check("X-NONE", reads="x", groups="nobody", expected="x", fix="x", commitments="C01", controls="DR-01")
    def nobody(*_: object) -> list[Any]:
        """Looks at nobody."""
        return [good("never")]

    assert judged(nobody, World(estate=ESTATE, now=NOW, hosts={})).state is State.UNKNOWN


def test_a_rule_is_judged_by_its_worst_finding() -> None:
    @host_check("X-MIXED", reads="x", groups="web", expected="x", fix="mend", commitments="C01", controls="DR-01")
    def mixed(host: Any, facts: Any, _: World) -> list[Any]:
        """Mixed."""
        return [good("fine", host.name) if facts["x"] else bad("wrong", host.name, fix="do this")]

    result = judged(mixed, world("x", 1, web_dc2=0))

    assert (result.state, result.saw, result.hosts, result.fix) == (State.FAILED, "wrong", (SECOND,), "do this")
    assert judged(mixed, world("x", 1)).hosts == (FIRST, SECOND)


@pytest.mark.parametrize(
    ("day", "state"),
    [
        pytest.param(dt.date(2026, 11, 23), State.PASSED, id="tomorrow"),
        pytest.param(dt.date(2026, 11, 22), State.PASSED, id="its last day"),
        pytest.param(dt.date(2026, 11, 21), State.FAILED, id="run out"),
    ],
)
def test_a_declared_difference_counts_until_its_last_day(day: dt.date, state: State) -> None:
    estate = declaring([Difference(what="sysctl:vm.*", why="smaller disks", until=day)])
    facts = {"disk": {}, "live": {"vm.swappiness": "60"}}
    told = world("kernel", facts, estate=estate, web_dc2={"disk": {}, "live": {"vm.swappiness": "10"}})

    result = verdict("CFG-KERNEL-PARITY", told)

    assert result.state is state
    assert str(day) in result.saw


def test_a_declared_difference_excuses_no_other() -> None:
    until = dt.date(2027, 1, 1)
    estate = declaring([Difference(what="sysctl:vm.*", why="smaller disks", until=until)])
    told = world(
        "kernel", {"disk": {}, "live": {"net.a": "1"}}, estate=estate, web_dc2={"disk": {}, "live": {"net.a": "0"}}
    )

    assert verdict("CFG-KERNEL-PARITY", told).state is State.FAILED


def test_a_declared_difference_that_matches_nothing_is_told_and_one_that_ran_out_is_red() -> None:
    unused = Difference(what="package:gone", why="was needed once", until=dt.date(2027, 1, 1))
    ended = Difference(what="config:/etc/motd", why="a trial", until=dt.date(2026, 1, 1))
    for declared, state in ((unused, State.PASSED), (ended, State.FAILED)):
        estate = declaring([declared])
        result = verdict("CFG-DIFFERENCES", World(estate=estate, now=NOW, hosts={}))

        assert result.state is state
        assert f"matches nothing any more: {declared.what}" in with_unused([result], estate)[0].saw


def test_a_host_without_a_twin_is_told() -> None:
    hosts = {name: host for name, host in ESTATE.hosts.items() if name != HostName("web-dc2")}
    estate = type(ESTATE)(**{**{f: getattr(ESTATE, f) for f in ESTATE.__dataclass_fields__}, "hosts": hosts})

    result = verdict("INV-TWINS", World(estate=estate, now=NOW, hosts={}))

    assert (result.state, result.hosts) == (State.FAILED, (FIRST,))


def test_every_section_that_is_asked_for_apart_exists() -> None:
    assert known_sections() >= BEFORE_TRIES.keys() | set(_WAITING)
