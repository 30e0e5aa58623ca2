"""The one door: HTTPS with certificates on both sides. Writers and readers of the estate, and the other site's copy.

PUT, GET, DELETE /documents/PATH, /website/PATH     201 when it is on disk here and this host is still the primary
the same         /documents/customers/ACCOUNT/NAME     sealed for that customer's own key; 410 when the customer was erased
GET              /documents/customers/ACCOUNT          the names of that customer's documents
PUT              /mail/NAME                         201 when both sites hold it (or the quorum knows that one does not)
GET, POST        /git/NAME.git/...                  git's own protocol
POST             /try/WORKLOAD                      200 when a write was possible; nothing is kept
GET              /status
*                /replica/...                       from the peer, in the epoch the quorum says, and nobody else
"""

from __future__ import annotations

import http.server
import json
import os
import socket
import ssl
import subprocess
import tempfile
from pathlib import Path

from . import disk, tunnel
from .house import House, InDoubt, NotNow, NotSent, Unfit
from .kept import _GIT_ENV, Kept, Repositories, folder_for_what_is_lost
from .mail import Mail
from .rules import parts_of, rsync_words
from .sealed import FOLDER, SUBJECT, Customers, Gone

_LARGEST = 64 << 20
_SERVICES = ("git-upload-pack", "git-receive-pack")


_STATUS: dict[type[Exception], int] = {Unfit: 422, NotNow: 503, InDoubt: 202, NotSent: 503, Gone: 410}


