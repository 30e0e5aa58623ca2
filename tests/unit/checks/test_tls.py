"""Certificates are judged as a stranger would: what was sent, for which name, until when."""

from __future__ import annotations

import base64
import datetime as dt
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from secondsite.checks.model import State

from .estates import NOW, joined, verdict, world

KEY = ec.generate_private_key(ec.SECP256R1())
DAY = dt.timedelta(days=1)


def certificate(begins: dt.timedelta = -DAY, ends: dt.timedelta = 90 * DAY) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "web")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(NOW + begins)
        .not_valid_after(NOW + ends)
        .sign(KEY, hashes.SHA256())
    )
    return base64.b64encode(made.public_bytes(Encoding.DER)).decode("ascii")


GOOD = certificate()


def listener(**different: Any) -> dict[str, Any]:
    return {
        "address": "198.18.2.10", "port": 443, "program": "nginx", "name": "shop.secondsite.test", "chain": [GOOD],
        "protocol": "TLSv1.3", "bits": 256, "verified": "", "old_protocol": "refused: alert",
        "plain": "HTTP/1.1 400 Bad", **different,
    }  # fmt: skip


def red(keys: dict[str, Any] | None = None, **different: Any) -> set[str]:
    told = joined(
        world("tls", [listener()], web_dc2=[listener(**different)]),
        world("keys", [pair()], web_dc2=[keys or pair()]),
        world("listeners", []),
    )
    ids = ("TLS-HANDSHAKE", "TLS-CHAIN", "TLS-EXPIRY", "TLS-FLOOR", "TLS-PLAIN")
    return {name for name in ids if verdict(name, told).state is State.FAILED}


def pair(**different: Any) -> dict[str, Any]:
    return {"certificate": "c", "key": "k", "mode": "0640", "uid": 0, "gid": 1, "fits": "", **different}


@pytest.mark.parametrize(
    ("different", "expected"),
    [
        pytest.param({}, set(), id="right"),
        pytest.param({"chain": [certificate(ends=-DAY)]}, {"TLS-EXPIRY"}, id="expired"),
        pytest.param({"chain": [certificate(ends=29 * DAY)]}, {"TLS-EXPIRY"}, id="expires within 30 days"),
        pytest.param({"chain": [certificate(ends=31 * DAY)]}, set(), id="expires after 30 days"),
        pytest.param({"chain": [certificate(begins=DAY)]}, {"TLS-EXPIRY"}, id="begins tomorrow"),
        pytest.param({"chain": [GOOD, certificate(ends=10 * DAY)]}, {"TLS-EXPIRY"}, id="intermediate expires"),
        pytest.param({"verified": "unable to get local issuer certificate"}, {"TLS-CHAIN"}, id="intermediate missing"),
        pytest.param({"verified": "Hostname mismatch"}, {"TLS-CHAIN"}, id="another name"),
        pytest.param({"old_protocol": "accepted"}, {"TLS-FLOOR"}, id="old protocol"),
        pytest.param({"protocol": "TLSv1.1"}, {"TLS-HANDSHAKE"}, id="speaks only what is old"),
        pytest.param({"bits": 56}, {"TLS-HANDSHAKE"}, id="weak"),
        pytest.param({"plain": "HTTP/1.1 200 OK"}, {"TLS-PLAIN"}, id="serves plainly"),
        pytest.param({"plain": "HTTP/1.1 301 Moved"}, {"TLS-PLAIN"}, id="redirects plainly"),
    ],
)
def test_what_a_listener_shows_turns_the_right_check_red(different: dict[str, Any], expected: set[str]) -> None:
    assert red(**different) == expected


def test_a_listener_that_does_not_speak_tls_is_found() -> None:
    silent = {key: value for key, value in listener(trouble="refused: reset").items() if key != "chain"}
    told = joined(world("tls", [listener()], vault=[silent]), world("keys", []))

    result = verdict("TLS-HANDSHAKE", told)

    assert result.state is State.FAILED
    assert "refused: reset" in result.saw


def test_a_listener_without_tls_that_answers_http_at_all_serves_it_plainly() -> None:
    only_http = {key: value for key, value in listener(plain="HTTP/1.0 404 Not found").items() if key != "chain"}
    told = joined(world("tls", [listener()], vault=[only_http]), world("listeners", []))

    assert verdict("TLS-PLAIN", told).state is State.FAILED


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param({"mode": "0000"}, id="nobody may read it"),
        pytest.param({"mode": "0644"}, id="everybody may read it"),
        pytest.param({"fits": "key values mismatch"}, id="of another certificate"),
    ],
)
def test_a_key_that_will_not_serve_at_the_next_start_is_found(broken: dict[str, Any]) -> None:
    assert red(keys=pair(**broken)) == {"TLS-HANDSHAKE"}


def test_a_missing_key_is_found() -> None:
    missing = {key: value for key, value in pair(fits="No such file").items() if key not in ("mode", "uid", "gid")}

    assert red(keys=missing) == {"TLS-HANDSHAKE"}


def test_an_old_protocol_that_could_not_be_tried_is_unknown() -> None:
    told = world("tls", [listener()], web_dc1=[listener(old_protocol="can't be tried: no protocols available")])

    assert verdict("TLS-FLOOR", told).state is State.UNKNOWN


def test_nonsense_in_the_place_of_a_certificate_is_unknown() -> None:
    told = world("tls", [listener()], web_dc1=[listener(chain=["AAAA"])])

    assert verdict("TLS-EXPIRY", told).state is State.UNKNOWN
