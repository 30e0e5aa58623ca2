"""Approvals are signed with real OpenSSH keys, and everything that is not exactly the person's word is refused."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from secondsite.errors import UsageError
from secondsite.hands.approvers import LAB_PERSONS, SshApprovers, make_lab_persons, sign_answer
from secondsite.run.model import Answer
from secondsite.run.ports import NotSigned, Signed

AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
WORD = Answer(
    run="000001-failover",
    gate="authorise",
    plan_digest="a" * 64,
    targets=("carrier-a", "db-dc2"),
    who="lab-approver-1",
    granted=True,
    at=AT.isoformat(),
    expires=(AT + dt.timedelta(hours=4)).isoformat(),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("approvers")
    make_lab_persons(made)
    return made


def approvers(folder: Path) -> SshApprovers:
    return SshApprovers(allowed=folder / "allowed_signers")


def why_not(found: Signed | NotSigned) -> str:
    assert isinstance(found, NotSigned)
    return "; ".join(found.reasons)


def test_each_person_signs_with_a_key_of_their_own(folder: Path) -> None:
    found = [approvers(folder).signed(sign_answer(replace(WORD, who=name), key=folder / name)) for name in LAB_PERSONS]
    assert len({one.key for one in found if isinstance(one, Signed)}) == len(LAB_PERSONS)


@pytest.mark.parametrize(
    "bend",
    [
        {"granted": False},
        {"run": "000002-failover"},
        {"gate": "wipe"},
        {"plan_digest": "b" * 64},
        {"targets": ("carrier-a", "db-dc2", "vault")},
        {"expires": (AT + dt.timedelta(hours=24)).isoformat()},
        {"who": "lab-deputy-1"},
    ],
)
def test_a_word_changed_after_it_was_signed_does_not_count(folder: Path, bend: dict[str, Any]) -> None:
    signed = sign_answer(WORD, key=folder / WORD.who)
    assert "did not sign this answer" in why_not(approvers(folder).signed(replace(signed, **bend)))


def test_a_signature_over_something_else_or_for_another_purpose_does_not_count(folder: Path) -> None:
    other = sign_answer(replace(WORD, gate="another"), key=folder / WORD.who)
    assert "did not sign" in why_not(approvers(folder).signed(replace(WORD, signature=other.signature)))
    assert "not signed" in why_not(approvers(folder).signed(WORD))
    assert "none of OpenSSH's" in why_not(approvers(folder).signed(replace(WORD, signature="x" * 100_000)))
    assert "did not sign" in why_not(approvers(folder).signed(replace(WORD, signature="-----BEGIN")))


def test_somebody_elses_key_and_an_unknown_person_do_not_count(folder: Path) -> None:
    borrowed = sign_answer(WORD, key=folder / "lab-deputy-1")
    assert "did not sign" in why_not(approvers(folder).signed(borrowed))
    stranger = sign_answer(replace(WORD, who="mallory"), key=folder / "lab-deputy-1")
    assert "not one of those who may consent" in why_not(approvers(folder).signed(stranger))
    for name in ("-f/etc/passwd", "*", "lab-*"):
        assert "may consent" in why_not(approvers(folder).signed(replace(stranger, who=name)))


def test_one_key_under_two_names_is_told_by_its_bytes(folder: Path, tmp_path: Path) -> None:
    public = (folder / "lab-deputy-1.pub").read_text().split()
    allowed = tmp_path / "approvers"
    allowed.write_text(f"# on call\nana {public[0]} {public[1]}\nbo {public[0]} {public[1]} again\n")
    both = SshApprovers(allowed=allowed)
    keys = [both.signed(sign_answer(replace(WORD, who=who), key=folder / "lab-deputy-1")) for who in ("ana", "bo")]
    assert isinstance(keys[0], Signed)
    assert keys[0] == keys[1]


def test_who_is_taken_out_of_the_file_may_consent_no_more(folder: Path, tmp_path: Path) -> None:
    signed = sign_answer(WORD, key=folder / WORD.who)
    allowed = tmp_path / "approvers"
    assert "nobody may consent yet" in why_not(SshApprovers(allowed=allowed).signed(signed))
    allowed.write_bytes((folder / "allowed_signers").read_bytes())
    assert isinstance(SshApprovers(allowed=allowed).signed(signed), Signed)
    kept = [line for line in allowed.read_text().splitlines() if not line.startswith(WORD.who)]
    allowed.write_text("\n".join(kept))
    assert "not one of those" in why_not(SshApprovers(allowed=allowed).signed(signed))


def test_the_doctor_is_told_whether_two_persons_could_consent(folder: Path, tmp_path: Path) -> None:
    allowed = tmp_path / "approvers"
    assert "is missing" in SshApprovers(allowed=allowed).trouble()
    one, other = [(folder / f"lab-deputy-{number}.pub").read_text().strip() for number in (1, 2)]
    for lines, told in (
        (["# nobody yet"], "0 persons with 0 different keys"),
        ([f"ana {one}"], "1 persons with 1 different keys"),
        ([f"ana {one}", f"bo {one}"], "2 persons with 1 different keys"),
        ([f"ana {one}", f"ana {other}"], "2 different keys"),
    ):
        allowed.write_text("\n".join(lines))
        assert told in SshApprovers(allowed=allowed).trouble()
    allowed.write_text(f'ana namespaces="approval@secondsite" {one}\nbo {other}\n')
    assert SshApprovers(allowed=allowed).trouble() == ""


def test_a_key_that_cannot_sign_is_named_and_nothing_is_signed(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no key"):
        sign_answer(WORD, key=tmp_path / "none")
    (tmp_path / "bad").write_text("no key")
    with pytest.raises(UsageError, match="can't sign"):
        sign_answer(WORD, key=tmp_path / "bad")
    assert (folder / "lab-approver-1").stat().st_mode & 0o777 == 0o600
