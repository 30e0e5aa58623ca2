"""The procedures kept at the sites: what makes the check red."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.checks.estates import ESTATE, verdict, world

from secondsite.app.procedures import _PLACE, expected_digests, kept_pages
from secondsite.checks.model import Result, Section, State

ROOT = Path(__file__).resolve().parents[3]
EXPECTED = {"failover-dc1-dc2.md": "1", "failback-dc2-dc1.html": "2"}
KEPT = {name: {"digest": digest, "printed": "Printed on Monday", "readable": True} for name, digest in EXPECTED.items()}


def judged_with(vault: Any, outside: Section | None = None) -> Result:
    told = world("procedures", KEPT, vault=vault)
    return verdict("RDY-PROCEDURE", replace(told, outside={"procedures": outside or Section(value=EXPECTED)}))


def changed(name: str, **other: object) -> dict[str, Any]:
    return {**KEPT, name: {**KEPT[name], **other}}


def test_the_same_pages_at_every_site_are_as_expected() -> None:
    result = judged_with(KEPT)
    assert result.state is State.PASSED
    assert all(site in result.saw for site in ("dc1", "dc2", "vault", "hq"))


@pytest.mark.parametrize(
    ("vault", "saw"),
    [
        pytest.param({}, "no failover-dc1-dc2.md", id="none"),
        pytest.param(
            {"failover-dc1-dc2.md": KEPT["failover-dc1-dc2.md"]}, "no failback-dc2-dc1.html", id="one missing"
        ),
        pytest.param(changed("failover-dc1-dc2.md", digest="0"), "another failover-dc1-dc2.md", id="another"),
        pytest.param(changed("failover-dc1-dc2.md", readable=False), "operators may not read", id="unreadable"),
        pytest.param({**KEPT, "failover-dc1-dc3.md": {"digest": "1"}}, "the plan does not print", id="of a lost site"),
    ],
)
def test_a_page_that_misleads_is_found(vault: Any, saw: str) -> None:
    result = judged_with(vault)
    assert result.state is State.FAILED
    assert saw in result.saw
    assert result.hosts == ("vault",)


def test_what_nobody_could_look_at_is_unknown() -> None:
    assert judged_with(Section(trouble="no answer")).state is State.UNKNOWN
    assert judged_with(KEPT, Section(trouble="the runbook does not load")).state is State.UNKNOWN


def test_every_move_is_kept_in_both_directions_and_forms_and_another_estate_makes_them_old() -> None:
    pages = kept_pages(ESTATE, root=ROOT)
    moves = [f"{book}-{way}" for book in ("failover", "failback") for way in ("dc1-dc2", "dc2-dc1")]
    assert sorted(pages) == sorted(f"{move}.{form}" for move in moves for form in ("md", "html"))
    now, then = expected_digests(ESTATE, root=ROOT), expected_digests(replace(ESTATE, digest="0" * 64), root=ROOT)
    assert all(now[name] != then[name] for name in now)


def test_a_page_is_written_once_and_left_alone_until_the_plan_prints_another(tmp_path: Path) -> None:
    def place(pages: dict[str, str]) -> list[str]:
        order = json.dumps({"place": str(tmp_path / "kept"), "printed": "Printed on", "pages": pages})
        words = [sys.executable, "-I", "-c", _PLACE]
        done = subprocess.run(words, input=order, capture_output=True, text=True, check=True)
        return sorted(json.loads(done.stdout)["changed"])

    assert place({"a.md": "one\nPrinted on Monday\n", "b.md": "two\n"}) == ["a.md", "b.md"]
    assert place({"a.md": "one\nPrinted on Tuesday\n", "b.md": "two\n"}) == []
    assert "Monday" in (tmp_path / "kept" / "a.md").read_text()
    assert place({"a.md": "one more\nPrinted on Tuesday\n"}) == ["a.md", "b.md"]
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["a.md"]
    (tmp_path / "kept" / "a.md").chmod(0o600)
    assert place({"a.md": "one more\nPrinted on Friday\n"}) == ["a.md"]
    assert (tmp_path / "kept" / "a.md").stat().st_mode & 0o777 == 0o644
