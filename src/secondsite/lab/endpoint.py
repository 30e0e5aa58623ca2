"""One power endpoint: a small Redfish service over TLS that switches the outlets of one site's hosts.

What it says of an outlet is what is true now of it and of the machine on it, looked up for each question, never the
last command. The lab's faults make it lie, or switch another host than it says. Of what DMTF's protocol (DSP0266) knows
it serves what power needs and no more: the root, the systems, their power state, their reset.
"""

from __future__ import annotations

import base64
import binascii
import json
import queue
import ssl
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ..errors import LockHeld, SecondsiteError
from . import processes
from .endpoints import PORT, admits
from .faults import LabInjector
from .load import load_topology
from .model import ENDPOINT_LIES, OUTLET_OFF, LabSettings, PowerEndpoint
from .rules import outlets_of
from .state import read_state

ROOT = "/redfish/v1"
SYSTEMS = f"{ROOT}/Systems"
RESET = "/Actions/ComputerSystem.Reset"
_LONGEST_BODY = 4096
_WAITS_FOR_LOCK_S = 15.0
_BOOTS_WAIT_FOR_LOCK_S = 120.0
_TURNS_OFF = frozenset({"ForceOff", "GracefulShutdown"})
Answer = tuple[HTTPStatus, Mapping[str, object]]


@dataclass(kw_only=True)
class Outlets:
    """The outlets of one endpoint: what is true of them, and switching them."""

    settings: LabSettings
    endpoint: PowerEndpoint
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _starting: set[str] = field(default_factory=set)
    _claims: dict[str, str] = field(default_factory=dict)
    _to_start: queue.SimpleQueue[str] = field(default_factory=queue.SimpleQueue)

    def names(self) -> tuple[str, ...]:
        """Name every outlet, as the endpoint calls it."""
        return tuple(self._hung())

    def state(self, outlet: str) -> str:
        """Return Redfish's word for an outlet; what it claims instead while it lies.

        Off means that the outlet gives no power and that the machine on it does not run. One whose site is dark is on:
        the machine would start with the site.
        """
        if self._lies() and outlet in self._claims:
            return self._claims[outlet]
        host = self._hung()[outlet]
        if host in self._starting:
            return "PoweringOn"
        off = any((fault.kind, fault.target) == (OUTLET_OFF, host) for fault in read_state(self.settings).faults)
        return "Off" if off and host not in processes.inits(self.settings) else "On"

    def switch(self, outlet: str, *, on: bool) -> None:
        """Switch an outlet; off when this returns, or about to start.

        Raises:
            LockHeld: the lab is being changed all the time.
        """
        if self._lies():
            self._claims[outlet] = "On" if on else "Off"
            return
        self._claims.pop(outlet, None)
        host = self._hung()[outlet]
        if on:
            self._starting.add(host)
            self._to_start.put(host)
            return
        with self._lock:
            self._starting.discard(host)
            _patiently(lambda: LabInjector(self.settings).switch_off([host]), within_s=_WAITS_FOR_LOCK_S)

    def start_what_was_switched_on(self) -> None:
        """Start machines, for ever, in the order in which their outlets were switched on."""
        while True:
            hosts = {self._to_start.get()}
            time.sleep(0.2)  # those switched on with it start with it
            while not self._to_start.empty():
                hosts.add(self._to_start.get())
            with self._lock:
                wanted = sorted(hosts & self._starting)
                try:
                    if wanted:
                        injector = LabInjector(self.settings)
                        _patiently(lambda: injector.switch_on(wanted), within_s=_BOOTS_WAIT_FOR_LOCK_S)  # noqa: B023  called before the next turn
                except SecondsiteError as error:
                    sys.stderr.write(f"{', '.join(wanted)} did not start: {error.what}\n")
                finally:
                    self._starting -= hosts

    def _hung(self) -> Mapping[str, str]:
        return outlets_of(load_topology(self.settings.topology), self.endpoint, read_state(self.settings).faults)

    def _lies(self) -> bool:
        faults = read_state(self.settings).faults
        return any((fault.kind, fault.target) == (ENDPOINT_LIES, self.endpoint.name) for fault in faults)


def _patiently(work: Callable[[], None], *, within_s: float) -> None:
    """Do it; while another process is changing the lab, wait."""
    until = time.monotonic() + within_s
    while True:
        try:
            work()
        except LockHeld:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


def answer(outlets: Outlets, method: str, path: str, body: bytes) -> Answer:
    """Answer one question of somebody who may ask."""
    resource = path.partition("?")[0].rstrip("/")
    posting = resource.endswith(RESET)
    if method != ("POST" if posting else "GET"):
        return _refusal(HTTPStatus.METHOD_NOT_ALLOWED, "OperationNotAllowed", f"{method} is not possible here")
    if resource == SYSTEMS:
        return HTTPStatus.OK, _collection(outlets)
    place, _, outlet = resource.removesuffix(RESET).rpartition("/")
    if place != SYSTEMS or outlet not in outlets.names():
        return _refusal(HTTPStatus.NOT_FOUND, "ResourceMissingAtURI", f"there is no {resource}")
    return _reset(outlets, outlet, body) if posting else (HTTPStatus.OK, _system(outlets, outlet))


