"""Who may judge a drill: nobody who had another part in it, by name or by key, whatever else is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.evidence.drilled import People, fingerprint_of, people_in

from secondsite.evidence.roles import (
    Independence,
    Part,
    Role,
    Roles,
    conflicts,
    fingerprint,
    independence,
    runbook_version,
    same_name,
)

NAMES = st.text("abAB .ñ", max_size=6)
KEYS = st.sampled_from(["", "SHA256:1", "SHA256:2", "SHA256:3"])
PARTS = st.builds(Part, role=st.sampled_from(Role), name=NAMES, key=KEYS, of=st.just("run 8"))
SAID = st.lists(st.text("xyz", max_size=3), max_size=2).map(tuple)
CASTS = st.builds(Roles, parts=st.lists(PARTS, max_size=6).map(tuple), missing=SAID, unsigned=SAID, unknown=SAID)


@given(roles=CASTS, name=NAMES, key=KEYS)
def test_there_is_a_conflict_exactly_where_a_part_has_the_name_or_the_key(roles: Roles, name: str, key: str) -> None:
    had = any(same_name(name, part.name) or (key and key == part.key) for part in roles.parts)
    assert bool(list(conflicts(name, key, roles))) == had


@given(roles=CASTS, name=NAMES, key=KEYS, more=PARTS)
def test_no_further_part_ever_makes_anybody_independent(roles: Roles, name: str, key: str, more: Part) -> None:
    wider = Roles(parts=(*roles.parts, more), missing=roles.missing, unsigned=roles.unsigned, unknown=roles.unknown)
    before, after = independence(name, key, roles), independence(name, key, wider)
    assert set(conflicts(name, key, roles)) <= set(conflicts(name, key, wider))
    assert after is before or after is Independence.NOT_INDEPENDENT


@given(roles=CASTS, name=NAMES, key=KEYS)
def test_what_is_not_known_never_counts_as_independent(roles: Roles, name: str, key: str) -> None:
    if independence(name, key, roles) is Independence.INDEPENDENT:
        assert name
        assert key
        assert (roles.missing, roles.unsigned, roles.unknown) == ((), (), ())
        assert not any(same_name(name, part.name) or key == part.key for part in roles.parts)


@given(roles=CASTS, name=NAMES, key=KEYS)
def test_a_name_in_other_letters_is_the_same_persons(roles: Roles, name: str, key: str) -> None:
    found = [bool(list(conflicts(other, key, roles))) for other in (name, name.upper(), f" {name} ")]
    assert len(set(found)) == 1


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return people_in(tmp_path_factory.mktemp("people"))


def test_a_key_that_seals_has_the_fingerprint_that_ssh_keygen_gives_it(people: People) -> None:
    for name, identity in people.identities.items():
        assert fingerprint(identity.public_key.public) == fingerprint_of(people.key(name))


def test_a_version_of_a_runbook_is_told_by_every_file_it_uses(tmp_path: Path) -> None:
    pins = {"runbooks/failover.py": "ab" * 32, "roles/web/tasks/main.yml": "cd" * 32}
    version = runbook_version("failover", pins)
    assert version == runbook_version("failover", dict(reversed(pins.items())))
    others = [("failback", pins), ("failover", {**pins, "roles/web/tasks/main.yml": "ef" * 32})]
    others.append(("failover", {"runbooks/failover.py": "ab" * 32}))
    assert version not in {runbook_version(*one) for one in others}
