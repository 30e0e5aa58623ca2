"""Whatever is done to a sealed bundle is noticed, and every number follows from its records."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.measure.story import Story, thin_story

from secondsite.errors import EvidenceError
from secondsite.evidence import (
    Bundle,
    Identity,
    Trust,
    Verification,
    load_bundle,
    load_trust,
    new_identity,
    pack,
    parse_trust,
    raise_on,
    seal,
    sealed_files,
    verify,
)
from secondsite.evidence.canonical import canonical
from secondsite.evidence.manifest import to_bytes
from secondsite.evidence.sign import STATEMENT_TYPE, sign_bytes
from secondsite.evidence.verify import statement_for

ALICE, BOB, MALLORY = new_identity("lab identity 1"), new_identity("lab identity 2"), new_identity("somebody else")


def run_files(story: Story | None = None) -> dict[str, bytes]:
    records = {f"records/{name}": content for name, content in (story or thin_story()).files().items()}
    return {**records, "plan.json": b'{"runbook":"failover"}\n', "estate/estate.yml": b"name: lab\n"}


SEALED = sealed_files(run_files(), [ALICE, BOB])
TRUST = Trust(keys=(ALICE.public_key, BOB.public_key), threshold=2, source="the test")


def check(files: Mapping[str, bytes], trust: Trust | None = TRUST) -> Verification:
    return verify(Bundle(source="bundle", files=files), trust)


def named(verification: Verification) -> str:
    return "\n".join(str(problem) for problem in verification.problems)


def test_an_untouched_bundle_verifies_and_recomputes_to_what_it_states() -> None:
    verification = check(SEALED)
    assert named(verification) == ""
    assert verification.signed_by == ("lab identity 1", "lab identity 2")
    assert verification.recomputed is not None
    assert verification.recomputed["verdict"] == "passed"
    assert verification.stated == verification.recomputed


@pytest.mark.parametrize(
    ("name", "trust"),
    [pytest.param(name, TRUST, id=f"{name}, keys given") for name in sorted(SEALED)]
    + [
        pytest.param(name, None, id=f"{name}, own keys")
        for name in sorted(SEALED)
        if not name.startswith("records/") or name == "records/events.jsonl"
    ],
)
def test_one_flipped_bit_in_any_file_is_noticed(name: str, trust: Trust | None) -> None:
    content = SEALED[name] or b"\n"  # a record of which there is none: one line more is noticed as well
    for place in sorted({0, len(content) // 2, len(content) - 1}):
        changed = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        verification = check({**SEALED, name: changed}, trust)
        assert name in named(verification), f"byte {place} of {name}"


@pytest.mark.parametrize("name", ["envelope.json", "keys.json", "manifest.json"])
@given(place=st.integers(min_value=0), bit=st.integers(min_value=0, max_value=7))
@settings(max_examples=25, deadline=None)
def test_any_flipped_bit_of_the_seal_itself_is_noticed(name: str, place: int, bit: int) -> None:
    content = SEALED[name]
    place %= len(content)
    changed = content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :]
    small = {path: SEALED[path] for path in SEALED if not path.startswith("records/")}
    verification = check({**small, name: changed})
    assert {problem.file for problem in verification.problems} & {name, "envelope.json"}


@pytest.mark.parametrize("name", sorted(SEALED))
def test_a_removed_file_is_named(name: str) -> None:
    assert name in named(check({path: content for path, content in SEALED.items() if path != name}))


@pytest.mark.parametrize("name", ["records/more.jsonl", "note.txt", "estate/hosts.yml"])
def test_an_added_file_is_named(name: str) -> None:
    assert f"{name}: /: the bundle holds this file" in named(check({**SEALED, name: b"x"}))


def test_cut_records_are_called_cut() -> None:
    content = SEALED["records/requests.jsonl"]
    half = content[: content.index(b"\n", len(content) // 2) + 1]
    assert "records/requests.jsonl: /: cut short" in named(check({**SEALED, "records/requests.jsonl": half}))


def test_reordered_lines_are_noticed() -> None:
    turned = b"".join(reversed(SEALED["records/events.jsonl"].splitlines(keepends=True)))
    assert "records/events.jsonl" in named(check({**SEALED, "records/events.jsonl": turned}))


def test_a_result_changed_and_sealed_again_by_the_right_people_still_does_not_follow_from_the_records() -> None:
    stated = json.loads(SEALED["result.json"])
    stated["times"]["fault_to_restored_s"] = 1.5
    files = {**SEALED, "result.json": json.dumps(stated).encode()}
    files["manifest.json"] = to_bytes(files, drill=stated["drill"])
    statement = statement_for(
        files["manifest.json"], files["result.json"], drill=stated["drill"], verdict=stated["verdict"]
    )
    files["envelope.json"] = canonical(sign_bytes(statement, [ALICE, BOB], payload_type=STATEMENT_TYPE))
    problems = check(files).problems
    assert [problem.pointer for problem in problems] == ["/times/fault_to_restored_s"]
    assert "stated 1.5, recomputed 3.0" in problems[0].what


def test_a_signature_of_another_bundle_is_refused() -> None:
    other = sealed_files(run_files(Story(requests=thin_story().requests, limitations=["another drill"])), [ALICE, BOB])
    text = named(check({**SEALED, "envelope.json": other["envelope.json"]}))
    assert "what was signed is not this manifest" in text


def test_a_bundle_signed_by_a_stranger_is_refused_by_whoever_names_the_keys() -> None:
    text = named(check(sealed_files(run_files(), [ALICE, MALLORY])))
    assert "signed by 1 of the trusted keys" in text


def test_without_trusted_keys_the_verification_says_what_it_does_not_prove() -> None:
    verification = check(sealed_files(run_files(), [MALLORY, BOB]), None)
    assert verification.verifies
    assert "not who made it" in verification.warnings[0]


def test_one_key_under_two_names_is_no_second_signer() -> None:
    twin = Identity("lab identity 2", ALICE._signer)
    with pytest.raises(EvidenceError, match="a key of its own"):
        sealed_files(run_files(), [ALICE, twin])
    keys = [{"name": "one", "public": ALICE.public_key.public}, {"name": "two", "public": ALICE.public_key.public}]
    with pytest.raises(EvidenceError, match="under two names"):
        parse_trust(json.dumps({"schema_version": 1, "threshold": 2, "keys": keys}).encode(), source="keys")


def test_one_signature_copied_under_a_second_key_id_counts_once() -> None:
    envelope = json.loads(sealed_files(run_files(), [ALICE])["envelope.json"])
    copy = {**envelope["signatures"][0], "keyid": BOB.public_key.public}
    envelope["signatures"].append(copy)
    forged = json.dumps(envelope, sort_keys=True, separators=(",", ":")).encode()
    files = {**sealed_files(run_files(), [ALICE]), "envelope.json": forged}
    assert "envelope.json" in named(check(files))


def test_sealing_the_same_run_again_gives_the_same_bytes() -> None:
    assert sealed_files(run_files(), [ALICE, BOB]) == SEALED
    assert pack(SEALED, name="7-site-loss") == pack(dict(reversed(SEALED.items())), name="7-site-loss")


def test_a_sealed_run_folder_verifies_from_folder_and_from_archive(tmp_path: Path) -> None:
    for name, content in {**run_files(), "engine.sqlite": b"not evidence", "estate/secrets/ca.age": b"-"}.items():
        path = tmp_path / "7-site-loss" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    archive = seal(tmp_path / "7-site-loss", [ALICE, BOB])
    trust = tmp_path / "trust.json"
    trust.write_bytes(SEALED["keys.json"])
    for source in (archive, archive.parent / "evidence"):
        bundle = load_bundle(source)
        assert not [name for name in bundle.files if "sqlite" in name or "secrets" in name]
        assert named(verify(bundle, load_trust(trust))) == ""
    with pytest.raises(EvidenceError, match="sealed already"):
        seal(tmp_path / "7-site-loss", [ALICE, BOB])


def archive_of(members: list[tarfile.TarInfo]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return gzip.compress(raw.getvalue())


def member(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, "/etc/passwd", 1 if kind == tarfile.REGTYPE else 0
    return info


@pytest.mark.parametrize(
    "members",
    [
        pytest.param([member("b/../../etc/cron.d/x")], id="path that climbs"),
        pytest.param([member("b//etc/passwd")], id="absolute path"),
        pytest.param([member("b/x", tarfile.SYMTYPE)], id="symbolic link"),
        pytest.param([member("b/x", tarfile.LNKTYPE)], id="hard link"),
        pytest.param([member("b/x", tarfile.CHRTYPE)], id="device"),
        pytest.param([member("b/x"), member("b/x")], id="one name twice"),
        pytest.param([], id="nothing"),
    ],
)
def test_a_hostile_archive_is_refused_and_nothing_is_written(members: list[tarfile.TarInfo], tmp_path: Path) -> None:
    path = tmp_path / "bundle.tar.gz"
    path.write_bytes(archive_of(members))
    with pytest.raises(EvidenceError):
        load_bundle(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"", b"not an archive", SEALED["result.json"]])
def test_what_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bundle.tar.gz"
    path.write_bytes(content)
    with pytest.raises(EvidenceError, match="can't be read"):
        load_bundle(path)


def test_every_problem_is_named_in_the_error_that_ends_the_command() -> None:
    problems = check({**SEALED, "plan.json": b"{}", "extra": b""}).problems
    with pytest.raises(EvidenceError) as caught:
        raise_on(problems, bundle="bundle")
    assert caught.value.exit_code == 7
    assert "plan.json" in caught.value.what
    assert "extra" in caught.value.what
