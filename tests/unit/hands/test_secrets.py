"""Secrets are made once, kept to the controller's user, and never shown by accident."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from secondsite.errors import ConfigError, UsageError
from secondsite.hands import secrets


def test_secrets_stay_what_they_were_when_made_again(tmp_path: Path) -> None:
    assert secrets.make(tmp_path).document == secrets.make(tmp_path).document
    assert secrets.load(tmp_path).document == secrets.make(tmp_path).document


def test_no_two_secrets_are_alike(tmp_path: Path) -> None:
    postgres = secrets.make(tmp_path).document["postgres"]
    assert isinstance(postgres, dict)
    assert len(set(postgres.values())) == len(postgres) == 6


def test_only_the_owner_may_read_them(tmp_path: Path) -> None:
    secrets.make(tmp_path / "secrets")
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0
    assert (tmp_path / "secrets" / "secrets.json").stat().st_mode & 0o077 == 0


def test_printing_them_shows_none(tmp_path: Path) -> None:
    made = secrets.make(tmp_path)
    shown = f"{made!r} {made.tsig_update!r}"
    assert made.tsig_update.secret not in shown
    assert made.customer_drill_password not in shown


def test_a_secret_that_a_newer_version_needs_is_added_and_the_others_kept(tmp_path: Path) -> None:
    before = dict(secrets.make(tmp_path).document)
    path = tmp_path / "secrets.json"
    path.write_text(json.dumps({name: value for name, value in before.items() if name != "shop_token_secret"}))
    with pytest.raises(ConfigError, match="/shop_token_secret: missing"):
        secrets.load(tmp_path)
    after = secrets.make(tmp_path)
    assert after.shop_token_secret
    assert after.document["postgres"] == before["postgres"]


def test_without_secrets_the_next_step_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        secrets.load(tmp_path)
    assert "provision" in caught.value.next_step


@pytest.mark.parametrize("text", ["", "[]", "{", '{"etcd": 3}'])
def test_a_damaged_file_is_named_and_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "secrets.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"secrets\.json"):
        secrets.load(tmp_path)
    assert path.read_text() == text
