"""What the erasure ledger says: the same in whatever order it came, after any repetition, and never after an edit."""

from __future__ import annotations

import importlib
import sys
import uuid
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FILES = Path(__file__).resolve().parents[3] / "roles" / "erasure_ledger" / "files"
SUBJECTS = [str(uuid.UUID(int=number)) for number in range(3)]
KEY = {"identity": "AGE-SECRET-KEY-1" + "Q" * 58, "recipient": "age1" + "q" * 58, "made": 5.0}


@pytest.fixture(scope="module", autouse=True)
def _importable() -> Any:
    sys.path.insert(0, str(FILES))
    yield
    sys.path.remove(str(FILES))


@pytest.fixture(scope="module")
def rules() -> ModuleType:
    return importlib.import_module("erasures.rules")


@pytest.fixture(scope="module")
def disk() -> ModuleType:
    return importlib.import_module("erasures.disk")


@st.composite
def lists_of_entries(draw: st.DrawFn) -> list[dict[str, Any]]:
    kinds = ["erased", "refused", "closed", "reopened", "held", "released", "revoked", "readmitted", "legal-hold"]
    one = st.fixed_dictionaries(
        {
            "kind": st.sampled_from([*kinds, "legal-hold-lifted"]),
            "subject": st.sampled_from(SUBJECTS),
            "at": st.integers(1, 30).map(float),
            "by": st.just("ops"),
            "reason": st.sampled_from(["ticket 1", "ticket 2"]),
        }
    )
    return draw(st.lists(one, max_size=25))


def entry(rules: ModuleType, kind: str, at: float, subject: str = SUBJECTS[0]) -> Any:
    return rules.entry_in({"kind": kind, "subject": subject, "at": at, "by": "ops", "reason": "why"})