class Refused(Exception):
    """An answer that is no success: its status and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Server(http.server.ThreadingHTTPServer):
    """One thread per connection; the handshake is made in it, so that nobody's silence holds up the others."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, house: House, kept: dict[str, Kept], customers: Customers) -> None:
        super().__init__((house.settings.address, house.settings.port), Handler)
        self.house, self.kept, self.customers = house, kept, customers
        self._context = house.settings.context(ssl.Purpose.CLIENT_AUTH)

    def finish_request(self, request: socket.socket, client_address: object) -> None:
        request.settimeout(15)
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._context.wrap_socket(request, server_side=True) as tls:
            tls.settimeout(60)
            self.RequestHandlerClass(tls, client_address, self)

    def handle_error(self, request: object, client_address: object) -> None:
        """Connections that break are their makers' business."""


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection of somebody who showed a certificate of the estate."""

    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        subject = dict(pair[0] for pair in self.connection.getpeercert()["subject"])
        self.caller = str(subject.get("commonName", ""))
        self.house = self.server.house

    def log_message(self, *_: object) -> None:
        """Trouble is said by the house."""

    def _handle(self) -> None:
        try:
            self._route()
        except (Refused, Unfit, NotNow, InDoubt, NotSent, Gone) as error:
            status = error.status if isinstance(error, Refused) else _STATUS[type(error)]
            words = {"outcome": "unknown"} if isinstance(error, InDoubt) else {"error": str(error)}
            self.close_connection = True  # the body may not have been read
            self._answer(status, words)
        except FileNotFoundError:
            self._answer(404, {"error": "no such thing"})

    do_GET = do_PUT = do_POST = do_DELETE = _handle

    def _route(self) -> None:
        path, _, query = self.path.partition("?")
        parts = parts_of(path)
        if parts is None:
            raise Refused(400, "no such path")
        if parts[0] == "replica":
            self._replica(parts[1:], query)
            return
        if self.caller not in self.house.settings.writers:
            raise Refused(403, f"{self.caller} may not use this")
        if parts == ("status",):
            self._answer(200, dict(self.house.status()))
        elif parts[0] == "try" and len(parts) == 2 and self.command == "POST":
            kept = self._kept(parts[1])
            self._body()
            with self.house.writing(parts[1]):
                kept.try_to_write()
            self._answer(200, {"writable": True})
        elif parts[0] == "git" and len(parts) > 1:
            self._git(parts[1:], query)
        elif parts[0] == "mail" and len(parts) == 2 and self.command == "PUT":
            self._mail(parts[1])
        elif parts[0] in ("documents", "website") and len(parts) > 1:
            self._file(parts)
        else:
            raise Refused(404, "no such thing")

    def _file(self, parts: tuple[str, ...]) -> None:
        kept, subject = self._kept(parts[0]), self._customer(parts)
        path = kept.folder.joinpath(*parts[1:])
        if self.command == "GET" and subject and len(parts) == 3:
            names = [one.name for one in path.iterdir() if not one.name.startswith(".")] if path.is_dir() else []
            self._answer(200, {"names": sorted(names)})
            return
        if self.command == "GET":
            found = path.read_bytes()
            self._answer(200, self.server.customers.open(subject, found) if subject else found)
            return
        body = self._body()
        if subject and self.command == "PUT":
            body = self.server.customers.seal(subject, body)
        with self.house.writing(parts[0]):
            if self.command == "PUT":
                disk.keep(path, body)
            elif self.command == "DELETE":
                path.unlink()
                disk.sync_directory(path.parent)
            else:
                raise Refused(405, "GET, PUT or DELETE")
            kept.due.set()
        self._answer(201 if self.command == "PUT" else 200, {"path": "/".join(parts[1:])})

    def _customer(self, parts: tuple[str, ...]) -> str:
        """Return whose document a path is of; empty for what is no customer's."""
        if parts[:2] != ("documents", FOLDER):
            return ""
        listing = self.command == "GET" and len(parts) == 3
        if len(parts) < 3 or not SUBJECT.fullmatch(parts[2]) or not (listing or len(parts) == 4):
            raise Refused(404, "a customer's document is called customers/ACCOUNT/NAME")
        return parts[2]

    def _mail(self, name: str) -> None:
        kept, body = self._kept("mail"), self._body()
        assert isinstance(kept, Mail)
        with self.house.writing("mail") as lease:
            is_new = kept.accept(name, body, lease)
        self._answer(201 if is_new else 200, {"name": name})

    def _git(self, parts: tuple[str, ...], query: str) -> None:
        kept = self._kept("git")
        assert isinstance(kept, Repositories)
        repository = parts[0].removesuffix(".git")
        if repository not in self.house.settings.repositories:
            raise Refused(404, "no such repository")
        kept.make(repository)
        if not (query == "service=git-receive-pack" or parts[-1] == "git-receive-pack"):
            self._backend(kept, parts, query)
            return
        with self.house.writing("git"):
            self._backend(kept, parts, query)
        if self.command == "POST":
            kept.changed.add(repository)
            kept.due.set()

    # The other site's copy

    def _replica(self, parts: tuple[str, ...], query: str) -> None:
        peer = self.house.settings.peer
        if peer is None or self.caller != peer.name or not parts:
            raise Refused(403, f"{self.caller} is not this host's peer")
        epoch = int(self.headers.get("X-Epoch", "0"))
        kept = self._kept(parts[0])
        self.house.require_sender(parts[0], self.caller, epoch)
        if parts[1:] == ("stamp",):
            through = float(json.loads(self._body())["through"])
            self.house.memories.note_through(parts[0], through, epoch)
            self._answer(200, {})
        elif parts[1:] == ("rsync",):
            self._receive(kept, epoch)
        elif isinstance(kept, Mail):
            self._replica_of_mail(kept, parts[1:])
        elif isinstance(kept, Repositories):
            self._replica_of_git(kept, parts[1:], query, epoch)
        else:
            raise Refused(404, "no such thing")

    def _replica_of_mail(self, kept: Mail, parts: tuple[str, ...]) -> None:
        body = self._body()
        if len(parts) == 1 and self.command == "PUT":
            kept.receive(parts[0], body)
        elif len(parts) == 2 and parts[1] == "sent":
            kept.mark_sent(parts[0])
        else:
            raise Refused(404, "no such thing")
        self._answer(201, {})

    def _replica_of_git(self, kept: Repositories, parts: tuple[str, ...], query: str, epoch: int) -> None:
        repository = parts[0].removesuffix(".git")
        if repository not in self.house.settings.repositories:
            raise Refused(404, "no such repository")
        if parts[1:] == ("ready",):
            self._answer(200, {"refs": kept.ready(repository, json.loads(self._body()), epoch)})
        else:
            self._backend(kept, parts, query)

    def _receive(self, kept: Kept, epoch: int) -> None:
        lost = folder_for_what_is_lost(self.house.settings.root, kept.name, epoch)
        kept.folder.mkdir(parents=True, exist_ok=True)
        words = rsync_words(json.loads(self.headers.get("X-Words", "[]")), target=f"{kept.folder}/", kept_in=lost)
        if words is None:
            raise Refused(400, "that is no way to be sent files")
        self.close_connection = True
        with subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as receiver:
            assert receiver.stdin is not None and receiver.stdout is not None
            self.send_response(200)
            self.end_headers()
            try:
                sink = os.dup(receiver.stdin.fileno())
                receiver.stdin.close()
                tunnel.carry(self.connection, source=receiver.stdout.fileno(), sink=sink, ends_with_source=True)
            finally:
                if receiver.poll() is None:
                    try:
                        receiver.wait(timeout=2)
                    except subprocess.TimeoutExpired:
                        receiver.kill()

    # How

    def _kept(self, workload: str) -> Kept:
        kept = self.server.kept.get(workload)
        if kept is None:
            raise Refused(404, "no such workload")
        return kept

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return b"".join(self._chunks())
        length = int(self.headers.get("Content-Length") or 0)
        if length > _LARGEST:
            raise Refused(413, "too long")
        return self.rfile.read(length)

    def _chunks(self):  # type: ignore[no-untyped-def]
        total = 0
        while size := int(self.rfile.readline(64).split(b";")[0], 16):
            total += size
            if total > _LARGEST:
                raise Refused(413, "too long")
            yield self.rfile.read(size)
            self.rfile.readline(8)
        self.rfile.readline(8)

    def _answer(self, status: int, words: dict[str, object] | bytes) -> None:
        body = words if isinstance(words, bytes) else json.dumps(words).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Served-By", self.house.settings.host)
        if status == 503:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(body)

    def _backend(self, kept: Repositories, parts: tuple[str, ...], query: str) -> None:
        """Let git's own program answer, as a CGI."""
        body = self._body()
        environment = _GIT_ENV | {
            "GIT_PROJECT_ROOT": str(kept.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": "/" + "/".join(parts),
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_USER": self.caller,
            "REMOTE_ADDR": self.client_address[0],
        }
        with tempfile.TemporaryFile(dir=kept.folder) as sent:
            sent.write(body)
            sent.seek(0)
            ended = subprocess.run(
                ["git", "http-backend"], check=False, stdin=sent, capture_output=True, env=environment
            )
        head, _, content = ended.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode("latin-1").splitlines() if ": " in line)
        self.send_response(int(fields.pop("Status", "200").split()[0]) if ended.returncode == 0 else 500)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Served-By", self.house.settings.host)
        self.end_headers()
        self.wfile.write(content)


def folders(root: Path) -> None:
    """Make what every storekeeper needs."""
    for name in (".memory", ".kept"):
        (root / name).mkdir(parents=True, exist_ok=True)
