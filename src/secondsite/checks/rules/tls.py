"""TLS: every listener proves its name with certificates that hold, speaks nothing old, and nothing plain."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

from cryptography import x509

from ...estate.model import Host
from ..model import Facts, Finding, World
from .frame import bad, good, host_check, unclear

AHEAD = dt.timedelta(days=30)
FEWEST_BITS = 128
_PROTOCOLS = frozenset({"TLSv1.2", "TLSv1.3"})
_ANSWERS_PLAINLY = ("HTTP/1.0 2", "HTTP/1.1 2", "HTTP/1.0 3", "HTTP/1.1 3")
FIX = "secondsite run provision"

Listener = Mapping[str, Any]


def place_of(host: Host, listener: Listener) -> str:
    """Return a listener as people name it."""
    return f"{host.name} {listener['address']}:{listener['port']} ({listener['program'] or '?'}) as {listener['name']}"


def certificates(listener: Listener) -> list[x509.Certificate]:
    """Return the certificates a listener sent, its own first."""
    return [x509.load_der_x509_certificate(base64.b64decode(one)) for one in listener.get("chain", [])]


def _listeners(facts: Facts) -> list[Listener]:
    return sorted(facts["tls"], key=lambda one: (one["port"], one["address"], one["name"]))


@host_check(
    "TLS-HANDSHAKE",
    reads="tls keys",
    expected="every TCP listener answers with TLS 1.2 or newer, 128 bits or more, and can read its key again",
    fix=FIX,
    commitments="C17",
    controls="DR-25",
    tags="tls",
)
def handshake(host: Host, facts: Facts, _: World) -> Iterator[Finding]:
    """Every listener speaks TLS today, asked by address with its name."""
    for one in _listeners(facts):
        place = place_of(host, one)
        if "chain" not in one:
            yield bad(f"{place}: {one.get('trouble', 'no handshake')}", host.name)
        elif one["protocol"] not in _PROTOCOLS or (one["bits"] or 0) < FEWEST_BITS:
            yield bad(f"{place}: {one['protocol']} with {one['bits']} bits", host.name)
        else:
            yield good(f"{place}: {one['protocol']}", host.name)
    for pair in facts["keys"]:
        yield from _key(host, pair)


def _key(host: Host, pair: Mapping[str, Any]) -> Iterator[Finding]:
    if "mode" not in pair:
        if "carrier" not in host.groups:
            yield bad(f"{host.name}: {pair['key']}: {pair['fits']}", host.name)
    elif not int(pair["mode"], 8) & 0o440:
        yield bad(f"{host.name}: {pair['key']} can be read by nobody (mode {pair['mode']})", host.name)
    elif int(pair["mode"], 8) & 0o007:
        yield bad(f"{host.name}: {pair['key']} can be read by everybody (mode {pair['mode']})", host.name)
    elif pair["fits"]:
        yield bad(f"{host.name}: {pair['certificate']} does not fit its key: {pair['fits']}", host.name)


@host_check(
    "TLS-CHAIN",
    reads="tls",
    expected="what a listener sends leads to a site's authority, for its name, in a store that holds nothing else",
    fix=FIX,
    commitments="C17",
    controls="DR-25",
    tags="tls",
)
def chain(host: Host, facts: Facts, world: World) -> Iterator[Finding]:
    """A client that trusts only the sites' authorities believes every listener."""
    for one in (one for one in _listeners(facts) if "chain" in one):
        trouble = one["verified"]
        if trouble and not ("expired" in trouble and _ended(one, world.now)):
            yield bad(f"{place_of(host, one)}: {trouble}", host.name)
        elif not trouble:
            yield good(f"{place_of(host, one)}: {len(one['chain'])} sent", host.name)


def _ended(one: Listener, when: dt.datetime) -> bool:
    """Say whether a certificate has run out: then that is why it is not believed, and TLS-EXPIRY tells it."""
    return any(certificate.not_valid_after_utc < when for certificate in certificates(one))


@host_check(
    "TLS-EXPIRY",
    reads="tls",
    expected="every certificate a listener sends is valid now and in 30 days",
    fix=FIX,
    commitments="C17",
    controls="DR-25",
    tags="tls",
)
def expiry(host: Host, facts: Facts, world: World) -> Iterator[Finding]:
    """No certificate runs out soon."""
    for one in (one for one in _listeners(facts) if "chain" in one):
        for certificate in certificates(one):
            begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
            told = f"{place_of(host, one)}: valid from {begins:%Y-%m-%d} to {ends:%Y-%m-%d}"
            yield good(told, host.name) if begins <= world.now and ends >= world.now + AHEAD else bad(told, host.name)


@host_check(
    "TLS-FLOOR",
    reads="tls",
    expected="every listener refuses TLS 1.1 and older",
    fix=FIX,
    commitments="C17",
    controls="DR-25",
    tags="tls",
)
def floor(host: Host, facts: Facts, _: World) -> Iterator[Finding]:
    """Nothing old is spoken."""
    for one in (one for one in _listeners(facts) if "chain" in one):
        told = f"{place_of(host, one)}: TLS 1.1 {one['old_protocol']}"
        if one["old_protocol"].startswith("refused"):
            yield good(told, host.name)
        else:
            yield bad(told, host.name) if one["old_protocol"] == "accepted" else unclear(told, host.name)


@host_check(
    "TLS-PLAIN",
    reads="tls listeners",
    expected="no listener serves plain HTTP",
    fix=FIX,
    commitments="C17",
    controls="DR-25",
    tags="tls",
)
def plain(host: Host, facts: Facts, _: World) -> Iterator[Finding]:
    """Whoever asks in plain HTTP is refused."""
    for one in _listeners(facts):
        answer = str(one["plain"])
        if answer.startswith(_ANSWERS_PLAINLY) or (answer.startswith("HTTP/") and "chain" not in one):
            yield bad(f"{place_of(host, one)}: answers plain HTTP with {one['plain']}", host.name)
        else:
            yield good(f"{place_of(host, one)}: refuses", host.name)


CHECKS = (handshake, chain, expiry, floor, plain)
