"""The kit at the vault: what makes its check red, and what the collector tells of a real one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.checks.estates import changed, verdict, world

from secondsite.checks.model import Result, Section, State
from secondsite.checks.rules.standby import KIT
from secondsite.probes.remote.collectors import standby as collector
from secondsite.probes.remote.collectors.common import Settings

NOTED = {"version": "v" * 64, "sha256": "d" * 64, "bytes": 5}
KEPT = {"noted": NOTED, "sha256": "d" * 64, "private": True}
TOLD = {"version": "v" * 64, "sent": NOTED}


def judged_with(kept: Any, outside: Section | None = None) -> Result:
    told = world("kit", {}, vault=kept)
    return verdict("RDY-KIT", replace(told, outside={KIT: outside or Section(value=TOLD)}))


def test_the_kit_that_was_sent_and_is_of_this_version_is_as_expected() -> None:
    assert judged_with(KEPT).state is State.PASSED
    assert judged_with(KEPT, Section(value={**TOLD, "sent": {}})).state is State.PASSED  # another controller sent it


@pytest.mark.parametrize(
    ("kept", "saw"),
    [
        pytest.param({}, "keeps no kit", id="none"),
        pytest.param(changed(KEPT, sha256="e" * 64), "it was changed there", id="changed"),
        pytest.param(changed(KEPT, noted={"trouble": "no file"}), "it was changed there", id="no note"),
        pytest.param(
            {"noted": changed(NOTED, sha256="e" * 64), "sha256": "e" * 64, "private": True}, "than it was given",
            id="changed with its note",
        ),
        pytest.param(changed(KEPT, private=False), "others than root can read", id="open"),
        pytest.param(changed(KEPT, noted=changed(NOTED, version="w" * 64)), "and vvvvvvvvvvvv runs here", id="old"),
    ],
)  # fmt: skip
def test_a_kit_from_which_nobody_should_rebuild_a_controller_is_red(kept: Any, saw: str) -> None:
    result = judged_with(kept)
    assert result.state is State.FAILED
    assert saw in result.saw
    assert result.hosts == ("vault",)


def test_what_nobody_could_look_at_is_unknown() -> None:
    assert judged_with(Section(trouble="no answer")).state is State.UNKNOWN
    assert judged_with(KEPT, Section(trouble="no program")).state is State.UNKNOWN


def test_the_collector_tells_of_a_real_kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings: Settings = {}  # type: ignore[assignment, typeddict-item, unused-ignore]
    monkeypatch.setattr(collector, "KIT_PLACE", str(tmp_path))
    assert collector.kit(settings) == {}
    (tmp_path / "kit.tar").write_bytes(b"kit")
    (tmp_path / "kit.tar").chmod(0o600)
    assert "trouble" in collector.kit(settings)["noted"]
    (tmp_path / "kit.json").write_text(json.dumps(NOTED))
    told = collector.kit(settings)
    assert (told["noted"], told["private"]) == (NOTED, True)
    assert told["sha256"] == hashlib.sha256(b"kit").hexdigest()
