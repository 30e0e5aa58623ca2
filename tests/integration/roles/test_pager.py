"""A page, a heartbeat and a relay over real sockets with mutual TLS; a receiver that lies is no way."""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib
import json
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

FILES = Path(__file__).resolve().parents[3] / "roles" / "pager" / "files"
NOBODY = 9  # a port where nothing listens
DAY = dt.timedelta(days=1)
PAGE = {"id": "1-here-abc", "kind": "trouble", "host": "here", "key": "k", "text": "t", "since": 1.0, "at": 2.0}


def module(name: str) -> ModuleType:
    return importlib.import_module(f"pager.{name}")


@pytest.fixture(autouse=True)
def _found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(FILES), *sys.path])


def signed(name: str, key: Any, issuer: str, issuers_key: Any, *, is_authority: bool) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuers_key.public_key()), critical=False)
        .sign(issuers_key, hashes.SHA256())
    )


@pytest.fixture
def tls(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Return the paths of a host's certificate and key, of one authority."""
    authority = ec.generate_private_key(ec.SECP256R1())
    trusted = tmp_path / "ca.crt"
    pem = serialization.Encoding.PEM
    trusted.write_bytes(signed("ca", authority, "ca", authority, is_authority=True).public_bytes(pem))

    def of(name: str) -> dict[str, str]:
        key = ec.generate_private_key(ec.SECP256R1())
        plain = serialization.NoEncryption()
        (tmp_path / f"{name}.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
        certificate = signed(name, key, "ca", authority, is_authority=False)
        (tmp_path / f"{name}.crt").write_bytes(certificate.public_bytes(pem))
        paths = {"certificate": tmp_path / f"{name}.crt", "key": tmp_path / f"{name}.key", "authorities": trusted}
        return {what: str(path) for what, path in paths.items()}

    return of


def place(name: str, port: int) -> Any:
    return module("settings").Place(name=name, address="127.0.0.1", port=port)


def settings(host: str, tls: dict[str, str], **more: Any) -> Any:
    model = module("settings")
    nothing = model.Watched(jobs=(), logs={}, repository=None, stanzas=(), snapshots=None, wanted=(), oldest={})
    plain = model.Settings(
        host=host,
        listens=place(host, 0),
        sender=f"pager@{host}.test",
        persons=("on-call@persons.test",),
        ways={"mail": place("mailbox", NOBODY), "webhook": place("mailbox", NOBODY)},
        relays=(),
        tells=(),
        senders=frozenset({"here", "relay"}),
        awaits=("here",),
        receives=False,
        look_s=10,
        silence_s=25,
        repeat_s=1800,
        watched=nothing,
        tls=tls,
    )
    return replace(plain, **more)


def ask(to: Any, tls: dict[str, str], path: str, document: Any) -> None:
    """Ask once, and hang up."""
    line = module("ways").Line(to, tls)
    try:
        line.ask(path, document)
    finally:
        line.close()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[Any], Any]]:
    """Open a door as the settings say, and return it; it is shut afterwards."""
    doors = []

    def door(told: Any) -> Any:
        state = tmp_path / told.host
        state.mkdir()
        heard = module("heard").Heard(state / "heard.json", told.awaits, silent=frozenset())
        doors.append(module("door").Door(told, heard, state=state))
        threading.Thread(target=doors[-1].serve_forever, daemon=True).start()
        return doors[-1]

    yield door
    for one in doors:
        one.shutdown()
        one.server_close()


def test_a_page_is_taken_when_the_receiver_has_it_on_its_disk(opened: Any, tls: Any) -> None:
    door = opened(settings("console", tls("console"), receives=True))
    sender = settings("here", tls("here"), ways={"webhook": place("console", door.server_port)})

    assert module("ways").deliver(sender, "webhook", PAGE) == "here"
    assert json.loads((door.received / "1-here-abc.json").read_text()) == PAGE


def test_a_page_goes_through_a_relay_when_there_is_no_way_from_here(opened: Any, tls: Any) -> None:
    door = opened(settings("console", tls("console"), receives=True))
    here = {"webhook": place("console", door.server_port), "mail": place("mailbox", NOBODY)}
    me = place("relay", 0)
    relay = opened(settings("relay", tls("relay"), ways=here, relays=(me,)))
    dead, alive = place("relay", NOBODY), place("relay", relay.server_port)
    sender = settings("here", tls("here"), relays=(dead, alive))

    assert module("ways").deliver(sender, "webhook", PAGE) == "relay"
    assert (door.received / "1-here-abc.json").exists()
    with pytest.raises(module("ways").NotTaken, match="answered 502"):
        module("ways").deliver(sender, "mail", PAGE)


@pytest.mark.parametrize("answer", [{"kept": hashlib.sha256(b"").hexdigest()}, {"ok": True}])
def test_a_receiver_that_answers_success_and_kept_something_else_took_nothing(
    opened: Any, tls: Any, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]
) -> None:
    door = opened(settings("console", tls("console"), receives=True))
    monkeypatch.setattr(module("door").Visit, "_page", lambda *_: answer)
    sender = settings("here", tls("here"), ways={"webhook": place("console", door.server_port)})

    with pytest.raises(module("ways").NotTaken, match="kept"):
        module("ways").deliver(sender, "webhook", PAGE)


def test_nobody_but_hosts_that_look_for_trouble_comes_in(opened: Any, tls: Any) -> None:
    door = opened(settings("console", tls("console"), receives=True))
    stranger = settings("stranger", tls("stranger"), ways={"webhook": place("console", door.server_port)})

    with pytest.raises(module("ways").NotTaken, match="403"):
        module("ways").deliver(stranger, "webhook", PAGE)
    with pytest.raises(module("ways").NotTaken, match="404"):
        ask(place("console", door.server_port), tls("here"), "/relay/mail", PAGE)
    for spoilt in ({**PAGE, "id": "../../etc/x"}, {**PAGE, "text": 5}, {"id": "1"}):
        with pytest.raises(module("ways").NotTaken, match="400"):
            ask(place("console", door.server_port), tls("here"), "/page", spoilt)
    assert list(door.received.iterdir()) == []


def test_heartbeats_come_over_one_connection(opened: Any, tls: Any) -> None:
    door = opened(settings("relay", tls("relay")))
    line = module("ways").Line(place("relay", door.server_port), tls("here"))
    claims = {"jobs": {}, "logs": {"billing": "000000010000000000000001"}}

    for _ in range(3):
        line.ask("/heartbeat", {"claims": claims, "paged": ["silent:web"]})

    assert door.heard.ages(("here",))["here"] < 5
    assert door.heard.paged() == {"here": ["silent:web"]}
    with pytest.raises(module("ways").NotTaken, match="400"):
        line.ask("/heartbeat", {"claims": {"jobs": 5}, "paged": []})
    line.close()
