"""A site's TLS authority: made once, carried to its site, replaced without a moment of distrust."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondsite.errors import ConfigError, UsageError
from secondsite.hands.age import Safe
from secondsite.hands.authorities import LEAST_LEFT, LIFETIME, Authorities, Authority, reasons_not_to_sign
from secondsite.hands.escrow import own_safe

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
SITES = ("dc1", "dc2")


def authorities(tmp_path: Path, *, safe: Safe | None = None) -> Authorities:
    return Authorities(tmp_path / "ca", sites=SITES, safe=safe or own_safe(tmp_path / "secrets"))


def authority(**changed: object) -> Authority:
    words: dict[str, object] = {
        "site": "dc1",
        "name": "dc1-0",
        "common_name": "authority of dc1",
        "certificate": "",
        "public_key": "",
        "not_before": NOW,
        "not_after": NOW + LIFETIME,
        "signs_authorities": True,
    }
    return Authority(**{**words, **changed})  # type: ignore[arg-type]


def test_each_site_gets_its_own_once(tmp_path: Path) -> None:
    made = authorities(tmp_path)
    assert made.prepare(now=NOW) == SITES
    first = [made.signing(site).name for site in SITES]
    assert len(set(first)) == 2
    assert made.prepare(now=NOW) == ()
    assert [made.signing(site).name for site in SITES] == first


def test_an_authority_that_ended_stops_everything_and_says_how_to_go_on(tmp_path: Path) -> None:
    made = authorities(tmp_path)
    made.prepare(now=NOW)
    (tmp_path / "ca" / "dc2.crt").unlink()
    with pytest.raises(UsageError, match="the TLS authority of dc1: it ended on") as caught:
        made.prepare(now=NOW + LIFETIME + dt.timedelta(days=1))
    assert "rotate_certificates" in caught.value.next_step
    assert not (tmp_path / "ca" / "dc2.crt").exists(), "nothing was made either"


def test_a_file_that_holds_no_certificate_is_named(tmp_path: Path) -> None:
    made = authorities(tmp_path)
    made.prepare(now=NOW)
    (tmp_path / "ca" / "dc1.crt").write_text("-----BEGIN CERTIFICATE-----\n")
    with pytest.raises(ConfigError, match=r"dc1\.crt"):
        made.prepare(now=NOW)


@given(days=st.integers(min_value=-4000, max_value=8000))
def test_only_the_middle_of_its_life_is_for_signing(days: int) -> None:
    at = NOW + dt.timedelta(days=days)
    may = not list(reasons_not_to_sign(authority(), now=at))
    assert may == (dt.timedelta(0) <= at - NOW <= LIFETIME - LEAST_LEFT)


def test_a_certificate_that_is_no_authoritys_signs_nothing() -> None:
    assert list(reasons_not_to_sign(authority(signs_authorities=False), now=NOW))


def test_a_key_that_its_site_holds_is_open_to_escrow_alone(tmp_path: Path) -> None:
    made = authorities(tmp_path)
    made.prepare(now=NOW)
    dc1 = made.signing("dc1")
    key = made.carried()[dc1.name]
    assert "PRIVATE KEY" in key
    assert made.hand_over(dc1)
    assert not made.hand_over(dc1)
    assert list(made.carried()) == [made.signing("dc2").name]
    made.recall(dc1)
    assert made.carried()[dc1.name] == key


def test_without_escrow_a_key_that_was_handed_over_is_not_to_be_had(tmp_path: Path) -> None:
    made = authorities(tmp_path)
    made.prepare(now=NOW)
    made.hand_over(made.signing("dc1"))
    own = own_safe(tmp_path / "secrets")
    poorer = authorities(tmp_path, safe=Safe(directory=own.directory, identity=own.identity))
    with pytest.raises(UsageError, match="for escrow alone"):
        poorer.recall(made.signing("dc1"))


def test_in_a_rotation_what_signs_is_believed_at_every_moment_and_the_old_one_goes_last(tmp_path: Path) -> None:
    made = authorities(tmp_path)
    made.prepare(now=NOW)
    old, other = made.signing("dc1"), made.signing("dc2")
    assert made.begin("dc1", now=NOW)
    assert not made.begin("dc1", now=NOW)
    assert made.signing("dc1") == old
    new = made.believed("dc1")[1]
    assert made.activate("dc1")
    assert not made.activate("dc1")
    assert made.believed("dc1") == (new, old)
    assert not made.begin("dc1", now=NOW), "a rotation is finished before the next one begins"
    assert made.retire("dc1")
    assert not made.retire("dc1")
    assert made.believed("dc1") == (new,)
    assert made.believed("dc2") == (other,)


def test_a_crash_in_the_middle_of_activation_is_taken_up_where_it_was(tmp_path: Path) -> None:
    made = authorities(tmp_path)
    made.prepare(now=NOW)
    made.begin("dc1", now=NOW)
    old, new = made.believed("dc1")
    (tmp_path / "ca" / "dc1.crt").rename(tmp_path / "ca" / "dc1.old.crt")
    assert made.activate("dc1")
    assert made.believed("dc1") == (new, old)