@given(written=lists_of_entries(), chance=st.randoms(use_true_random=False))
def test_what_is_in_force_depends_on_no_order_and_no_repetition(rules: ModuleType, written: Any, chance: Any) -> None:
    entries = [rules.entry_in(words) for words in written]
    other = entries + entries[: len(entries) // 2]
    chance.shuffle(other)

    assert rules.standing(other) == rules.standing(entries)


@given(written=lists_of_entries(), cut=st.integers(0, 25))
def test_any_beginning_may_be_replayed_before_the_whole(rules: ModuleType, written: Any, cut: int) -> None:
    entries = rules.in_order(rules.entry_in(words) for words in written)

    assert rules.standing([*entries[:cut], *entries]) == rules.standing(entries)
    gone = rules.erased(rules.standing(entries[:cut]))
    assert gone.keys() <= rules.erased(rules.standing(entries)).keys(), "who was erased stays so, whatever follows"


@given(written=lists_of_entries())
def test_nobody_is_erased_while_a_legal_hold_is_in_force(rules: ModuleType, written: Any) -> None:
    entries = rules.in_order(rules.entry_in(words) for words in written)
    for subject, erasing in rules.erased(rules.standing(entries)).items():
        before = [one for one in entries if one.subject == subject and one.at <= erasing.at and one.id != erasing.id]
        holds = [one for one in before if one.kind.value == "legal-hold"]
        lifts = [one for one in before if one.kind.value == "legal-hold-lifted"]
        assert not holds or (lifts and lifts[-1].at >= holds[-1].at)


def test_every_erasure_that_a_hold_forbade_is_counted_once(rules: ModuleType) -> None:
    entries = [entry(rules, "legal-hold", 1), entry(rules, "refused", 2), entry(rules, "erased", 3)]
    entries += [entry(rules, "legal-hold-lifted", 4), entry(rules, "erased", 5), *entries]
    assert rules.refusals(entries, rules.standing(entries)) == 2
    assert rules.refusals([], {}) == 0


def test_a_hold_wins_and_is_told_and_once_lifted_the_erasure_counts(rules: ModuleType) -> None:
    held = [entry(rules, "legal-hold", 1), entry(rules, "erased", 2)]
    one = rules.standing(held)[SUBJECTS[0]]
    assert one.erased is None
    assert rules.State.LEGAL_HOLD in one.states
    assert [forbidden.at for forbidden in one.forbidden] == [2.0]

    lifted = rules.standing([*held, entry(rules, "legal-hold-lifted", 3), entry(rules, "erased", 4)])
    assert lifted[SUBJECTS[0]].erased.at == 4.0


def test_what_ended_is_known_to_have_ended_and_what_was_never_told_is_not(rules: ModuleType) -> None:
    one = rules.standing([entry(rules, "held", 1), entry(rules, "released", 2)])[SUBJECTS[0]]

    assert one.states == {}
    assert one.ended == {rules.State.HOLD}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(written=lists_of_entries().filter(bool), where=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_every_edited_byte_is_found(
    rules: ModuleType, disk: ModuleType, tmp_path_factory: pytest.TempPathFactory, written: Any, where: int, bit: int
) -> None:
    state = tmp_path_factory.mktemp("keeper")
    shelf = disk.Shelf(state)
    shelf.add([rules.entry_in(words) for words in written], now=40.0)
    seen = shelf.about()
    paths = sorted((state / "ledger").iterdir())
    path = paths[where % len(paths)]
    raw = bytearray(path.read_bytes())
    raw[where % len(raw)] ^= 1 << bit
    path.write_bytes(raw)

    try:
        keeper, records = disk.read_chain(state)
        now = {"keeper": keeper, "number": len(records), "head": rules.head_of(records, keeper=keeper)}
        found = list(rules.reasons_to_distrust(seen, now))
    except rules.Wrong as error:
        found = [str(error)]
    assert found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(written=lists_of_entries().filter(bool), where=st.integers(0, 10**6))
def test_a_record_that_is_gone_is_found(
    rules: ModuleType, disk: ModuleType, tmp_path_factory: pytest.TempPathFactory, written: Any, where: int
) -> None:
    state = tmp_path_factory.mktemp("keeper")
    shelf = disk.Shelf(state)
    shelf.add([rules.entry_in(words) for words in written], now=40.0)
    paths = sorted((state / "ledger").iterdir())
    paths[where % len(paths)].unlink()

    try:
        keeper, records = disk.read_chain(state)
        now = {"keeper": keeper, "number": len(records), "head": rules.head_of(records, keeper=keeper)}
        found = list(rules.reasons_to_distrust(shelf.about(), now))
    except rules.Wrong as error:
        found = [str(error)]
    assert found


def test_two_keepers_that_bring_each_other_what_is_new_come_to_the_same(
    rules: ModuleType, disk: ModuleType, tmp_path: Path
) -> None:
    first, second = disk.Shelf(tmp_path / "a"), disk.Shelf(tmp_path / "b")
    first.add([entry(rules, "held", 1), entry(rules, "erased", 3)], now=10.0)
    second.add([entry(rules, "released", 2)], now=11.0)

    assert first.add(second.entries(), now=12.0) == 1
    assert second.add(first.entries(), now=13.0) == 2
    assert second.add(first.entries(), now=14.0) == 0

    assert rules.standing(first.entries()) == rules.standing(second.entries())
    assert first.head != second.head, "each has a chain of its own"


def test_an_erasure_destroys_the_keys_and_no_key_comes_back(
    rules: ModuleType, disk: ModuleType, tmp_path: Path
) -> None:
    shelf = disk.Shelf(tmp_path)
    for subject in SUBJECTS[:2]:
        assert shelf.add_key({**KEY, "subject": subject})
    shelf.add([entry(rules, "erased", 6)], now=7.0)

    assert list(shelf.kept_keys()) == [(SUBJECTS[1], KEY["recipient"])]
    assert not shelf.add_key({**KEY, "subject": SUBJECTS[0]})
    assert not (tmp_path / "keys" / SUBJECTS[0]).exists()


def test_under_a_legal_hold_the_keys_stay(rules: ModuleType, disk: ModuleType, tmp_path: Path) -> None:
    shelf = disk.Shelf(tmp_path)
    shelf.add_key({**KEY, "subject": SUBJECTS[0]})
    shelf.add([entry(rules, "legal-hold", 5), entry(rules, "erased", 6)], now=7.0)

    assert shelf.keys_of(SUBJECTS[0])


def test_a_keeper_that_stopped_between_a_record_and_its_effect_destroys_the_key_when_it_starts(
    rules: ModuleType, disk: ModuleType, tmp_path: Path
) -> None:
    shelf = disk.Shelf(tmp_path)
    shelf.add_key({**KEY, "subject": SUBJECTS[0]})
    shelf._append(entry(rules, "erased", 6), 7.0)
    assert shelf.keys_of(SUBJECTS[0])

    again = disk.Shelf(tmp_path)

    assert again.keys_of(SUBJECTS[0]) == []
    assert again.is_erased(SUBJECTS[0])


def test_nothing_is_added_to_a_chain_that_is_not_what_its_keeper_wrote(
    rules: ModuleType, disk: ModuleType, tmp_path: Path
) -> None:
    shelf = disk.Shelf(tmp_path)
    shelf.add([entry(rules, "held", 1)], now=7.0)
    (tmp_path / "ledger" / "00000001.json").unlink()

    with pytest.raises(rules.Wrong, match="not what this keeper wrote"):
        shelf.add([entry(rules, "released", 2)], now=8.0)


@pytest.mark.parametrize(
    ("kind", "took", "missing"),
    [
        pytest.param("erased", ["a", "vault"], [], id="an erasure at a site and the vault"),
        pytest.param("erased", ["a", "b"], ["apart"], id="an erasure that the vault does not have"),
        pytest.param("erased", ["vault"], ["needed"], id="an erasure at the vault alone"),
        pytest.param("held", ["a", "b"], [], id="a hold while the vault is away"),
        pytest.param("held", ["a", "somebody else"], ["needed"], id="a hold at one keeper"),
    ],
)
def test_an_entry_counts_when_a_majority_has_it_and_an_erasure_when_the_vault_does(
    rules: ModuleType, kind: str, took: list[str], missing: list[str]
) -> None:
    keepers = {"a": False, "b": False, "vault": True}

    reasons = list(rules.reasons_not_to_acknowledge(entry(rules, kind, 1), took=took, keepers=keepers))

    assert len(reasons) == len(missing)
    assert all(word in reason for word, reason in zip(missing, reasons, strict=True))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"subject": "alice"}, id="a name in the place of an id"),
        pytest.param({"kind": "forgotten"}, id="an unknown kind"),
        pytest.param({"at": "yesterday"}, id="no time"),
        pytest.param({"at": float("inf")}, id="a time without end"),
        pytest.param({"reason": ""}, id="no reason"),
        pytest.param({"reason": "a\nb"}, id="a reason of two lines"),
        pytest.param({"more": 1}, id="an unknown key"),
    ],
)
def test_an_entry_that_could_not_be_meant_is_refused(rules: ModuleType, change: dict[str, Any]) -> None:
    words = {"kind": "held", "subject": SUBJECTS[0], "at": 1.0, "by": "ops", "reason": "why"} | change

    with pytest.raises(rules.Wrong):
        rules.entry_in(words)
