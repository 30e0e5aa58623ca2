"""A host's certificate: seen by the connection that is there, or by another look where that one is lost."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import paramiko
import pytest

from secondsite.errors import Unreachable
from secondsite.hands.ssh import SshHands, SshTarget


@pytest.mark.parametrize("is_closed", [False, True])
def test_a_connection_that_is_lost_just_now_leaves_it_to_another_look(tmp_path: Path, *, is_closed: bool) -> None:
    with socket.socket() as unanswered:
        unanswered.bind(("127.0.0.1", 0))
        target = SshTarget(
            host="web", address="127.0.0.1", user="ops", key_file=tmp_path / "key", port=unanswered.getsockname()[1]
        )
        hands: Any = SshHands({"web": target}, known_hosts=tmp_path / "pins", monotonic=time.monotonic)
        here, there = socket.socketpair()
        with here, there:
            transport = None if is_closed else paramiko.Transport(here)  # it never heard a key
            hands._connections["web"] = SimpleNamespace(is_connected=True, transport=transport)
            hands._since["web"] = time.monotonic()
            with pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
                hands.certificate("web", not_before=0.0)
