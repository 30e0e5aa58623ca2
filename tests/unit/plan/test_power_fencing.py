"""Fencing by power: outlets that read off confirm it, and nothing that only looks like that does (ADR 0005, 0013)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondsite.plan.builder import call, guard
from secondsite.plan.model import Step
from secondsite.plan.rules import confirming_rules, reasons_not_to_proceed

HOSTS, FED, EDGE = ("web-dc1", "db-dc1"), ("198.18.1.10", "198.18.1.20"), "198.18.1.2"
READINGS = ("read-back-carrier-a", "read-outlet-web-dc1", "read-outlet-db-dc1", "customers-silence")
EITHER = guard(
    "fencing-confirmed",
    on=READINGS,
    carriers=["carrier-a", "carrier-b"],
    addresses=[*FED, EDGE],
    outlets=list(HOSTS),
    fed=list(FED),
    site="dc1",
)
POWER_ALONE = guard(
    "fencing-confirmed", on=READINGS, carriers=[], addresses=list(FED), outlets=list(HOSTS), fed=list(FED), site="dc1"
)
Found = Mapping[str, Mapping[str, Any]]


def outlet(host: str, state: object = "off", *, stands_on: object = "vault", answers: object = False) -> dict[str, Any]:
    return {"outlets": {host: state}, "stands_on": stands_on, "answers": {host: answers}}


def customers(**heard: int) -> dict[str, Any]:
    addresses = {"web": FED[0], "db": FED[1], "edge": EDGE}
    return {"customers": {address: {"flows": 24, "answers": heard.get(name, 0)} for name, address in addresses.items()}}


def found(**changed: Mapping[str, Any]) -> Found:
    """Return readings of a site whose outlets are off, and of one carrier's filter that could not be read."""
    well: dict[str, Mapping[str, Any]] = {
        "read-back-carrier-a": {"trouble": "carrier-a does not answer"},
        "read-outlet-web-dc1": outlet("web-dc1"),
        "read-outlet-db-dc1": outlet("db-dc1"),
        "customers-silence": customers(),
    }
    return well | {name.replace("_", "-"): facts for name, facts in changed.items()}


def reasons(facts: Found, *, wanted: Any = EITHER) -> list[str]:
    step = Step(name="promote", title="", call=call("promote"), hosts=(), guards=(wanted,))
    return list(reasons_not_to_proceed(step, facts))


@pytest.mark.parametrize("wanted", [EITHER, POWER_ALONE], ids=["either", "power alone"])
def test_outlets_that_all_read_off_confirm_whatever_the_carriers_do(wanted: Any) -> None:
    assert reasons(found(), wanted=wanted) == []
    (rule,) = confirming_rules(found(), wanted.arguments)
    assert rule.startswith("power: every outlet read off")


def test_isolation_confirms_while_an_outlet_is_on_and_says_so() -> None:
    both = {"dropping": {"carrier-a": True, "carrier-b": True}}
    facts = found(read_back_carrier_a=both, read_outlet_db_dc1=outlet("db-dc1", "on", answers=True))
    assert reasons(facts) == []
    (rule,) = confirming_rules(facts, EITHER.arguments)
    assert rule.startswith("isolation at both carriers")


@pytest.mark.parametrize(
    ("changed", "fencing", "told"),
    [
        pytest.param(
            {"read_outlet_db_dc1": outlet("db-dc1", "on", answers=True)}, "failed", "the outlet of db-dc1 reads on",
            id="still on",
        ),
        pytest.param(
            {"read_outlet_db_dc1": outlet("db-dc1", answers=True)}, "failed", "db-dc1 still answers",
            id="the endpoint lies, or the outlet is another host's",
        ),
        pytest.param({"customers_silence": customers(db=1)}, "failed", "is failed", id="a customer hears a fed host"),
        pytest.param(
            {"read_outlet_db_dc1": outlet("db-dc1", "unknown")}, "unknown", "db-dc1 is not known to be off",
            id="no answer, or no right to ask",
        ),
        pytest.param({"read_outlet_db_dc1": {}}, "unknown", "db-dc1 is not known to be off", id="nothing was found"),
        pytest.param(
            {"read_outlet_db_dc1": outlet("db-dc1", answers=None)}, "unknown", "db-dc1 is not known to be off",
            id="nobody asked the host itself",
        ),
        pytest.param(
            {"read_outlet_db_dc1": outlet("web-dc1")}, "unknown", "db-dc1 is not known to be off", id="another's outlet"
        ),
        pytest.param(
            {"read_outlet_db_dc1": outlet("db-dc1", stands_on="dc1")}, "unknown", "on other power",
            id="an endpoint on the power of the site it cuts",
        ),
        pytest.param(
            {"read_outlet_db_dc1": outlet("db-dc1", stands_on=None)}, "unknown", "on other power",
            id="an endpoint on nobody knows what power",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("wanted", [EITHER, POWER_ALONE], ids=["either", "power alone"])
def test_what_only_looks_like_power_off_confirms_nothing(
    changed: Mapping[str, Mapping[str, Any]], fencing: str, told: str, wanted: Any
) -> None:
    said = reasons(found(**changed), wanted=wanted)
    assert said[0] == f"fencing of the old primary is {fencing}"
    assert told in "; ".join(said)
    assert confirming_rules(found(**changed), wanted.arguments) == ()


def test_a_host_without_a_switched_outlet_may_still_be_heard() -> None:
    assert reasons(found(customers_silence=customers(edge=3))) == []


def test_a_plan_that_names_neither_carriers_nor_outlets_confirms_nothing() -> None:
    nothing = guard("fencing-confirmed", on=READINGS, carriers=[], addresses=[])
    assert "the plan names no carrier that must be read back" in reasons(found(), wanted=nothing)


states = st.sampled_from(["off", "on", "unknown", None, "", "OFF", True])
answers = st.sampled_from([True, False, None, "no", 0])
places = st.sampled_from(["vault", "dc2", "dc1", "", None, 3])


@given(
    seen=st.fixed_dictionaries({host: st.tuples(states, answers, places) for host in HOSTS}),
    dropping=st.dictionaries(st.sampled_from(["carrier-a", "carrier-b"]), st.sampled_from([True, False, None])),
    heard=st.fixed_dictionaries({}, optional={"web": st.integers(0, 2), "db": st.integers(0, 2)}),
)
def test_power_confirms_only_when_every_outlet_reads_off_outside_and_nobody_answers(
    seen: Mapping[str, tuple[object, object, object]], dropping: Mapping[str, object], heard: Mapping[str, int]
) -> None:
    readings = {
        f"read-outlet-{host}": outlet(host, state, stands_on=place, answers=answering)
        for host, (state, answering, place) in seen.items()
    }
    facts = {
        **found(),
        **readings,
        "read-back-carrier-a": {"dropping": dropping},
        "customers-silence": customers(**heard),
    }
    silent = not any(heard.values())
    dark = all(
        state == "off" and answering is False and isinstance(place, str) and place not in ("", "dc1")
        for state, answering, place in seen.values()
    )
    isolated = dropping.get("carrier-a") is True and dropping.get("carrier-b") is True
    assert bool(confirming_rules(facts, EITHER.arguments)) == (silent and (dark or isolated))
    assert (reasons(facts) == []) == (silent and (dark or isolated))
