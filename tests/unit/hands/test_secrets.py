"""Secrets are made once, kept to the controller's user, and never shown by accident."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from secondsite.errors import ConfigError, UsageError
from secondsite.hands import secrets
from secondsite.hands.escrow import own_safe


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
    assert (tmp_path / "secrets" / "secrets.age").stat().st_mode & 0o077 == 0


def test_no_file_holds_a_secret_in_the_clear(tmp_path: Path) -> None:
    made = secrets.make(tmp_path)
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    for secret in (made.tsig_update.secret, made.customer_drill_password, made.shop_token_secret):
        assert not [content for content in files if secret.encode() in content]


def test_secrets_that_an_earlier_release_kept_in_the_clear_are_sealed_and_stay_the_same(tmp_path: Path) -> None:
    before = dict(secrets.make(tmp_path).document)
    (tmp_path / "secrets.age").unlink()
    (tmp_path / "secrets.json").write_text(json.dumps(before))
    assert secrets.make(tmp_path).document == before
    assert not (tmp_path / "secrets.json").exists()


def test_printing_them_shows_none(tmp_path: Path) -> None:
    made = secrets.make(tmp_path)
    shown = f"{made!r} {made.tsig_update!r}"
    assert made.tsig_update.secret not in shown
    assert made.customer_drill_password not in shown


def test_a_secret_that_a_newer_version_needs_is_added_and_the_others_kept(tmp_path: Path) -> None:
    before = dict(secrets.make(tmp_path).document)
    fewer = {name: value for name, value in before.items() if name != "shop_token_secret"}
    own_safe(tmp_path).seal("secrets", json.dumps(fewer).encode())
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
    secrets.make(tmp_path)
    own_safe(tmp_path).seal("secrets", text.encode())
    before = (tmp_path / "secrets.age").read_bytes()
    with pytest.raises(ConfigError, match=r"secrets\.age"):
        secrets.load(tmp_path)
    assert (tmp_path / "secrets.age").read_bytes() == before
