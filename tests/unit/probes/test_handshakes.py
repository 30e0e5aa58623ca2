"""What peers meet at TLS listeners, and when a rotation may go on."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from secondsite.estate.load import load_estate
from secondsite.probes.handshakes import Handshake, declared_handshakes, reasons_not_rotated
from secondsite.probes.remote import handshake

ROOT = Path(__file__).parents[3]
ESTATE = load_estate(ROOT / "inventories" / "small")
MET = [
    Handshake(source=source, listener=listener, trouble="", issuer=f"old {ESTATE.hosts[listener.host].site}")
    for source, listeners in declared_handshakes(ESTATE).items()
    for listener in listeners
]


def test_services_are_tried_by_customers_and_databases_and_voters_by_their_peers() -> None:
    tried = {(one.source, one.listener.host, one.listener.port) for one in MET}
    assert ESTATE.quorum is not None
    for member in ESTATE.quorum.members:
        assert {port for _, host, port in tried if host == member} >= {2379, 2380}
    for service in ESTATE.services:
        assert {host for _, host, port in tried if port == 443} >= set(service.members.values())
    assert all(source != host for source, host, _ in tried)
    assert {one.listener.name for one in MET if one.listener.port == 443} == {s.dns_name for s in ESTATE.services}


def test_before_anything_is_new_every_handshake_must_work() -> None:
    assert list(reasons_not_rotated(MET, estate=ESTATE, issuers={})) == []
    broken = [replace(MET[0], trouble="certificate has expired"), *MET[1:]]
    assert list(reasons_not_rotated(broken, estate=ESTATE, issuers={})) == [str(broken[0])]


def test_what_failed_before_is_waited_for_only_until_its_site_is_new() -> None:
    broken = [replace(one, trouble="ended") if one.listener.host.endswith("dc1") else one for one in MET]
    known = [one.place for one in broken if one.trouble]
    assert known
    assert list(reasons_not_rotated(broken, estate=ESTATE, issuers={}, known=known)) == []
    assert len(list(reasons_not_rotated(broken, estate=ESTATE, issuers={"dc1": "new dc1"}, known=known))) == len(known)


def test_a_listener_that_still_shows_the_old_authoritys_certificate_is_named() -> None:
    at_dc1 = [one for one in MET if ESTATE.hosts[one.listener.host].site == "dc1"]
    new = [replace(one, issuer="new dc1") if one in at_dc1[1:] else one for one in MET]
    (reason,) = reasons_not_rotated(new, estate=ESTATE, issuers={"dc1": "new dc1"})
    assert reason == f"{at_dc1[0].place} shows a certificate of 'old dc1', not of 'new dc1'"


def test_nothing_tried_is_not_all_well() -> None:
    assert list(reasons_not_rotated([], estate=ESTATE, issuers={}))


def write_certificates(directory: Path, *, ends: dt.timedelta) -> None:
    """Write an authority and a certificate of ``db`` by it."""
    now = dt.datetime.now(tz=dt.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca, leaf = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("authority of dc1", "db"))
    begun = x509.CertificateBuilder().issuer_name(ca).not_valid_before(now - dt.timedelta(days=2))
    authority = begun.subject_name(ca).public_key(ca_key.public_key()).not_valid_after(now + dt.timedelta(days=9))
    authority = authority.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    host = begun.subject_name(leaf).public_key(key.public_key()).not_valid_after(now + ends)
    host = host.add_extension(x509.SubjectAlternativeName([x509.DNSName("db")]), critical=False)
    for name, builder in (("ca-bundle", authority), ("host", host)):
        signed = builder.serial_number(x509.random_serial_number()).sign(ca_key, hashes.SHA256())
        (directory / f"{name}.crt").write_bytes(signed.public_bytes(Encoding.PEM))
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (directory / "host.key").write_bytes(secret)


@contextlib.contextmanager
def listening(directory: Path) -> Iterator[socket.socket]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "host.crt", directory / "host.key")
    ours, theirs = socket.socketpair()

    def answer() -> None:
        with contextlib.suppress(OSError), theirs:
            context.wrap_socket(theirs, server_side=True).close()

    thread = threading.Thread(target=answer)
    thread.start()
    with ours:
        yield ours
    thread.join(timeout=5)


@pytest.mark.parametrize(
    ("name", "days", "trouble"),
    [
        pytest.param("db", 1, "", id="as it must be"),
        pytest.param("web", 1, "Hostname mismatch, certificate is not valid for 'web'.", id="under another name"),
        pytest.param("db", -1, "certificate has expired", id="ended"),
    ],
)
def test_a_handshake_says_what_a_client_that_believes_only_the_estate_would_meet(
    tmp_path: Path, name: str, days: int, trouble: str
) -> None:
    write_certificates(tmp_path, ends=dt.timedelta(days=days))
    with listening(tmp_path) as wire:
        seen = handshake.shaken_over(wire, name, handshake.client(str(tmp_path)))
    assert seen["trouble"] == trouble
    assert trouble or seen["issuer"] == "authority of dc1"
