"""What production is declared to be: each number with whose word it is, and waits that can begin and end."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondsite.errors import ConfigError
from secondsite.estate.load import load_estate
from secondsite.estate.production.model import Production, Wait
from secondsite.estate.production.rules import wrong_production

LAB = Path(__file__).parents[3] / "inventories" / "lab"
HOUR = dt.timedelta(hours=1)


def bent(tmp_path: Path, old: str, new: str) -> Path:
    """Return a copy of the lab's estate with one thing said otherwise."""
    for name in ("estate.yml", "hosts.yml"):
        text = (LAB / name).read_text()
        (tmp_path / name).write_text(text.replace(old, new) if name == "estate.yml" else text)
    assert (tmp_path / "estate.yml").read_text() != (LAB / "estate.yml").read_text()
    return tmp_path


def test_the_lab_declares_what_a_restart_is_projected_to() -> None:
    production = load_estate(LAB).production

    assert production is not None
    assert production.target == dt.timedelta(hours=24)
    assert production.amounts.keys() == {"databases", "files", "number-of-files", "hosts"}
    assert production.rates.keys() == {"vault-link", "disk"}
    assert all(one.source for one in (*production.amounts.values(), *production.rates.values()))


def test_what_is_not_declared_is_not_there_and_nothing_is_assumed(tmp_path: Path) -> None:
    line = next(line for line in (LAB / "estate.yml").read_text().splitlines() if "number_of_files:" in line)

    production = load_estate(bent(tmp_path, f"{line}\n", "")).production

    assert production is not None
    assert "number-of-files" not in production.amounts


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        pytest.param("expected: 30m, at_most: 2h", "expected: 3h, at_most: 2h", "/at_most", id="bound-below"),
        pytest.param("after: [decision]", "after: [nobody]", "'nobody'", id="unknown-wait"),
        pytest.param("hosts: {value: 24,", "hosts: {value: 0,", "/production/amounts/hosts/value", id="nothing"),
        pytest.param(
            'source: "declared for this lab: 200 GB of billing and shop data"', 'source: ""', "source", id="word"
        ),
        pytest.param("from_vault: {rto: 24h, rpo: 15m}", "from_vault: {rto: 48h, rpo: 15m}", "/from_vault", id="mtpd"),
    ],
)
def test_what_can_not_be_meant_is_told_with_its_place(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_estate(bent(tmp_path, old, new))

    assert told in str(refused.value)


@given(st.dictionaries(st.sampled_from("abcd"), st.frozensets(st.sampled_from("abcd"))))
def test_waits_in_a_circle_are_found_and_others_are_not(after: dict[str, frozenset[str]]) -> None:
    waits = {name: Wait(expected=HOUR, at_most=HOUR, source="x", after=tuple(of)) for name, of in after.items()}
    production = Production(target=HOUR, amounts={}, rates={}, waits=waits)

    def begins(name: str, on_the_way: frozenset[str]) -> bool:
        following = [one for one in after[name] if one in after]
        return name not in on_the_way and all(begins(one, on_the_way | {name}) for one in following)

    found = any("wait for each other" in what for _, what, _ in wrong_production(production))
    assert found is not all(begins(name, frozenset()) for name in after)
