"""``secondsite evidence verify`` and ``report``: exit codes, JSON, and no traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.measure.story import thin_story

from secondsite.cli.main import main
from secondsite.evidence import new_identity, seal


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "000007-site-loss"
    (folder / "records").mkdir(parents=True)
    for name, content in thin_story().files().items():
        (folder / "records" / name).write_bytes(content)
    seal(folder, [new_identity("lab identity 1"), new_identity("lab identity 2")])
    return folder


def test_a_whole_bundle_verifies_and_warns_that_no_keys_were_given(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evidence", "verify", str(run / "evidence.tar.gz")]) == 0
    said = capsys.readouterr()
    assert "every number recomputed" in said.out
    assert "not who made it" in said.err


def test_a_changed_bundle_ends_with_seven_and_names_the_file(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run / "evidence" / "records" / "requests.jsonl"
    path.write_bytes(path.read_bytes().replace(b"failed", b"ok    ", 1))
    assert main(["evidence", "verify", str(run / "evidence")]) == 7
    assert "records/requests.jsonl" in capsys.readouterr().err
    assert main(["evidence", "verify", str(run / "evidence"), "--json"]) == 7
    document = json.loads(capsys.readouterr().out)
    assert document["verifies"] is False
    assert document["schema_version"] == 1
    assert "records/requests.jsonl" in {problem["file"] for problem in document["problems"]}


def test_keys_of_others_do_not_verify_a_bundle(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = [{"name": name, "public": new_identity(name).public_key.public} for name in ("auditor", "bank")]
    trust = tmp_path / "trust.json"
    trust.write_text(json.dumps({"schema_version": 1, "threshold": 2, "keys": keys}))
    assert main(["evidence", "verify", str(run / "evidence.tar.gz"), "--trust", str(trust)]) == 7
    assert "signed by 0 of the trusted keys" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["missing.tar.gz", "."])
def test_what_is_no_bundle_ends_with_seven(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evidence", "verify", str(tmp_path / name)]) == 7
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "said"), [("html", "<!doctype html>"), ("md", "## Drill"), ("junit", "<testsuites"), ("json", '"verdict"')]
)
def test_a_report_is_rendered_from_a_folder_in_every_format(
    kind: str, said: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", f"{run}/", "--format", kind]) == 0
    assert said in capsys.readouterr().out
    assert main(["report", f"{run}/", "--format", kind, "--output", str(tmp_path / "report")]) == 0
    assert said in (tmp_path / "report").read_text()


def test_a_report_over_changed_records_carries_no_seal(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "records" / "limitations.json").write_text("[]")
    assert main(["report", f"{run}/"]) == 0
    said = capsys.readouterr()
    assert "does not verify" in said.err
    assert "not sealed" in said.out


def test_a_folder_without_records_is_a_wrong_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", f"{tmp_path}/"]) == 2
    assert "holds no records" in capsys.readouterr().err
