"""What the doctor names as missing: never less than what was not seen."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondsite.checks.doctor.model import ControllerFacts, HostFacts, Need, Symptom
from secondsite.checks.doctor.rules import about_clock, about_controller, about_estate, about_host, exit_code_of
from secondsite.estate.load import load_estate
from secondsite.estate.model import Estate, HostName, SiteName

ROOT = Path(__file__).parents[3]
HARBOUR = load_estate(ROOT / "tests" / "end_to_end" / "second" / "harbour")
LAB = load_estate(ROOT / "inventories" / "small")
POWERED = load_estate(ROOT / "inventories" / "powered")
HOST = HARBOUR.hosts[HostName("witness")]
WELL = HostFacts(
    host=HOST.name,
    trouble_with_pin="",
    answered=True,
    way="bootstrap",
    why="",
    release="debian 13",
    python="Python 3.13.5",
    privilege="root",
    lacking=("knot",),
    offset_s=0.1,
    give_or_take_s=0.4,
    free=4000,
)
CONTROLLER = ControllerFacts(
    programs={"ssh from openssh-client": True},
    environments={".venv-pyinfra": True},
    state="/var/lib/secondsite/harbour",
    state_writable=True,
    state_free=9000,
    trouble_with_secrets="",
    trouble_with_key="",
    trouble_with_approvers="",
)


def host_needs(facts: HostFacts, *, key: str = "") -> dict[str, Need]:
    return {one.id: one.need for one in about_host(facts, HOST, trouble_with_key=key)}


def estate_needs(estate: Estate) -> dict[str, Need]:
    found: dict[str, Need] = {}
    for one in about_estate(estate):
        found[one.id] = Need.MISSING if Need.MISSING in (found.get(one.id), one.need) else one.need
    return found


def test_a_bare_host_that_can_be_provisioned_needs_nothing() -> None:
    assert set(host_needs(WELL).values()) == {Need.OK}


@pytest.mark.parametrize(
    ("change", "symptom", "need"),
    [
        ({"release": "debian 12"}, "release", Need.MISSING),
        ({"release": None}, "release", Need.UNKNOWN),
        ({"privilege": None}, "privilege", Need.MISSING),
        ({"lacking": None}, "packages", Need.UNKNOWN),
        ({"unobtainable": ("knot",)}, "packages", Need.MISSING),
        ({"offset_s": None}, "time", Need.UNKNOWN),
        ({"offset_s": 3600.0}, "time", Need.MISSING),
        ({"offset_s": 1.0, "give_or_take_s": 60.0}, "time", Need.UNKNOWN),
        ({"free": None}, "room", Need.UNKNOWN),
        ({"free": 10}, "room", Need.MISSING),
        ({"way": "certificate", "python": None}, "python", Need.MISSING),
        ({"way": "", "trouble_with_pin": "no key is pinned"}, "pin", Need.MISSING),
        ({"way": "", "trouble_with_pin": "no key is pinned"}, "reach", Need.UNKNOWN),
        ({"way": "", "answered": False}, "reach", Need.UNKNOWN),
        ({"way": "", "answered": True, "why": "Permission denied"}, "reach", Need.MISSING),
    ],
)
def test_what_a_host_lacks_is_missing_and_what_it_does_not_tell_is_unknown(
    change: dict[str, object], symptom: str, need: Need
) -> None:
    assert host_needs(replace(WELL, **change))[symptom] is need  # type: ignore[arg-type]


def test_every_symptom_that_is_not_ok_says_how_to_mend_it() -> None:
    ill = replace(WELL, release="debian 12", privilege=None, lacking=("x",), unobtainable=("x",), offset_s=99.0, free=1)
    poor = replace(
        CONTROLLER, programs={"ssh from openssh-client": False}, state_writable=False, state_free=1,
        trouble_with_secrets="nobody is named", trouble_with_approvers="nobody may consent",
        environments={".venv-pyinfra": False},
    )  # fmt: skip
    found: list[Symptom] = [
        *about_host(ill, HOST, trouble_with_key=""),
        *about_controller(poor),
        *about_estate(HARBOUR),
    ]
    wrong = [one for one in found if one.need is not Need.OK]

    assert len(wrong) > 8
    assert "approvers" in {one.id for one in wrong}
    assert all(one.fix and one.saw for one in wrong)


def test_an_address_for_documentation_is_named_and_never_tried() -> None:
    placeholder = replace(HOST, management=IPv4Address("192.0.2.7"))
    silent = replace(WELL, way="", answered=False)
    (reach,) = [one for one in about_host(silent, placeholder, trouble_with_key="") if one.id == "reach"]
    estate = replace(HARBOUR, hosts={**HARBOUR.hosts, HOST.name: placeholder})

    assert "not tried" in reach.saw
    assert estate_needs(estate)["addresses"] is Need.MISSING
    assert estate_needs(HARBOUR)["addresses"] is Need.OK


def test_fencing_needs_both_carriers_at_every_datacenter() -> None:
    assert estate_needs(HARBOUR)["fencing"] is Need.MISSING
    assert estate_needs(LAB)["fencing"] is Need.OK
    assert estate_needs(replace(LAB, links=LAB.links[:1]))["fencing"] is Need.MISSING


def test_outlets_confirm_the_fencing_where_no_carrier_can_be_read() -> None:
    assert estate_needs(replace(POWERED, links=()))["fencing"] is Need.OK
    one_side = {SiteName("dc1"): POWERED.fencing[SiteName("dc1")]}
    assert estate_needs(replace(POWERED, links=(), fencing=one_side))["fencing"] is Need.MISSING


def test_a_power_endpoint_that_nobody_may_use_is_named_only_where_one_is_declared() -> None:
    def needs(trouble: str | None) -> list[Need]:
        facts = replace(CONTROLLER, trouble_with_power=trouble)
        return [one.need for one in about_controller(facts) if one.id == "power"]

    assert (needs(None), needs(""), needs("no secrets")) == ([], [Need.OK], [Need.MISSING])


def test_a_host_declared_for_a_job_but_not_in_its_group_is_named() -> None:
    out = replace(HARBOUR.hosts[HostName("db-south")], groups=("etcd",))
    estate = replace(HARBOUR, hosts={**HARBOUR.hosts, out.name: out})
    wrong = [one for one in about_estate(estate) if one.id == "groups" and one.need is Need.MISSING]

    assert [("database" in one.saw, "db-south" in one.saw) for one in wrong] == [(True, True)]


@pytest.mark.parametrize("members", [("db-north", "db-south"), ("db-north", "web-north", "witness")])
def test_a_quorum_that_one_site_could_take_away_is_missing(members: tuple[str, ...]) -> None:
    assert HARBOUR.quorum is not None
    quorum = replace(HARBOUR.quorum, members=tuple(map(HostName, members)))
    assert estate_needs(replace(HARBOUR, quorum=quorum))["quorum"] is Need.MISSING


def test_vantage_hosts_stand_outside_the_datacenters() -> None:
    detection = replace(HARBOUR.detection, vantage=(HostName("witness"), HostName("web-north")))
    assert estate_needs(replace(HARBOUR, detection=detection))["vantage"] is Need.MISSING
    assert estate_needs(HARBOUR)["vantage"] is Need.OK


def test_this_clock_is_judged_by_all_hosts_and_unknown_without_any() -> None:
    fast = [replace(WELL, offset_s=offset) for offset in (-3600.0, -3599.0, 0.0)]
    assert [one.need for one in about_clock(fast)] == [Need.MISSING]
    assert [one.need for one in about_clock([replace(WELL, offset_s=None)])] == [Need.UNKNOWN]


@given(st.lists(st.sampled_from(Need), max_size=6))
def test_only_all_ok_ends_with_zero(needs: list[Need]) -> None:
    code = exit_code_of([Symptom(id="x", where="y", need=need, saw="z") for need in needs])
    assert (code == 0) == (bool(needs) and set(needs) == {Need.OK})
    assert (code == 2) == (Need.MISSING in needs)


def test_a_host_that_was_not_reached_ends_with_four() -> None:
    silent = about_host(replace(WELL, way="", answered=False, why="no route"), HOST, trouble_with_key="")
    assert exit_code_of(silent) == 4
