"""Plant markers in what the estate's storekeepers keep: one file of plain Python, run on an operators' host as root.

Open loop: a marker is due by the clock, whatever became of the ones before. Each goes to the storekeeper that took the
last one, then to the other; only the primary takes it. The order is one line of JSON on standard input; each marker is
a JSON line on standard output; it stops when its standard input ends, and says how many there were.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

TLS = Path("/etc/secondsite/tls")
_TRY_S = 1.5
_WHOLE_S = 8.0
_MOST_IN_FLIGHT = 24
_TAKEN = (200, 201)
_UNKNOWN = 202
_ONE_LINE_AT_A_TIME = threading.Lock()


class NotTaken(Exception):  # noqa: N818  what happened
    """The host did not take it, surely."""


class InDoubt(Exception):  # noqa: N818  what happened
    """The host may have taken it."""


@dataclass(kw_only=True)
class Planter:
    """Everything that plants. ``places`` maps each host to its address."""

    places: dict[str, str]
    port: int
    run: str
    domain: str
    scratch: Path
    context: ssl.SSLContext
    last: dict[str, str] = field(default_factory=dict)
    planted: Counter[str] = field(default_factory=Counter)
    commit: str = ""

    def plant(self, workload: str, number: int, due: float) -> None:
        """Plant one marker and say what became of it."""
        name = f"{self.run}-{workload}-{number}"
        outcome, node, why = "failed", None, ""
        for host in self._hosts(workload):
            if time.monotonic() - due > _WHOLE_S:
                break
            try:
                self._put(workload, name, host)
            except NotTaken as error:
                why = f"{host}: {error}"
            except InDoubt as error:
                outcome, why = "unknown", f"{host}: {error}"
                break
            else:
                outcome, node, why = "ok", host, ""
                self.last[workload] = host
                break
        line = {"t0": due, "t1": time.monotonic(), "workload": workload, "id": name, "outcome": outcome, "node": node}
        self._say(line | ({"error": why[:200]} if why else {}))

    def _say(self, line: dict[str, object]) -> None:
        with _ONE_LINE_AT_A_TIME:
            self.planted[str(line["workload"])] += 1
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()

    def _hosts(self, workload: str) -> list[str]:
        first = self.last.get(workload)
        return sorted(self.places, key=lambda host: host != first)

    def _put(self, workload: str, name: str, host: str) -> None:
        if workload == "git":
            self._push(name, host)
        elif workload == "mail":
            self._request(host, f"/mail/{name}", self._message(name))
        else:
            self._request(host, f"/{workload}/drill/{name}", f"{name}\n".encode())

    def _message(self, name: str) -> bytes:
        head = f"From: drill@{self.domain}\nTo: drill@{self.domain}\nMessage-ID: <{name}@{self.domain}>\n"
        return f"{head}Subject: {name}\n\nA marker of a drill.\n".encode()

    def _knock(self, host: str) -> None:
        self._reach(host).close()

    def _reach(self, host: str) -> socket.socket:
        try:
            return socket.create_connection((self.places[host], self.port), timeout=_TRY_S)
        except OSError as error:
            raise NotTaken(str(error) or "no connection") from error

    def _request(self, host: str, path: str, body: bytes) -> None:
        plain = self._reach(host)
        connection = http.client.HTTPConnection(host, self.port)
        try:
            plain.settimeout(_TRY_S * 2)
            connection.sock = self.context.wrap_socket(plain, server_hostname=host)
            connection.request("PUT", path, body)
            answer = connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise InDoubt(str(error) or type(error).__name__) from error
        finally:
            connection.close()
            plain.close()
        if answer.status == _UNKNOWN:
            raise InDoubt(said.decode(errors="replace"))
        if answer.status not in _TAKEN:
            raise NotTaken(f"{answer.status} {said[:150].decode(errors='replace')}")

    def _push(self, name: str, host: str) -> None:
        self._knock(host)  # git itself would wait for a dark host until nothing is left of the marker's time
        at = f"http.curloptResolve={host}:{self.port}:{self.places[host]}"
        url = f"https://{host}:{self.port}/git/drill.git"
        push = ["push", "--quiet", url, f"{self.commit}:refs/tags/{name}"]
        try:
            ended = self._git("-c", at, *push, timeout=_WHOLE_S)
        except subprocess.TimeoutExpired as error:
            raise InDoubt("no answer in time") from error
        if ended.returncode == 0:
            return
        said = ended.stderr.strip()[-200:]
        refused = "error: 503" in said or "Failed to connect" in said or "Could not connect" in said
        raise NotTaken(said) if refused else InDoubt(said)

    def _git(self, *words: str, timeout: float = 20.0) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": "/usr/bin:/bin",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_SSL_CERT": str(TLS / "host.crt"),
            "GIT_SSL_KEY": str(TLS / "host.key"),
            "GIT_SSL_CAINFO": str(TLS / "ca-bundle.crt"),
            "GIT_AUTHOR_NAME": "drill",
            "GIT_AUTHOR_EMAIL": "drill@localhost",
            "GIT_COMMITTER_NAME": "drill",
            "GIT_COMMITTER_EMAIL": "drill@localhost",
            "HOME": str(self.scratch),
        }
        argv = ["git", "-C", str(self.scratch), *words]
        return subprocess.run(argv, check=False, capture_output=True, text=True, timeout=timeout, env=environment)

    def prepare(self) -> None:
        """Have something to push."""
        self._git("init", "--quiet", "--initial-branch=main")
        self._git("commit", "--quiet", "--allow-empty", "--message", f"What drill {self.run} pushes")
        self.commit = self._git("rev-parse", "HEAD").stdout.strip()

    def plant_for_ever(self, workload: str, *, every_s: float, stopping: threading.Event) -> None:
        """Plant by the clock until stopped; too many in flight count as failed, not as never due."""
        due, number, begun = time.monotonic(), 0, list[threading.Thread]()
        while not stopping.is_set():
            begun = [thread for thread in begun if thread.is_alive()]
            if len(begun) < _MOST_IN_FLIGHT:
                thread = threading.Thread(target=self.plant, args=(workload, number, due), daemon=True)
                thread.start()
                begun.append(thread)
            else:
                name = f"{self.run}-{workload}-{number}"
                line = {"t0": due, "t1": time.monotonic(), "workload": workload, "id": name, "outcome": "failed"}
                self._say(line | {"node": None, "error": "too many markers wait for an answer"})
            number += 1
            due += every_s
            stopping.wait(max(0.0, due - time.monotonic()))
        for thread in begun:
            thread.join(_WHOLE_S + _TRY_S)


def main() -> int:
    """Plant in every workload, each in a thread of its own."""
    words = json.loads(sys.stdin.readline())
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    context = ssl.create_default_context(cafile=str(TLS / "ca-bundle.crt"))
    context.load_cert_chain(TLS / "host.crt", TLS / "host.key")
    scratch = Path(tempfile.mkdtemp(prefix="secondsite-planter-", dir="/run"))
    try:
        planter = Planter(
            places=words["places"],
            port=words["port"],
            run=words["run"],
            domain=words["domain"],
            scratch=scratch,
            context=context,
        )
        planter.prepare()
        threads = [
            threading.Thread(
                target=planter.plant_for_ever, args=(name,), kwargs={"every_s": pace, "stopping": stopping}
            )
            for name, pace in words["every_s"].items()
        ]
        for thread in threads:
            thread.start()
        while sys.stdin.readline():
            pass
        stopping.set()
        for thread in threads:
            thread.join()
        sys.stdout.write(json.dumps({"end": True, "planted": dict(planter.planted)}) + "\n")
        sys.stdout.flush()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return 0


if __name__ == "__main__":
    os.umask(0o077)
    raise SystemExit(main())
