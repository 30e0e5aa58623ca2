"""A producer tries the append-only server: real TLS, and servers that forbid, look first, or know nobody."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from secondsite.probes.remote.collectors.backups import producer
from secondsite.probes.remote.collectors.common import Unreadable

KNOWN = "Basic cHJvZHVjZXI6c2VjcmV0"  # producer:secret


@contextmanager
def server(authority: Path, *, forbids: bool, asks_for_certificates: bool = True) -> Iterator[int]:
    """Answer as restic's server and its door do with private repositories, append-only or not."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def _answer(self) -> None:
            is_known = self.headers.get("authorization") == KNOWN and self.path.startswith("/producer/")
            is_certified = bool(self.connection.getpeercert()) or not asks_for_certificates
            status = (
                403
                if not is_certified
                else 401
                if not is_known
                else 403
                if forbids and self.command == "DELETE"
                else 404
            )
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_DELETE = _answer  # noqa: N815  the server's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(authority / "host.pem")
    tls.load_verify_locations(authority / "ca.crt")
    tls.verify_mode = ssl.CERT_OPTIONAL
    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.socket = tls.wrap_socket(listening.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    try:
        yield listening.server_address[1]
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


@pytest.fixture
def configured(tmp_path: Path, authority: Path) -> Callable[[str], Path]:
    def write(url: str) -> Path:
        (tmp_path / "repository.key").write_text(f"rest:{url}\n")
        environment = tmp_path / "restic.env"
        mine = f"PRODUCER_CERTIFICATE={authority}/host.pem\nPRODUCER_KEY={authority}/host.pem\n"
        environment.write_text(
            f"RESTIC_REPOSITORY_FILE={tmp_path}/repository.key\nRESTIC_CACERT={authority}/ca.crt\n{mine}"
        )
        return environment

    return write


@pytest.mark.parametrize(("forbids", "deletes"), [(True, 403), (False, 404)])
def test_what_the_server_answers_is_told(
    authority: Path, configured: Callable[[str], Path], *, forbids: bool, deletes: int
) -> None:
    with server(authority, forbids=forbids) as port:
        told = producer({}, configured(f"https://producer:secret@localhost:{port}/producer/"))
    assert told == {
        "server": f"localhost:{port}",
        "deletes": deletes,
        "reads_its_own": 404,
        "reads_anothers": 401,
        "reads_unnamed": 401,
        "reads_uncertified": 403,
        "archives": {},
    }


def test_a_server_that_asks_for_no_certificate_is_told(authority: Path, configured: Callable[[str], Path]) -> None:
    with server(authority, forbids=True, asks_for_certificates=False) as port:
        told = producer({}, configured(f"https://producer:secret@localhost:{port}/producer/"))
    assert told["reads_uncertified"] == 404


def test_a_server_that_is_not_there_and_a_producer_without_one_are_said(
    authority: Path, configured: Callable[[str], Path], tmp_path: Path
) -> None:
    with server(authority, forbids=True) as port:
        pass
    with pytest.raises(Unreadable, match="can't be asked"):
        producer({}, configured(f"https://producer:secret@localhost:{port}/producer/"))
    with pytest.raises(Unreadable, match="no repository"):
        producer({}, tmp_path / "none")


def test_a_host_whose_repositories_can_not_be_asked_says_so(
    authority: Path, configured: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "pgbackrest.conf").write_text("[global]\nrepo1-host=nowhere\n\n[billing]\npg1-path=/nowhere\n")
    with server(authority, forbids=True) as port:
        environment = configured(f"https://producer:secret@localhost:{port}/producer/")
        with pytest.raises(Unreadable, match="repository 1 of pgBackRest"):
            producer({}, environment, archives=tmp_path / "pgbackrest.conf")
