"""A shop of a few lines on this machine's loopback, with TLS as customers check it, and customers that visit it."""

from __future__ import annotations

import datetime as dt
import http.server
import ipaddress
import json
import ssl
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SCRIPTS = Path(__file__).parents[3] / "src" / "secondsite" / "probes" / "remote"


@dataclass(slots=True)
class SmallShop:
    """Remembers orders, unless told to answer otherwise."""

    folder: Path
    port: int = 0
    orders: dict[str, str] = field(default_factory=dict)
    status: int | None = None
    hang: threading.Event | None = None
    forget_orders: bool = False
    asked: int = 0
    refused: tuple[str, ...] = ("signin drill-revoked", "orders drill-held")

    def answer(self, method: str, path: str, words: dict[str, str], token: str) -> tuple[int, dict[str, Any]]:
        self.asked += 1
        if self.hang is not None:
            self.hang.wait(10)
        if self.status is not None:
            return self.status, {}
        place = path.partition("?")[0]
        if f"{place[1:]} {words.get('customer', token)}" in self.refused:
            return 403, {}
        if place == "/orders" and method == "POST" and not self.forget_orders:
            self.orders[words["id"]] = words["item"]
        found = self.orders.get(path.rpartition("/")[2])
        answers: dict[str, tuple[int, dict[str, Any]]] = {
            "/signin": (200, {"token": words.get("customer"), "login": 7}),
            "/orders": (201, {}),
            "/control": (201, {}),
            "/bills": (200, {"bills": [{"cents": 300}]}),
            "/customers/me": (200, {"logins": [{"id": 7}]}),
        }
        return answers.get(place) or ((200, {"item": found}) if found else (404, {}))


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.crt and, signed by it, localhost's certificate and key."""
    folder = tmp_path_factory.mktemp("authority")
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = _certificate("a test's authority", ca_key.public_key(), issuer="a test's authority", signer=ca_key, is_ca=True)
    leaf = _certificate("localhost", key.public_key(), issuer="a test's authority", signer=ca_key, is_ca=False)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "ca.crt").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    (folder / "host.pem").write_bytes(private + leaf.public_bytes(serialization.Encoding.PEM))
    return folder


def _certificate(
    name: str, public: ec.EllipticCurvePublicKey, *, issuer: str, signer: ec.EllipticCurvePrivateKey, is_ca: bool
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    other = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only")
    usage = dict.fromkeys((*other, "decipher_only"), False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=not is_ca, key_cert_sign=is_ca, crl_sign=is_ca, **usage), critical=True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
    )
    return builder.sign(signer, hashes.SHA256())


@pytest.fixture
def shop(authority: Path) -> Iterator[SmallShop]:
    small = SmallShop(authority)

    class Handler(http.server.BaseHTTPRequestHandler):
        def _answer(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length", 0)))
            token = self.headers.get("authorization", "").rpartition(" ")[2]
            status, words = small.answer(self.command, self.path, json.loads(raw) if raw else {}, token)
            body = json.dumps(words).encode()
            self.send_response(status)
            for name, value in {"X-Served-By": "web-x", "X-Database": "db-x", "Content-Length": len(body)}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815  the server's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # customers hang up when their time is over

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(authority / "host.pem")
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    small.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield small
    if small.hang is not None:
        small.hang.set()
    server.shutdown()
    thread.join()
    server.server_close()


Visit = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def visit(shop: SmallShop, tmp_path: Path) -> Iterator[Visit]:
    """Start a customer the way it is started on its host: the order on standard input, kept open."""
    tenant = tmp_path / "tenant.json"
    tenant.write_text(json.dumps({"password": str(uuid.uuid4())}))
    started: list[subprocess.Popen[str]] = []

    def start(verb: str, **order: object) -> subprocess.Popen[str]:
        place = {"name": "localhost", "port": shop.port, "ca_file": str(shop.folder / "ca.crt")}
        times = {"timeout_s": order.pop("timeout_s", 2), "connect_s": order.pop("connect_s", 1)}
        words = {"shop": place | times, "tenant_file": str(tenant), "customer": "drill"} | order
        child = subprocess.Popen(
            [sys.executable, "-I", "-u", str(SCRIPTS / "customer.py"), verb],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(child)
        assert child.stdin is not None
        child.stdin.write(json.dumps(words) + "\n")
        child.stdin.flush()
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()
