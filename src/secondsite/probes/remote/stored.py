"""Try whether this host's storekeeper accepts writes: one file of plain Python, run on the host as root.

Every attempt is a real write that the storekeeper takes back. One that has no lease to write by says for how long it
has had none, ``standby_s``: it never was a writer in that time, whether or not anybody asked. The order is one line of
JSON on standard input; each attempt is a JSON line on standard output; it stops when its standard input ends.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
import threading
import time

SOCKET = "/run/storekeeper/control.sock"
_TIMEOUT_S = 0.8
_ONE_LINE_AT_A_TIME = threading.Lock()


def attempt(workload: str) -> dict[str, object]:
    """Try to write; return the state, which is writable, read-only or down, and what else is known."""
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(_TIMEOUT_S)
            line.connect(SOCKET)
            line.sendall(json.dumps({"verb": "try", "workload": workload}).encode() + b"\n")
            said = json.loads(line.makefile().readline())
    except (OSError, ValueError) as error:
        return {"state": "down", "why": f"{type(error).__name__}: {error}"}
    if said.get("writable") is True:
        return {"state": "writable"}
    if said.get("writable") is False:
        since = said.get("standby_s")
        return {"state": "read-only", **({"standby_s": since} if isinstance(since, float) else {})}
    return {"state": "down", "why": str(said.get("error", "it said nothing"))}


def say(workload: str, node: str) -> None:
    """Try once, and say what was seen."""
    began = time.monotonic()
    seen = attempt(workload)
    t = time.monotonic()
    with _ONE_LINE_AT_A_TIME:
        line = {"t": t, "node": node, "workload": workload, "took_s": round(t - began, 6), **seen}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def poll(workload: str, *, node: str, every_s: float, stopping: threading.Event) -> None:
    """Try again and again, by the clock: a slow answer keeps no later try waiting, so no moment is left unwatched."""
    due = time.monotonic()
    while not stopping.is_set():
        threading.Thread(target=say, args=(workload, node), daemon=True).start()
        due = max(due + every_s, time.monotonic())
        stopping.wait(due - time.monotonic())


def main() -> int:
    """Poll every workload in a thread of its own."""
    words = json.loads(sys.stdin.readline())
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    pace = {"node": words["node"], "every_s": words["every_s"], "stopping": stopping}
    for workload in words["workloads"]:
        threading.Thread(target=poll, args=(workload,), kwargs=pace, daemon=True).start()
    while sys.stdin.readline():
        pass
    stopping.set()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
