"""What a failed command is called in a sentence."""

from __future__ import annotations

import pytest

from secondsite.hands.ssh import _name


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
