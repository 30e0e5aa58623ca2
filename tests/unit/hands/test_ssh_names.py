"""What a failed command is called in a sentence, and what a broken connection does not print."""

from __future__ import annotations

import subprocess
import sys

import pytest

from secondsite.hands.ssh import _name

_SAY_IT_AS_THE_LIBRARY_DOES = """
import logging
import secondsite.hands.ssh
logging.getLogger("paramiko.transport").error("Socket exception: Connection reset by peer (104)")
"""


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["nft", "-j"], "nft"),
        (["sudo", "-n", "nft", "list"], "nft"),
        (["sudo", "-n", "-u", "postgres", "psql", "-X"], "psql"),
        (["sudo"], "sudo"),
    ],
)
def test_sudo_is_not_what_failed(argv: list[str], name: str) -> None:
    assert _name(argv) == name


def test_a_connection_that_breaks_prints_nothing_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SAY_IT_AS_THE_LIBRARY_DOES], capture_output=True, text=True, check=True
    )

    assert (done.stdout, done.stderr) == ("", "")
