"""What is sealed is opened by those it was sealed for, and by nobody else."""

from __future__ import annotations

from pathlib import Path

import pyrage
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secondsite.errors import ConfigError, UsageError
from secondsite.hands.age import Safe
from secondsite.hands.escrow import own_safe


def lab(tmp_path: Path) -> Safe:
    safe = own_safe(tmp_path / "secrets")
    safe.prepare()
    return safe


def with_identity_of_a_stranger(safe: Safe, tmp_path: Path) -> Safe:
    stranger = tmp_path / "stranger"
    stranger.write_text(f"# created by hand\n{pyrage.x25519.Identity.generate()}\n")
    return Safe(directory=safe.directory, identity=stranger)


@given(secret=st.binary(max_size=2000))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_was_sealed_is_read_back_and_does_not_lie_open(tmp_path: Path, secret: bytes) -> None:
    safe = lab(tmp_path)
    safe.seal("one", secret)
    assert safe.open("one") == safe.recover("one") == secret
    assert len(secret) < 24 or secret not in (safe.directory / "one.age").read_bytes()


def test_a_stranger_opens_nothing(tmp_path: Path) -> None:
    safe = lab(tmp_path)
    safe.seal("one", b"word")
    stranger = with_identity_of_a_stranger(safe, tmp_path)
    assert not stranger.can_open("one")
    with pytest.raises(UsageError, match="can't be opened") as caught:
        stranger.open("one")
    assert "SECONDSITE_IDENTITY" in caught.value.next_step


def test_what_is_for_escrow_alone_is_opened_by_escrow_alone(tmp_path: Path) -> None:
    safe = lab(tmp_path)
    safe.seal("key", b"word", for_escrow_alone=True)
    assert not safe.can_open("key")
    assert safe.recover("key") == b"word"
    without = Safe(directory=safe.directory, identity=safe.identity)
    with pytest.raises(UsageError, match="for escrow alone"):
        without.recover("key")


def test_only_the_owner_may_read_any_file(tmp_path: Path) -> None:
    safe = lab(tmp_path)
    safe.seal("one", b"word")
    files = [path for path in safe.directory.rglob("*") if path.is_file()]
    assert {"one.age", "identity", "recipients", "manifest.json"} <= {path.name for path in files}
    assert not [path for path in files if path.stat().st_mode & 0o077]


def test_an_estate_that_names_nobody_makes_no_keys_by_itself(tmp_path: Path) -> None:
    safe = Safe(directory=tmp_path / "secrets", identity=tmp_path / "identity")
    with pytest.raises(UsageError, match="recipients is missing"):
        safe.prepare()
    assert list(tmp_path.rglob("*age")) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("ana {a}\n", "none is called escrow", id="no escrow"),
        pytest.param("ana {a}\nescrow {a}\n", "a key of its own", id="escrow has another's key"),
        pytest.param("ana {a}\nana {b}\nescrow {b}\n", "a key of its own", id="a name twice"),
        pytest.param("ana ssh-ed25519\nescrow {b}\n", "not an age recipient", id="no age key"),
    ],
)
def test_recipients_that_would_lose_secrets_or_share_a_key_are_refused(tmp_path: Path, text: str, said: str) -> None:
    a, b = (str(pyrage.x25519.Identity.generate().to_public()) for _ in range(2))
    directory = tmp_path / "secrets"
    directory.mkdir()
    (directory / "recipients").write_text(text.format(a=a, b=b))
    with pytest.raises(ConfigError, match=said):
        Safe(directory=directory, identity=tmp_path / "identity").prepare()


def test_a_missing_or_damaged_identity_is_named(tmp_path: Path) -> None:
    safe = lab(tmp_path)
    safe.seal("one", b"word")
    safe.identity.write_text("nothing\n")
    with pytest.raises(ConfigError, match="not exactly one age identity"):
        safe.open("one")
    safe.identity.unlink()
    with pytest.raises(UsageError, match="is not at"):
        safe.open("one")
