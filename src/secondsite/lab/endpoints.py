"""Power endpoints: each a process in a network namespace of its own, out-of-band only, beside the machines it switches.

It speaks Redfish over TLS (``endpoint.py``). Its TLS key is its own, made once; whoever may use it is told by
``admit``, and only a salted hash of the password is kept.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import ipaddress
import json
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ..errors import ActionTimeout
from . import netns, processes
from .model import LabSettings, PowerEndpoint, Topology
from .rules import endpoint_commands, outer_commands, wire_of
from .state import write_whole

PORT = 443
_ANSWERS_WITHIN_S = 20.0
_FORK_TIMEOUT_S = 30
_LASTS = dt.timedelta(days=3650)


def start(settings: LabSettings, topology: Topology) -> None:
    """Start every power endpoint that does not run, and return when all take connections.

    Raises:
        ActionTimeout: one does not; its folder holds what it said.
    """
    running = {process.host for process in processes.inhabitants(settings)}
    starting = [one for one in topology.endpoints.values() if one.name not in running]
    for endpoint in starting:
        _plug_in(settings, endpoint)
        _make_certificate(settings, endpoint)
        _spawn(settings, endpoint)
    for endpoint in starting:
        _wait(settings, endpoint)


def certificate(settings: LabSettings, endpoint: str) -> str:
    """Return what an endpoint proves itself with, as an operator reads it off the device at its installation."""
    return (settings.endpoint_dir(endpoint) / "certificate.pem").read_text(encoding="ascii")


def admit(settings: LabSettings, endpoint: str, *, username: str, password: str) -> None:
    """Let this user switch an endpoint's outlets, and nobody else; known already, it is left alone."""
    if admits(settings, endpoint, username=username, password=password):
        return
    salt = secrets.token_hex(16)
    kept = {"username": username, "salt": salt, "hash": _hash(password, salt)}
    write_whole(_user_file(settings, endpoint), json.dumps(kept) + "\n", mode=0o600)


def admits(settings: LabSettings, endpoint: str, *, username: str, password: str) -> bool:
    """Say whether this is the user an endpoint was told of."""
    try:
        kept = json.loads(_user_file(settings, endpoint).read_text(encoding="utf-8"))
        same = hmac.compare_digest(str(kept["hash"]), _hash(password, str(kept["salt"])))
        return same and hmac.compare_digest(str(kept["username"]).encode(), username.encode())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _user_file(settings: LabSettings, endpoint: str) -> Path:
    return settings.endpoint_dir(endpoint) / "user.json"


def _hash(password: str, salt: str) -> str:
    return hashlib.scrypt(password.encode(), salt=salt.encode(), n=2**10, r=8, p=1).hex()


def _plug_in(settings: LabSettings, endpoint: PowerEndpoint) -> None:
    namespace, wire = settings.namespace(endpoint.name), wire_of(endpoint)
    if netns.exists(namespace):  # its process died: the wire is there
        return
    netns.add(namespace)
    off = {"ipv6/conf/all/disable_ipv6": "1", "ipv6/conf/default/disable_ipv6": "1", "ipv4/ip_forward": "0"}
    netns.write_settings(namespace, off)
    netns.batch(settings.wires, outer_commands((wire,), namespace))
    netns.batch(namespace, endpoint_commands(endpoint))


def _make_certificate(settings: LabSettings, endpoint: PowerEndpoint) -> None:
    folder = settings.endpoint_dir(endpoint.name)
    if (folder / "certificate.pem").exists():
        return
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, endpoint.name)])
    now = dt.datetime.now(dt.UTC)
    identity = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    made = (
        x509.CertificateBuilder(subject_name=name, issuer_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + _LASTS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(identity, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identity), critical=False)
    )
    for extension, critical in _what_it_is_for(endpoint):
        made = made.add_extension(extension, critical=critical)
    pem = made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode("ascii")
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")
    write_whole(folder / "key.pem", secret, mode=0o600)
    write_whole(folder / "certificate.pem", pem)


def _what_it_is_for(endpoint: PowerEndpoint) -> Iterator[tuple[x509.ExtensionType, bool]]:
    usage = {"digital_signature": True, "key_cert_sign": True}
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    usage |= dict.fromkeys((*others, "crl_sign", "encipher_only", "decipher_only"), False)
    yield x509.KeyUsage(**usage), True
    yield x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False
    address = ipaddress.IPv4Address(endpoint.management.ip)
    yield x509.SubjectAlternativeName([x509.DNSName(endpoint.name), x509.IPAddress(address)]), False


def _spawn(settings: LabSettings, endpoint: PowerEndpoint) -> None:
    """Start its process; it outlives this one, and lives in its own network namespace only."""
    words = [settings.instance, settings.state, settings.cache, settings.topology, settings.run_dir, endpoint.name]
    with (settings.endpoint_dir(endpoint.name) / "log").open("ab") as log:
        subprocess.run(
            ["setsid", "--fork", "nsenter", f"--net=/run/netns/{settings.namespace(endpoint.name)}",
             sys.executable, "-m", "secondsite.lab.endpoint", *map(str, words)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd="/", check=True,
            timeout=_FORK_TIMEOUT_S,
            env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
        )  # fmt: skip


def _wait(settings: LabSettings, endpoint: PowerEndpoint) -> None:
    until = time.monotonic() + _ANSWERS_WITHIN_S
    address = (str(endpoint.management.ip), PORT)

    def connect() -> bool:
        try:
            socket.create_connection(address, timeout=1).close()
        except OSError:
            return False
        return True

    # asked in its own namespace: what a fault keeps from others is no reason not to have started
    while not netns.in_namespace(netns.path_of(settings.namespace(endpoint.name)), connect):
        if time.monotonic() > until:
            raise ActionTimeout(
                f"the power endpoint {endpoint.name} takes no connection",
                next_step=f"read {settings.endpoint_dir(endpoint.name)}/log, then: secondsite lab down",
            )
        time.sleep(0.05)
