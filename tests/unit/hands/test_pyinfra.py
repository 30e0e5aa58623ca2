"""What first contact asks of ssh."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading

import pytest

from secondsite.hands.pyinfra import AFTER_A_RELOAD


@pytest.mark.slow
def test_a_server_that_refuses_for_a_moment_is_asked_again() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))  # bound, and not listening yet: whoever comes is refused
        port = str(server.getsockname()[1])
        listening = threading.Timer(0.5, server.listen)
        server.settimeout(5)
        closing = threading.Timer(2.5, answer_nothing, args=(server,))
        listening.start()
        closing.start()
        argv = ["ssh", "-F", "/dev/null", "-o", "BatchMode=yes", *AFTER_A_RELOAD, "-p", port, "--", "127.0.0.1", "true"]
        ended = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
        listening.join()
        closing.join()
    assert "refused" not in ended.stderr
    assert "kex_exchange_identification" in ended.stderr


def answer_nothing(server: socket.socket) -> None:
    with contextlib.suppress(TimeoutError):  # nobody came: the answer of ssh says so
        server.accept()[0].close()
