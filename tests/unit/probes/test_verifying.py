"""What came of verifications is told as it was written down, and what can't be read is never told as nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from secondsite.probes.remote.collectors.common import Unreadable
from secondsite.probes.remote.collectors.verifying import verified


def test_every_kind_is_told_by_name(tmp_path: Path) -> None:
    for kind, name in (("stanzas", "billing.newest"), ("packs", "web-dc1"), ("snapshots", "read")):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / f"{name}.json").write_text(json.dumps({"ok": True}))
        (tmp_path / kind / f"{name}.ok").touch()
    told = verified({}, kept=tmp_path)
    assert told.pop("now") > 0
    assert told == {
        "stanzas": {"billing.newest": {"ok": True}},
        "packs": {"web-dc1": {"ok": True}},
        "snapshots": {"read": {"ok": True}},
    }


def test_a_host_that_never_verified_anything_tells_of_nothing(tmp_path: Path) -> None:
    told = verified({}, kept=tmp_path / "none")
    assert (told["stanzas"], told["packs"], told["snapshots"]) == ({}, {}, {})


def test_what_can_not_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs" / "web-dc1.json").write_text('{"ok": tr')
    with pytest.raises(Unreadable, match=r"web-dc1\.json can't be read"):
        verified({}, kept=tmp_path)
