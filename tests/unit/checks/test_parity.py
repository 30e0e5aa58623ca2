"""Twins are alike but for their declared names and addresses, and whatever else differs is found."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondsite.checks.model import State
from secondsite.checks.rules.twins import neutral_networks, neutral_words, pairs
from secondsite.estate.model import Host
from secondsite.probes.remote.collectors.common import Names
from secondsite.probes.remote.collectors.files import _digest

from .estates import ESTATE, joined, verdict, world

MIRROR = {
    "web-dc1": "web-dc2",
    "db-dc1": "db-dc2",
    "dc1": "dc2",
    "198.18.1.10": "198.18.2.10",
    "198.18.1.20": "198.18.2.20",
    "198.18.1.77": "198.18.2.77",
    "198.18.1.0/24": "198.18.2.0/24",
    "198.19.0.21": "198.19.0.31",
}
WORDS = [*MIRROR, *MIRROR.values(), "vault", "198.18.3.30", "host", "=", "\n", '"', "port 5432"]


def neutral(host: Host, text: str) -> str:
    settings = {"tokens": neutral_words(ESTATE, host), "networks": neutral_networks(ESTATE, host)}
    return Names(settings).neutral(text)


def a_file(**different: Any) -> dict[str, Any]:
    return {"strict": "a", "mode": "0644 root:root", **different}


@given(words=st.lists(st.sampled_from(WORDS), max_size=12))
def test_a_text_and_its_mirror_image_at_the_other_datacenter_are_the_same(words: list[str]) -> None:
    back = {there: here for here, there in MIRROR.items()}
    mirrored = [MIRROR.get(word, back.get(word, word)) for word in words]
    first, second = pairs(ESTATE)[0].first, pairs(ESTATE)[0].second

    assert neutral(first, " ".join(words)) == neutral(second, " ".join(mirrored))


@pytest.mark.parametrize("text", ["198.18.1.200", "198.18.10.20", "web-dc11", "1198.18.1.20"])
def test_no_part_of_a_longer_word_is_taken_for_a_name(text: str) -> None:
    other = text.replace("198.18.1.", "{here}.")

    assert neutral(pairs(ESTATE)[0].first, text) in (text, other)


def test_a_text_that_points_to_the_primary_is_not_the_mirror_image() -> None:
    pair = pairs(ESTATE)[0]
    text = '{"host": "db-dc1", "address": "198.18.1.20"}'

    assert neutral(pair.first, text) != neutral(pair.second, text)
    assert "{there" in neutral(pair.second, text)


@given(st.text(max_size=40), st.text(max_size=40))
def test_only_equal_texts_have_equal_digests(one: str, other: str) -> None:
    assert (_digest(one) == _digest(other)) == (one == other)


FILES = {"/etc/motd": a_file(), "/etc/sudoers.d/ops": a_file()}


@pytest.mark.parametrize(
    ("there", "check"),
    [
        pytest.param({"/etc/motd": a_file(strict="b")}, "CFG-PARITY", id="content"),
        pytest.param({"/etc/motd": a_file(mode="0600 root:root")}, "CFG-PARITY", id="mode"),
        pytest.param({"/etc/extra": a_file()}, "CFG-PARITY", id="one more"),
        pytest.param({"/etc/sudoers.d/ops": a_file(strict="b")}, "SEC-PARITY", id="sudo rule"),
        pytest.param({"/etc/sudoers.d/zz": a_file()}, "SEC-PARITY", id="one more sudo rule"),
    ],
)
def test_a_file_that_differs_fails_the_check_of_its_kind_and_no_other(there: dict[str, Any], check: str) -> None:
    identity: dict[str, Any] = {"users": {}, "members": {}}
    told = joined(world("files", FILES, db_dc2={**FILES, **there}), world("identity", identity))

    states = {name: verdict(name, told).state for name in ("CFG-PARITY", "SEC-PARITY")}

    assert states.pop(check) is State.FAILED
    assert set(states.values()) == {State.PASSED}


def test_lists_that_name_both_sites_may_stand_in_either_order_and_other_texts_may_not() -> None:
    here = a_file(strict="a", loose="same", there=["{there}"])
    sorted_otherwise = a_file(strict="b", loose="same", there=["{there}"])
    names_nobody = a_file(strict="b", loose="same")

    assert (
        verdict("CFG-PARITY", world("files", {"/etc/x": here}, web_dc2={"/etc/x": sorted_otherwise})).state
        is State.PASSED
    )
    plain = world("files", {"/etc/x": a_file(strict="a", loose="same")}, web_dc2={"/etc/x": names_nobody})
    assert verdict("CFG-PARITY", plain).state is State.FAILED


@pytest.mark.parametrize(
    ("here", "there", "state"),
    [
        pytest.param([], [], State.PASSED, id="neither"),
        pytest.param(["{there x}"], ["{there x}"], State.PASSED, id="both, as peers do"),
        pytest.param([], ["{there x}"], State.FAILED, id="only the secondary"),
        pytest.param(["{there x}"], [], State.FAILED, id="only the primary"),
        pytest.param(["{there x}"], ["{there x}", "{there x}"], State.FAILED, id="once more"),
    ],
)
def test_naming_the_other_datacenter_where_the_twin_does_not_is_a_hidden_dependency(
    here: list[str], there: list[str], state: State
) -> None:
    files = world("files", {"/etc/x": a_file(there=here)}, web_dc2={"/etc/x": a_file(there=there)})

    # every other pair tells the first one's facts on both sides
    assert verdict("DEP-HIDDEN", joined(files, world("peers", []))).state is state


def test_an_application_that_talks_to_the_other_datacenter_is_a_hidden_dependency() -> None:
    talks = [{"address": "198.18.1.20", "port": 5432}]
    told = joined(world("files", {}), world("peers", [], web_dc2=talks))

    result = verdict("DEP-HIDDEN", told)

    assert result.state is State.FAILED
    assert "db-dc1 port 5432" in result.saw


@pytest.mark.parametrize(
    ("there", "state"),
    [
        pytest.param({"memory MiB": 1000.0}, State.PASSED, id="the same"),
        pytest.param({"memory MiB": 960.0}, State.PASSED, id="nearly"),
        pytest.param({"memory MiB": 500.0}, State.FAILED, id="half"),
        pytest.param({}, State.PASSED, id="no limit at all"),
        pytest.param({"memory MiB": "much"}, State.UNKNOWN, id="nonsense"),
    ],
)
def test_a_smaller_twin_is_found(there: dict[str, Any], state: State) -> None:
    told = world("capacity", {"memory MiB": 1000.0}, web_dc2=there)

    found = verdict("CAP-PARITY", told).state

    assert found is (State.FAILED if not there else state)  # a limit at one side only leaves that side smaller


def test_packages_in_other_versions_or_missing_are_found() -> None:
    identity = world("identity", {"release": "Debian 13"})
    for there in ({"openssl": "3"}, {"openssl": "4", "knot": "1"}):
        told = joined(world("packages", {"openssl": "3", "knot": "1"}, db_dc2=there), identity)
        assert verdict("RDY-VERSION", told).state is State.FAILED


def test_a_setting_on_disk_that_is_not_in_force_is_found() -> None:
    right = {"disk": {"a": "1"}, "live": {"a": "1"}}

    assert verdict("CFG-KERNEL", world("kernel", right)).state is State.PASSED
    stale = world("kernel", right, vault={"disk": {"a": "1"}, "live": {"a": None}})
    assert verdict("CFG-KERNEL", stale).state is State.FAILED
