"""What every TCP listener shows to whoever connects: certificates, its oldest protocol, whether it talks plainly."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import ssl
import struct
import warnings
from pathlib import Path
from typing import Any

from .common import Settings, at_once
from .network import listeners

_TIMEOUT_S = 2.0
_TLS = "/etc/secondsite/tls"
_POSTGRES = {"postgres", "pgbouncer"}
_MAIL = {"master", "smtpd", "opensmtpd", "exim4"}
_NO_TLS_OF_ITS_OWN = {"sshd", "knotd", "named", "bird", "chronyd", "systemd-resolve", "unbound"}
_REFUSED_HERE = ("no protocols available", "unsupported protocol", "no ciphers available")


def tls(settings: Settings) -> list[dict[str, Any]]:
    """Return what each listener showed, asked by address with the name it should have."""
    places = [
        one for one in listeners(settings) if one["protocol"] == "tcp" and one["program"] not in _NO_TLS_OF_ITS_OWN
    ]
    own = str(settings["address"] or settings["management"])
    wanted = []
    for one in {(p["address"], p["port"]): p for p in places}.values():
        names = settings["service_names"] if one["port"] == 443 and settings["service_names"] else [settings["name"]]
        address = own if one["address"] in ("0.0.0.0", "*", "[::]") else str(one["address"])
        wanted += [one | {"address": address, "name": name} for name in names]
    believing, trusting, old = _context(None, verify=False), _context(settings["roots"], verify=True), _old()
    return at_once(lambda one: _asked(one, believing, trusting, old), wanted, most=8)


def _asked(
    one: dict[str, Any], believing: ssl.SSLContext, trusting: ssl.SSLContext, old: ssl.SSLContext
) -> dict[str, Any]:
    """Ask one that trusts first: what it was shown is what one that believes anything would be shown."""
    found = {key: one[key] for key in ("address", "port", "program", "name")}
    verified = _handshake(one, trusting)
    shown = verified if "chain" in verified else _handshake(one, believing)
    found |= shown
    if "chain" in shown:
        found["verified"] = verified.get("trouble", "")
        found["old_protocol"] = _handshake(one, old).get("trouble", "accepted")
    found["plain"] = _plain(one)
    return found


def _context(roots: str | None, *, verify: bool) -> ssl.SSLContext:
    """Return a client that trusts nothing but ``roots``: no store of the host, no certificate fetched on the way."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = verify
    context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    if roots:
        context.load_verify_locations(cadata=roots)
    with contextlib.suppress(
        OSError, ssl.SSLError
    ):  # a listener that asks for a client's certificate then refuses, and says so
        context.load_cert_chain(f"{_TLS}/host.crt", f"{_TLS}/host.key")
    return context


def _old() -> ssl.SSLContext:
    context = _context(None, verify=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def _handshake(one: dict[str, Any], context: ssl.SSLContext) -> dict[str, Any]:
    try:
        with socket.create_connection((one["address"], one["port"]), timeout=_TIMEOUT_S) as wire:
            _ask_for_tls(wire, one["program"])
            with context.wrap_socket(wire, server_hostname=one["name"]) as secured:
                cipher = secured.cipher()
                return {"chain": _chain(secured), "protocol": secured.version(), "bits": cipher[2] if cipher else None}
    except ssl.SSLCertVerificationError as error:
        return {"trouble": error.verify_message or str(error)}
    except ssl.SSLError as error:
        words = str(error.reason or error).lower().replace("_", " ")
        here = any(word in words for word in _REFUSED_HERE) and "alert" not in words
        return {"trouble": f"can't be tried: {words}" if here else f"refused: {words}"}
    except OSError as error:
        return {"trouble": f"refused: {error}"}


def _ask_for_tls(wire: socket.socket, program: str) -> None:
    if program in _POSTGRES:
        wire.sendall(struct.pack("!ii", 8, 80877103))
        if wire.recv(1) != b"S":
            raise OSError("it does not offer TLS")
    elif program in _MAIL:
        wire.recv(512)
        wire.sendall(b"EHLO check.invalid\r\n")
        wire.recv(2048)
        wire.sendall(b"STARTTLS\r\n")
        if not wire.recv(512).startswith(b"220"):
            raise OSError("it does not offer TLS")


def _chain(secured: ssl.SSLSocket) -> list[str]:
    """Return every certificate the listener sent, leaf first."""
    if hasattr(secured, "get_unverified_chain"):
        chain = secured.get_unverified_chain()
    else:  # before Python 3.13
        chain = [one.public_bytes(2) for one in secured._sslobj.get_unverified_chain()]  # type: ignore[attr-defined]  # noqa: SLF001
    return [base64.b64encode(one).decode("ascii") for one in chain]


def _plain(one: dict[str, Any]) -> str:
    """Say what the listener answers to plain HTTP: nothing, or its first words."""
    try:
        with socket.create_connection((one["address"], one["port"]), timeout=_TIMEOUT_S) as wire:
            wire.settimeout(_TIMEOUT_S / 4)
            wire.sendall(f"GET / HTTP/1.1\r\nHost: {one['name']}\r\nConnection: close\r\n\r\n".encode())
            return re.sub(r"[^ -~]", "?", wire.recv(24).decode("latin-1")).strip()
    except OSError:
        return ""


def keys(_: Settings) -> list[dict[str, Any]]:
    """Return each certificate of this host with its key: who may read the key, and whether the two belong together."""
    pairs = {(f"{_TLS}/host.crt", f"{_TLS}/host.key")} | _web_server_pairs()
    return [_pair(certificate, key) for certificate, key in sorted(pairs)]


def _web_server_pairs() -> set[tuple[str, str]]:
    found = set()
    for path in (
        Path("/etc/nginx/nginx.conf"),
        *Path("/etc/nginx").glob("*-enabled/*"),
        *Path("/etc/nginx/conf.d").glob("*.conf"),
    ):
        if path.is_file():
            text = path.read_text(errors="replace")
            keys_named = re.findall(r"^\s*ssl_certificate_key\s+(\S+);", text, re.MULTILINE)
            found |= set(zip(re.findall(r"^\s*ssl_certificate\s+(\S+);", text, re.MULTILINE), keys_named, strict=False))
    return found


def _pair(certificate: str, key: str) -> dict[str, Any]:
    found: dict[str, Any] = {"certificate": certificate, "key": key}
    try:
        about = Path(key).stat()
        found |= {"mode": f"{about.st_mode & 0o7777:04o}", "uid": about.st_uid, "gid": about.st_gid}
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
        found["fits"] = ""
    except (OSError, ssl.SSLError) as error:
        found["fits"] = str(error)
    return found


SECTIONS = {"tls": tls, "keys": keys}