def service_root(endpoint: PowerEndpoint) -> Mapping[str, object]:
    """Say what is here, to anybody."""
    return {
        "@odata.type": "#ServiceRoot.v1_5_0.ServiceRoot",
        "@odata.id": ROOT,
        "Id": "RootService",
        "Name": f"Power of {endpoint.cuts}",
        "RedfishVersion": "1.6.0",
        "Systems": {"@odata.id": SYSTEMS},
        "Links": {"Sessions": {"@odata.id": f"{ROOT}/SessionService/Sessions"}},
    }


def _collection(outlets: Outlets) -> Mapping[str, object]:
    members = [{"@odata.id": f"{SYSTEMS}/{name}"} for name in outlets.names()]
    return {
        "@odata.type": "#ComputerSystemCollection.ComputerSystemCollection",
        "@odata.id": SYSTEMS,
        "Name": "Outlets",
        "Members": members,
        "Members@odata.count": len(members),
    }


def _system(outlets: Outlets, outlet: str) -> Mapping[str, object]:
    here = f"{SYSTEMS}/{outlet}"
    return {
        "@odata.type": "#ComputerSystem.v1_5_0.ComputerSystem",
        "@odata.id": here,
        "Id": outlet,
        "Name": f"Outlet {outlet}",
        "SystemType": "Physical",
        "PowerState": outlets.state(outlet),
        "Actions": {
            "#ComputerSystem.Reset": {
                "target": f"{here}{RESET}",
                "ResetType@Redfish.AllowableValues": ["On", *sorted(_TURNS_OFF)],
            }
        },
    }


def _reset(outlets: Outlets, outlet: str, body: bytes) -> Answer:
    try:
        wanted = json.loads(body)["ResetType"]
    except (ValueError, KeyError, TypeError):
        return _refusal(HTTPStatus.BAD_REQUEST, "MalformedJSON", "a ResetType is needed")
    if wanted != "On" and wanted not in _TURNS_OFF:
        return _refusal(HTTPStatus.BAD_REQUEST, "ActionParameterNotSupported", "On, ForceOff or GracefulShutdown")
    try:
        outlets.switch(outlet, on=wanted == "On")
    except SecondsiteError as error:
        sys.stderr.write(f"{outlet} was not switched: {error.what}\n")
        return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, "ServiceTemporarilyUnavailable", "it was not switched")
    return HTTPStatus.NO_CONTENT, {}


def _refusal(status: HTTPStatus, code: str, message: str) -> Answer:
    return status, {"error": {"code": f"Base.1.8.{code}", "message": message}}


class Server(ThreadingHTTPServer):
    """Takes connections, each in a thread; TLS is begun there, so that a silent visitor keeps nobody else waiting."""

    daemon_threads = True

    def __init__(self, outlets: Outlets) -> None:
        """Listen at the endpoint's own address."""
        super().__init__((str(outlets.endpoint.management.ip), PORT), Handler)
        self.outlets = outlets
        folder = outlets.settings.endpoint_dir(outlets.endpoint.name)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self._tls.load_cert_chain(folder / "certificate.pem", folder / "key.pem")

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Begin TLS, then answer."""
        request.settimeout(10)
        with self._tls.wrap_socket(request, server_side=True) as safe:
            super().finish_request(safe, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  as the base class calls it
        """Say in one line what a visitor broke off."""
        sys.stderr.write(f"{client_address[0]}: {sys.exc_info()[1]}\n")


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    server_version = "secondsite-lab"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer a question."""
        self._answer("GET", b"")

    def do_POST(self) -> None:
        """Carry an action out."""
        told = self.headers.get("Content-Length", "0")
        length = int(told) if told.isdigit() else _LONGEST_BODY + 1
        if length > _LONGEST_BODY:
            self._send(*_refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "GeneralError", "too long"))
            return
        self._answer("POST", self.rfile.read(length))

    def _answer(self, method: str, body: bytes) -> None:
        outlets = self.server.outlets
        match method, self.path.rstrip("/"):
            case "GET", "/redfish":
                self._send(HTTPStatus.OK, {"v1": f"{ROOT}/"})
            case "GET", path if path == ROOT:
                self._send(HTTPStatus.OK, service_root(outlets.endpoint))
            case _ if not self._may():
                self._send(*_refusal(HTTPStatus.UNAUTHORIZED, "NoValidSession", "who asks?"))
            case _:
                self._send(*answer(outlets, method, self.path, body))

    def _may(self) -> bool:
        kind, _, text = self.headers.get("Authorization", "").partition(" ")
        try:
            username, _, password = base64.b64decode(text, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        outlets = self.server.outlets
        return kind.lower() == "basic" and admits(
            outlets.settings, outlets.endpoint.name, username=username, password=password
        )

    def _send(self, status: HTTPStatus, document: Mapping[str, object]) -> None:
        text = json.dumps(document).encode() if document else b""
        self.send_response(status)
        self.send_header("OData-Version", "4.0")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Cache-Control", "no-store")
        if status is HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", 'Basic realm="power"')
        self.end_headers()
        self.wfile.write(text)


def main(words: list[str]) -> None:
    """Serve until the process is ended. Words: the lab's name, state, cache, topology and run folder; the endpoint."""
    instance, state, cache, topology, run_dir, name = words
    settings = LabSettings(
        instance=instance, state=Path(state), cache=Path(cache), topology=Path(topology), run_dir=Path(run_dir)
    )
    outlets = Outlets(settings=settings, endpoint=load_topology(settings.topology).endpoints[name])
    server = Server(outlets)
    threading.Thread(target=outlets.start_what_was_switched_on, daemon=True).start()
    server.serve_forever(poll_interval=3600)


if __name__ == "__main__":
    main(sys.argv[1:])
