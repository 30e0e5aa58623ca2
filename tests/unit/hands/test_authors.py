"""Who answers for a version of a runbook is found by a signature over exactly that version, else nobody does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from secondsite.errors import Refused, UsageError
from secondsite.hands.approvers import LAB_ASSESSOR, LAB_AUTHOR, SshApprovers, make_lab_persons
from secondsite.hands.authors import LabAuthors, SshAuthors
from secondsite.plan.model import Plan
from secondsite.run.roles import version_of
from secondsite.sim.plans import example_plan

AT = "2026-11-30T09:00:00+00:00"
PLAN = replace(example_plan(), runbook="failover", pins={"runbooks/failover.py": "ab" * 32})
CHANGED = replace(PLAN, pins={"runbooks/failover.py": "cd" * 32})


@pytest.fixture(scope="module")
def persons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("persons")
    make_lab_persons(made)
    return made


@pytest.fixture
def authors(persons: Path, tmp_path: Path) -> SshAuthors:
    allowed = tmp_path / "approvers"
    allowed.write_bytes((persons / "allowed_signers").read_bytes())
    return SshAuthors(allowed=allowed, folder=tmp_path / "signed-runbooks")


def sign(authors: SshAuthors, persons: Path, *, plan: Plan = PLAN, who: str = LAB_AUTHOR, key: str = "") -> None:
    authors.sign(plan, who=who, at=AT, key=persons / (key or who))


def test_who_signed_this_version_answers_for_it(authors: SshAuthors, persons: Path) -> None:
    assert authors.answering_for(PLAN).why == "no version of it is signed"
    sign(authors, persons)
    found = authors.answering_for(PLAN)
    assert (found.is_signed, found.name, found.at, found.version) == (True, LAB_AUTHOR, AT, version_of(PLAN))
    assert found.key.startswith("SHA256:")


def test_what_was_changed_since_is_answered_for_by_nobody_and_that_another_version_is_signed_is_said(
    authors: SshAuthors, persons: Path
) -> None:
    sign(authors, persons)
    found = authors.answering_for(CHANGED)
    assert not found.is_signed
    assert found.why == f"signed are other versions of it ({version_of(PLAN)[:12]})"
    sign(authors, persons, plan=CHANGED)
    assert authors.answering_for(CHANGED).is_signed
    assert authors.answering_for(PLAN).is_signed


def test_the_estate_the_direction_and_the_steps_are_no_part_of_a_version(authors: SshAuthors, persons: Path) -> None:
    sign(authors, persons)
    assert authors.answering_for(replace(PLAN, origin="dc2", target="dc1", estate="another", digest="")).is_signed
    assert not authors.answering_for(replace(PLAN, runbook="failback")).is_signed


def test_a_signature_that_was_moved_to_another_version_or_changed_is_none(authors: SshAuthors, persons: Path) -> None:
    sign(authors, persons)
    (path,) = authors.folder.iterdir()
    moved = authors.folder / f"failover-{version_of(CHANGED)[:16]}.json"
    moved.write_bytes(path.read_bytes())
    assert "it is not about version" in authors.answering_for(CHANGED).why
    for content in (b"", b"[]", b"{}", path.read_bytes().replace(AT.encode(), b"2026-11-30T10:00:00+00:00")):
        path.write_bytes(content)
        found = authors.answering_for(PLAN)
        assert not found.is_signed
        assert found.why


def test_who_was_taken_out_answers_for_nothing_any_more(authors: SshAuthors, persons: Path) -> None:
    sign(authors, persons)
    lines = authors.allowed.read_text().splitlines()
    authors.allowed.write_text("\n".join(line for line in lines if not line.startswith(LAB_AUTHOR)))
    assert not authors.answering_for(PLAN).is_signed
    authors.allowed.unlink()
    assert "approvers is missing" in authors.answering_for(PLAN).why


@pytest.mark.parametrize(
    ("who", "key"),
    [
        pytest.param("lab-approver-1", "", id="a key kept for approvals"),
        pytest.param(LAB_ASSESSOR, "", id="a key kept for assessments"),
        pytest.param(LAB_AUTHOR, "lab-deputy-1", id="another's key"),
        pytest.param("mallory", LAB_AUTHOR, id="another's name"),
    ],
)
def test_who_may_not_answer_for_a_runbook_is_refused_and_nothing_is_kept(
    who: str, key: str, authors: SshAuthors, persons: Path
) -> None:
    with pytest.raises(Refused, match="may not answer for a runbook"):
        sign(authors, persons, who=who, key=key)
    assert not authors.folder.exists()


def test_a_version_has_one_author_and_a_name_is_a_name(authors: SshAuthors, persons: Path) -> None:
    with pytest.raises(UsageError, match="is no name of a person"):
        sign(authors, persons, who="../x", key=LAB_AUTHOR)
    sign(authors, persons)
    with pytest.raises(Refused, match="lab-author answers for this version of failover"):
        sign(authors, persons)


def test_the_lab_signs_for_itself_and_goes_on_where_it_can_not(authors: SshAuthors, persons: Path) -> None:
    lab = LabAuthors(authors=authors, name=LAB_AUTHOR, key=persons / LAB_AUTHOR, now=lambda: AT)
    assert lab.answering_for(PLAN).name == LAB_AUTHOR
    assert lab.answering_for(PLAN).is_signed
    broken = replace(lab, key=persons / "none")
    assert "there is no key" in broken.answering_for(CHANGED).why


def test_nothing_that_is_wrong_with_a_signature_keeps_a_run_from_being_begun(
    authors: SshAuthors, persons: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign(authors, persons)

    def gone(*_words: object, **_more: object) -> None:
        raise UsageError("ssh-keygen is not installed here")

    monkeypatch.setattr("secondsite.hands.openssh.run_process", gone)
    assert "ssh-keygen is not installed here" in authors.answering_for(PLAN).why


def test_each_key_of_the_lab_is_for_one_role(persons: Path) -> None:
    names = SshApprovers(allowed=persons / "allowed_signers").names()
    assert LAB_AUTHOR not in names
    assert LAB_ASSESSOR not in names
    assert "lab-approver-1" in names


def test_a_file_of_an_older_version_gets_the_two_new_lines_once_and_keeps_who_was_taken_out_out(
    persons: Path, tmp_path: Path
) -> None:
    make_lab_persons(tmp_path)
    allowed = tmp_path / "allowed_signers"
    whole = allowed.read_text().splitlines()
    old = [line for line in whole if line.startswith(("lab-approver", "lab-deputy"))]
    for name in (LAB_AUTHOR, LAB_ASSESSOR):
        (tmp_path / name).unlink()
        (tmp_path / f"{name}.pub").unlink()
    allowed.write_text("\n".join(old[1:]))
    make_lab_persons(tmp_path)
    now = allowed.read_text().splitlines()
    assert now[: len(old) - 1] == old[1:]
    assert [line.split()[0] for line in now[len(old) :]] == [LAB_AUTHOR, LAB_ASSESSOR]
    allowed.write_text("\n".join(line for line in now if not line.startswith(LAB_AUTHOR)))
    before = allowed.read_bytes()
    make_lab_persons(tmp_path)
    assert allowed.read_bytes() == before


def test_a_line_that_names_no_purpose_is_for_every_role(persons: Path, tmp_path: Path) -> None:
    public = " ".join((persons / "lab-deputy-1.pub").read_text().split()[:2])
    allowed = tmp_path / "approvers"
    allowed.write_text(f'ana {public} namespaces="runbook@secondsite"\nbo namespaces="run*,approval@*" {public}\n')
    assert SshApprovers(allowed=allowed).names() == ("ana", "bo")
    authors = SshAuthors(allowed=allowed, folder=tmp_path / "signed")
    authors.sign(PLAN, who="ana", at=AT, key=persons / "lab-deputy-1")
    assert authors.answering_for(PLAN).name == "ana"
