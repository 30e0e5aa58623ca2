"""An assessment counts when it is whole, about this bundle, and of somebody who had no other part in the drill."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.evidence.drilled import RUN, SEALERS, VERSION, Drilled, People, people_in

from secondsite.cli.main import main
from secondsite.evidence import canonical
from secondsite.evidence.roles import ASSESSMENT_NAMESPACE
from secondsite.hands.openssh import sign_statement

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return people_in(tmp_path_factory.mktemp("people"))


@pytest.fixture
def bundle(people: People, tmp_path: Path) -> Path:
    return Drilled(people=people).sealed(tmp_path / "000007-site-loss")


def assess(bundle: Path, people: People, *, who: str = "assessor", key: str = "", more: tuple[str, ...] = ()) -> int:
    words = ["--as", who, "--key", str(people.key(key or who)), "--finding", "agrees"]
    return main(["evidence", "assess", str(bundle), *words, "--words", "I counted the writes again.", *more])


def path_of(bundle: Path, who: str = "assessor") -> Path:
    return bundle.parent / f"evidence.assessment-{who}.json"


def verified(bundle: Path, capsys: Capture, *words: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = main(["evidence", "verify", str(bundle), "--json", *words])
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, document


def allowed_in(folder: Path, *lines: str) -> str:
    (folder / "assessors").write_text("".join(lines))
    return str(folder / "assessors")


def test_somebody_without_another_part_assesses_and_others_can_check_it(
    bundle: Path, people: People, tmp_path: Path, capsys: Capture
) -> None:
    before = bundle.read_bytes()
    assert assess(bundle, people) == 0
    assert bundle.read_bytes() == before
    assert path_of(bundle).is_file()

    code, told = verified(bundle, capsys, "--assessors", allowed_in(tmp_path, people.line("assessor")))
    assert code == 0
    (one,) = told["assessments"]
    assert (one["assessor"], one["finding"], one["independence"]) == ("assessor", "agrees", "independent")
    assert one["counts"] is True
    assert one["words"] == "I counted the writes again."
    assert [part["name"] for part in told["roles"]["authors"]] == ["author"]
    assert {part["name"] for part in told["roles"]["executors"]} == {"starter", *SEALERS}
    assert {part["name"] for part in told["roles"]["approvers"]} == {"approver", "order signer 1", "order signer 2"}
    assert all(part["key"] for part in told["roles"]["approvers"])

    folder_code, same = verified(bundle.parent / "evidence", capsys)
    assert folder_code == 0
    assert same["assessments"][0]["finding"] == "agrees"


def test_without_assessors_it_is_said_that_nobodys_key_was_checked(
    bundle: Path, people: People, capsys: Capture
) -> None:
    assess(bundle, people)
    capsys.readouterr()
    assert main(["evidence", "verify", str(bundle)]) == 0
    said = capsys.readouterr()
    assert "nobody's key was checked" in said.out
    assert "not whose keys made them" in said.err
    code, told = verified(bundle, capsys)
    assert code == 0
    assert told["assessments"][0]["counts"] is False
    assert told["assessments"][0]["key_known"] is False


@pytest.mark.parametrize(
    ("who", "key", "reason"),
    [
        pytest.param("author", "stranger", "author is author of failover, version", id="the author's name"),
        pytest.param("Author", "stranger", "Author is author of failover", id="the author's name in other letters"),
        pytest.param("dora", "author", "is that of author author of failover", id="the author's key, another name"),
        pytest.param("starter", "stranger", "starter is executor of the drill", id="who began it"),
        pytest.param("dora", "sealer 2", "sealer 2 executor of the drill, sealing its", id="a key that sealed it"),
        pytest.param("approver", "stranger", f"approver of authorise in run {RUN}", id="who consented"),
        pytest.param("dora", "approver", "is that of approver approver", id="the consenter's key, another name"),
        pytest.param("dora", "order signer 1", "signer of a standing order", id="a standing order's signer"),
    ],
)
def test_whoever_had_another_part_by_name_or_by_key_is_refused_with_the_reason(
    who: str, key: str, reason: str, bundle: Path, people: People, capsys: Capture
) -> None:
    assert assess(bundle, people, who=who, key=key) == 5
    assert reason in " ".join(capsys.readouterr().err.split())
    assert not list(bundle.parent.glob("*assessment*"))


def test_every_reason_is_named(bundle: Path, people: People, capsys: Capture) -> None:
    assert assess(bundle, people, who="starter", key="author") == 5
    told = " ".join(capsys.readouterr().err.split())
    assert "starter is executor of the drill" in told
    assert "is that of author" in told


def test_a_bundle_that_does_not_verify_is_not_assessed(bundle: Path, people: People, capsys: Capture) -> None:
    path = bundle.parent / "evidence" / "records" / "requests.jsonl"
    path.write_bytes(path.read_bytes().replace(b"failed", b"ok    ", 1))
    assert assess(bundle.parent / "evidence", people) == 7
    assert "does not verify" in capsys.readouterr().err
    assert not list(bundle.parent.glob("*assessment*"))


def test_an_assessment_is_never_written_over(bundle: Path, people: People, capsys: Capture) -> None:
    assess(bundle, people)
    before = path_of(bundle).read_bytes()
    assert assess(bundle, people, more=("--words", "something else")) == 2
    assert "is there already" in capsys.readouterr().err
    assert path_of(bundle).read_bytes() == before
    assert {path.name for path in bundle.parent.iterdir() if "assessment" in path.name} == {path_of(bundle).name}


def test_two_may_assess_and_need_not_agree(bundle: Path, people: People, tmp_path: Path, capsys: Capture) -> None:
    assess(bundle, people)
    assert assess(bundle, people, who="stranger", more=("--finding", "disagrees")) == 0
    known = allowed_in(tmp_path, people.line("assessor"), people.line("stranger"))
    code, told = verified(bundle, capsys, "--assessors", known)
    assert code == 0
    assert [one["finding"] for one in told["assessments"]] == ["agrees", "disagrees"]


def test_an_assessor_whose_key_the_reader_does_not_know_is_a_problem(
    bundle: Path, people: People, tmp_path: Path, capsys: Capture
) -> None:
    assess(bundle, people)
    lines = {
        "another key": people.line("assessor", key="stranger"),
        "another name": people.line("stranger", key="assessor"),
        "another purpose": people.line("assessor", namespace="approval@secondsite"),
        "nobody": "",
    }
    for line in lines.values():
        code, told = verified(bundle, capsys, "--assessors", allowed_in(tmp_path, line))
        assert code == 7
        assert told["assessments"][0]["counts"] is False
        assert "not signed by a key of assessor" in told["problems"][0]["what"]
    assert main(["evidence", "verify", str(bundle), "--assessors", str(tmp_path / "none")]) == 2


Bend = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("bend", "told"),
    [
        pytest.param(lambda one: one["statement"].update(words="All is well."), "nothing whole is signed", id="words"),
        pytest.param(lambda one: one["statement"].update(finding="disagrees"), "nothing whole is signed", id="finding"),
        pytest.param(lambda one: one["statement"].update(assessor="dora"), "nothing whole is signed", id="name"),
        pytest.param(lambda one: one["statement"].update(verdict="failed"), "the bundle shows 'passed'", id="verdict"),
        pytest.param(lambda one: one["statement"]["roles"].update(authors=[]), "the bundle shows", id="roles"),
        pytest.param(lambda one: one["statement"].update(finding="perhaps"), "its finding is 'perhaps'", id="no word"),
        pytest.param(lambda one: one["statement"].update(finding=["agrees"]), "its finding is", id="no text"),
        pytest.param(lambda one: one["statement"].update(assessor="-f/etc"), "which is no name", id="no name"),
        pytest.param(lambda one: one["statement"].pop("at"), "its statement is not", id="a field less"),
        pytest.param(lambda one: one.update(signature="-----BEGIN"), "nothing whole is signed", id="no signature"),
        pytest.param(lambda one: one.pop("signature"), "not a statement and its signature", id="unsigned"),
    ],
)
def test_a_tampered_assessment_is_a_problem(
    bend: Bend, told: str, bundle: Path, people: People, capsys: Capture
) -> None:
    assess(bundle, people)
    document = json.loads(path_of(bundle).read_bytes())
    bend(document)
    path_of(bundle).write_bytes(canonical(document) + b"\n")
    code, found = verified(bundle, capsys)
    assert code == 7
    assert any(told in problem["what"] for problem in found["problems"]), found["problems"]
    assert found["assessments"][0]["counts"] is False


@pytest.mark.parametrize("content", [b"", b"no JSON", b"[]", b"{}", b'{"statement": {}, "signature": ""}\n'])
def test_what_is_no_assessment_is_a_problem_and_no_traceback(content: bytes, bundle: Path, capsys: Capture) -> None:
    path_of(bundle).write_bytes(content)
    code, found = verified(bundle, capsys)
    assert code == 7
    assert found["problems"][0]["file"] == path_of(bundle).name


def test_it_is_said_that_the_bundle_is_whole_and_what_is_beside_it_is_not(bundle: Path, capsys: Capture) -> None:
    path_of(bundle).write_bytes(b"{}")
    assert main(["evidence", "verify", str(bundle)]) == 7
    said = " ".join(capsys.readouterr().err.split())
    assert "evidence.tar.gz verifies, and what is beside it does not" in said
    assert "ask for the bundle again" not in said


def test_an_assessment_of_another_bundle_is_a_problem(
    bundle: Path, people: People, tmp_path: Path, capsys: Capture
) -> None:
    other = Drilled(people=people, scenario="another").sealed(tmp_path / "000009-another")
    assess(other, people)
    path_of(other).rename(path_of(bundle))
    code, found = verified(bundle, capsys)
    assert code == 7
    assert "it is about another bundle" in found["problems"][0]["what"]


def forged(bundle: Path, people: People, *, who: str, key: str) -> None:
    """Write an assessment as somebody would who has the tools and does not care for the rules."""
    assert assess(bundle, people) == 0
    document = json.loads(path_of(bundle).read_bytes())
    path_of(bundle).unlink()
    statement = document["statement"] | {"assessor": who}
    signature = sign_statement(canonical(statement), key=people.key(key), namespace=ASSESSMENT_NAMESPACE)
    path_of(bundle, who).write_bytes(canonical({"statement": statement, "signature": signature}) + b"\n")


@pytest.mark.parametrize(
    ("who", "key", "reason"),
    [
        ("author", "stranger", "author is author"),
        ("dora", "author", "is that of author"),
        ("dora", "sealer 1", "sealing its evidence"),
        ("dora", "order signer 2", "signer of a standing order"),
        ("approver", "approver", "approver is approver"),
    ],
)
def test_independence_is_judged_again_by_whoever_verifies(
    who: str, key: str, reason: str, bundle: Path, people: People, capsys: Capture
) -> None:
    forged(bundle, people, who=who, key=key)
    code, found = verified(bundle, capsys)
    assert code == 7
    assert any(reason in problem["what"] for problem in found["problems"])
    assert found["assessments"][0]["independence"] == "not-independent"


def test_a_signature_made_for_another_purpose_is_none(bundle: Path, people: People, capsys: Capture) -> None:
    assess(bundle, people)
    document = json.loads(path_of(bundle).read_bytes())
    document["signature"] = sign_statement(
        canonical(document["statement"]), key=people.key("assessor"), namespace="approval@secondsite"
    )
    path_of(bundle).write_bytes(canonical(document) + b"\n")
    assert verified(bundle, capsys)[0] == 7


def test_an_older_bundle_verifies_says_that_its_roles_are_not_known_and_nobody_can_assess_it(
    people: People, tmp_path: Path, capsys: Capture
) -> None:
    old = Drilled(people=people, with_roles=False).sealed(tmp_path / "000001-old")
    code, found = verified(old, capsys)
    assert code == 0
    assert "does not say who had which part" in found["roles"]["missing"][0]
    assert found["assessments"] == []
    assert assess(old, people) == 5
    assert "nobody can be told apart" in " ".join(capsys.readouterr().err.split())


def test_an_assessment_beside_an_older_bundle_never_passes(people: People, tmp_path: Path, capsys: Capture) -> None:
    old = Drilled(people=people, with_roles=False).sealed(tmp_path / "000001-old")
    new = Drilled(people=people).sealed(tmp_path / "000002-new")
    assess(new, people)
    path_of(new).rename(path_of(old))
    code, found = verified(old, capsys)
    assert code == 7
    assert found["assessments"][0]["independence"] == "unknown"


def test_a_runbook_that_nobody_answers_for_is_said_and_independence_from_its_author_is_not_shown(
    people: People, tmp_path: Path, capsys: Capture
) -> None:
    bundle = Drilled(people=people, author=None).sealed(tmp_path / "000007-site-loss")
    assert assess(bundle, people) == 0
    code, found = verified(bundle, capsys, "--assessors", allowed_in(tmp_path, people.line("assessor")))
    assert code == 0
    assert found["roles"]["authors"] == []
    assert found["roles"]["unsigned"] == [
        f"nobody answers for this version of failover ({VERSION[:12]}): no version of it is signed"
    ]
    assert found["assessments"][0]["independence"] == "unknown"
    assert found["assessments"][0]["counts"] is False
    assert any("it is not shown that assessor had no other part" in warning for warning in found["warnings"])


def test_an_author_that_is_recorded_without_having_signed_is_a_problem(
    people: People, tmp_path: Path, capsys: Capture
) -> None:
    drilled = Drilled(people=people)
    record = drilled.record()
    record["runs"][0]["author"]["name"] = "somebody-else"
    drilled.bend = {"runs": record["runs"]}
    bundle = drilled.sealed(tmp_path / "000007-site-loss")
    code, found = verified(bundle, capsys)
    assert code == 7
    assert "'somebody-else' did not sign what is recorded" in found["problems"][0]["what"]
    assert assess(bundle, people) == 7


@pytest.mark.parametrize(
    ("bend", "told"),
    [
        pytest.param({"runs": []}, "does not say who answers for the runbook of 000008-failover", id="a run left out"),
        pytest.param({"executors": []}, None, id="only the promise says who began it"),
    ],
)
def test_whom_one_place_leaves_out_another_names(
    bend: dict[str, Any], told: str | None, people: People, tmp_path: Path, capsys: Capture
) -> None:
    bundle = Drilled(people=people, bend=bend).sealed(tmp_path / "000007-site-loss")
    if told is None:
        assert assess(bundle, people, who="starter", key="stranger") == 5
        return
    assert assess(bundle, people) == 5
    assert told in " ".join(capsys.readouterr().err.split())


def test_a_version_that_is_not_that_of_the_plan_in_the_bundle_is_a_problem(
    people: People, tmp_path: Path, capsys: Capture
) -> None:
    bundle = Drilled(people=people, version="12" * 32).sealed(tmp_path / "000007-site-loss")
    code, found = verified(bundle, capsys)
    assert code == 7
    assert "is not that of the plan" in found["problems"][0]["what"]


def test_a_run_that_was_never_begun_does_not_keep_its_bundle_from_verifying(
    people: People, tmp_path: Path, capsys: Capture
) -> None:
    run: dict[str, Any] = {
        "run": RUN,
        "runbook": "failover",
        "version": "",
        "began": [],
        "author": None,
        "why": "never begun",
    }
    bundle = Drilled(people=people, bend={"runs": [run], "answers": []}).sealed(tmp_path / "000007-site-loss")
    code, found = verified(bundle, capsys)
    assert code == 0
    assert found["roles"]["unsigned"] == ["nobody answers for this version of failover (not known): never begun"]


def test_records_of_roles_that_are_none_are_problems_and_no_traceback(
    people: People, tmp_path: Path, capsys: Capture
) -> None:
    hostile: list[dict[str, Any]] = [
        {"runs": 7, "answers": [1], "order_signers": None},
        {"runs": [{"run": {}, "author": {"name": ["x"]}}]},
        {"answers": [{"answer": None}, {"answer": {"who": 3, "signature": "x" * 99999}, "key": []}]},
        {"schema_version": 2},
    ]
    for number, bend in enumerate(hostile):
        bundle = Drilled(people=people, bend=bend).sealed(tmp_path / f"{number:06d}-hostile")
        code, found = verified(bundle, capsys)
        assert code == 7
        assert {problem["file"] for problem in found["problems"]} == {"records/roles.json"}


@pytest.mark.parametrize("who", ["../x", "-f", "a b", "", "a" * 65])
def test_a_name_that_could_be_a_path_or_an_option_is_refused(who: str, bundle: Path, people: People) -> None:
    assert assess(bundle, people, who=who, key="assessor") == 2
    assert not list(bundle.parent.glob("*assessment*"))


def test_an_assessment_without_words_is_none(bundle: Path, people: People) -> None:
    assert assess(bundle, people, more=("--words", "  ")) == 2
    assert assess(bundle, people, more=("--words", "x" * 5000)) == 2
    assert not list(bundle.parent.glob("*assessment*"))


def test_a_link_beside_the_bundle_is_not_followed(bundle: Path, tmp_path: Path) -> None:
    path_of(bundle).symlink_to(tmp_path / "elsewhere")
    assert main(["evidence", "verify", str(bundle)]) == 7


def test_a_report_names_the_roles_and_how_to_assess(bundle: Path, people: People, capsys: Capture) -> None:
    for kind, told in (
        ("html", ["Who did what", "author", "signer of a standing order", "evidence assess"]),
        ("md", ["| author | author | failover", "| executor | starter | the drill"]),
        ("junit", ['<property name="author" value="author SHA256:']),
    ):
        capsys.readouterr()
        assert main(["report", f"{bundle.parent}/", "--format", kind]) == 0
        page = capsys.readouterr().out
        for words in told:
            assert words in page
