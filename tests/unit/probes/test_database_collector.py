"""What psql prints is read statement by statement: one that found nothing prints a line too, and that counts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from secondsite.probes.remote.collectors import database


def test_a_cluster_without_any_setting_of_roles_is_told_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {"settings": [["port", "5432"]], "extensions": None, "collations": [["postgres", "C -", "-"]], "roles": []}
    lines = [json.dumps({"version": "17"}), *(json.dumps(one) if one is not None else "" for one in rows.values()), ""]

    def run(*_: str, **__: Any) -> str:
        return "".join(f"{line}\n" for line in lines)

    monkeypatch.setattr(database, "run", run)

    found = database._cluster(5432)

    assert found == {
        "version": "17",
        "settings": {"port": "5432"},
        "extensions": {},
        "collations": {"postgres": ["C -", "-"]},
        "roles": {},
        "role_settings": {},
    }
