"""The two commands of a desk, run as they are, and what the engine makes of what they say."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from secondsite.errors import ActionError
from secondsite.hands.approvers import SshApprovers, make_lab_persons
from secondsite.hands.desks import WaitingGate, exchange
from secondsite.run.ports import CommandResult, Hands, Signed

FILES = Path(__file__).parents[3] / "roles" / "desk" / "files"
GATE = WaitingGate(
    run="000004-failover",
    gate="authorise",
    title="Consent to fence and to promote",
    plan_digest="a" * 64,
    targets=("carrier-a", "db-dc2"),
    persons=2,
    opened_at="2026-01-01T00:00:00+00:00",
    lasts_s=14400.0,
)


@dataclass
class Desk:
    place: Path
    truncated: bool = False

    def run(self, host: str, argv: Sequence[str], *, timeout: dt.timedelta, stdin: str = "", **_: Any) -> CommandResult:
        assert (host, list(argv)[-1]) == ("ops-dc2", "/usr/local/sbin/secondsite-desk")
        assert timeout
        done = self.called("secondsite-desk", stdin=stdin)
        assert done.returncode == 0, done.stderr
        return CommandResult(exit_code=0, stdout=done.stdout, stderr="", truncated=self.truncated)

    def called(self, name: str, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        environment = {"SECONDSITE_DESK": str(self.place), "PATH": os.environ["PATH"], "HOME": str(self.place)}
        argv = [sys.executable, "-I", str(FILES / name), *words]
        return subprocess.run(argv, input=stdin, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    for name in ("open", "answers"):
        (tmp_path / "desk" / name).mkdir(parents=True)
    return Desk(place=tmp_path / "desk")


def asked(desk: Desk, *gates: WaitingGate) -> tuple[Any, ...]:
    return exchange(cast("Hands", desk), "ops-dc2", gates)


def test_what_is_signed_at_a_desk_is_what_the_engine_checks(desk: Desk, tmp_path: Path) -> None:
    make_lab_persons(tmp_path / "persons")
    assert asked(desk, GATE) == ()
    listed = desk.called("secondsite-approve")
    assert "000004-failover authorise: Consent to fence" in listed.stdout
    assert "carrier-a, db-dc2" in listed.stdout

    words = ("4", "authorise", "yes", "--as", "lab-deputy-1", "--key", str(tmp_path / "persons" / "lab-deputy-1"))
    assert desk.called("secondsite-approve", *words).returncode == 0

    (answer,) = asked(desk, GATE)
    approvers = SshApprovers(allowed=tmp_path / "persons" / "allowed_signers")
    assert isinstance(approvers.signed(answer), Signed)
    assert (answer.who, answer.granted, answer.targets) == ("lab-deputy-1", True, GATE.targets)
    assert asked(desk) == (), "what is not open any more is thrown away"
    assert not list(desk.place.glob("*/*"))


def test_what_is_no_answer_is_thrown_away_and_nothing_is_followed(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(json.dumps({"run": GATE.run, "gate": GATE.gate}))
    answers = desk.place / "answers"
    (answers / "link.json").symlink_to(tmp_path / "secret")
    os.mkfifo(answers / "pipe.json")
    (answers / "large.json").write_text("[" * 100_000)
    (answers / "list.json").write_text("[1]")
    (answers / "odd.json").write_text(json.dumps({"run": ["x"], "gate": {}}))
    (answers / "other.json").write_text(json.dumps({"run": "000009-other", "gate": "authorise"}))
    assert asked(desk, GATE) == ()
    assert not list(answers.iterdir())
    assert (tmp_path / "secret").exists()


def test_a_folder_and_files_that_are_being_written_keep_no_answer_from_being_heard(desk: Desk) -> None:
    answers = desk.place / "answers"
    (answers / "0.json").mkdir()
    for number in range(250):
        (answers / f".{number}").touch()
    (answers / "one.json").write_text(json.dumps({"run": GATE.run, "gate": GATE.gate, "who": "ana"}))
    assert [one.who for one in asked(desk, GATE)] == ["ana"]


@pytest.mark.parametrize(
    "words",
    [("4", "authorise"), ("5", "authorise", "yes"), ("4", "wipe", "no"), ("4", "authorise", "yes", "--key", "/x")],
)
def test_a_wrong_word_at_a_desk_leaves_no_answer_and_says_what_to_do(desk: Desk, words: Sequence[str]) -> None:
    asked(desk, GATE)
    said = desk.called("secondsite-approve", *words)
    assert said.returncode == 1
    assert "not done: no answer was left" in said.stderr
    assert "Traceback" not in said.stderr
    assert not list((desk.place / "answers").iterdir())


@pytest.mark.parametrize("said", ["", "[]", "{}", '{"answers": {}}', "null"])
def test_a_desk_that_talks_nonsense_is_an_error_that_names_it(said: str) -> None:
    class Nonsense:
        def run(self, *_: object, **__: object) -> CommandResult:
            return CommandResult(exit_code=0, stdout=said, stderr="")

    with pytest.raises(ActionError, match="ops-dc2"):
        exchange(cast("Hands", Nonsense()), "ops-dc2", [GATE])
