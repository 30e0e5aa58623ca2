"""What rsync calls instead of ssh: pipe.py HOST rsync --server ... over mutual TLS to the peer's storekeeper.

STOREKEEPER_WORKLOAD and STOREKEEPER_EPOCH say what is sent and by whose right.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from storekeeper import settings, tunnel  # noqa: E402


def main(words: list[str]) -> int:
    """Connect, ask for the receiving program, and carry bytes; 0 when the other side ended."""
    known = settings.load()
    peer = known.peer
    if peer is None or words[0] != peer.name:
        sys.stderr.write(f"{words[0]} is not this host's peer\n")
        return 2
    workload, epoch = os.environ["STOREKEEPER_WORKLOAD"], os.environ["STOREKEEPER_EPOCH"]
    plain = socket.create_connection((peer.address, known.port), timeout=3)
    tls = known.context(ssl.Purpose.SERVER_AUTH).wrap_socket(plain, server_hostname=peer.name)
    asked = f"POST /replica/{workload}/rsync HTTP/1.1\r\nHost: {peer.name}\r\nX-Epoch: {epoch}\r\n"
    tls.sendall(f"{asked}X-Words: {json.dumps(words[1:])}\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n") and len(head) < 8192 and (byte := tls.recv(1)):
        head += byte
    if not head.startswith(b"HTTP/1.1 200 "):
        said = head.partition(b"\r\n")[0].decode(errors="replace")
        sys.stderr.write(f"{peer.name} takes nothing: {said}\n")
        return 3
    tunnel.carry(tls, source=0, sink=1, ends_with_source=False)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
