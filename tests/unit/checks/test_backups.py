"""Who makes backups can't take them back: what the append-only server's answers mean."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.checks.estates import BY_ID, world

from secondsite.checks.model import Section, State
from secondsite.checks.rules.frame import judged
from secondsite.estate.load import load_estate

FULL = load_estate(Path(__file__).parents[3] / "inventories" / "lab")
REFUSED = {
    "server": "vault:8000",
    "deletes": 403,
    "reads_its_own": 404,
    "reads_anothers": 401,
    "reads_unnamed": 401,
    "reads_uncertified": 403,
    "archives": {"vault": False, "store-dc1": False},
}


def immutable(**changed: object) -> tuple[State, str]:
    result = judged(BY_ID["BK-IMMUTABLE"], world("producer", REFUSED, estate=FULL, store_dc2={**REFUSED, **changed}))
    return result.state, result.saw


def test_every_producer_that_is_refused_is_as_expected() -> None:
    state, saw = immutable()
    assert state is State.PASSED
    assert all(f"{kind}-{site} is refused" in saw for kind in ("web", "db", "store") for site in ("dc1", "dc2"))


@pytest.mark.parametrize(
    ("changed", "state", "saw"),
    [
        ({"deletes": 404}, State.FAILED, "store-dc2 may delete at vault:8000 (it answers 404)"),
        ({"deletes": 200}, State.FAILED, "store-dc2 may delete"),
        ({"archives": {"vault": True}}, State.FAILED, "store-dc2 may replace what is archived at vault"),
        ({"reads_anothers": 404}, State.FAILED, "may read another's"),
        ({"reads_uncertified": 404}, State.FAILED, "whoever knows store-dc2's password may read"),
        ({"reads_unnamed": 200}, State.FAILED, "whoever reaches vault:8000 may read store-dc2's"),
        ({"reads_its_own": 401}, State.UNKNOWN, "is not known to vault:8000"),
    ],
)
def test_an_answer_that_is_no_refusal_is_found(changed: dict[str, object], state: State, saw: str) -> None:
    found, said = immutable(**changed)
    assert found is state
    assert saw in said


def test_a_server_that_can_not_be_asked_leaves_it_unknown() -> None:
    trouble = Section(trouble="vault:8000 can't be asked: timed out")
    result = judged(BY_ID["BK-IMMUTABLE"], world("producer", REFUSED, estate=FULL, db_dc1=trouble))
    assert result.state is State.UNKNOWN
