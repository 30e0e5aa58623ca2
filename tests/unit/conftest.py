"""Unit tests reach nothing outside their process but its children."""

from __future__ import annotations

import socket

import pytest


@pytest.fixture(autouse=True)
def no_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection but those on this machine's own files."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: str | tuple[str, int]) -> None:
        if self.family is not socket.AF_UNIX:
            raise AssertionError(f"a unit test tried to connect to {address!r}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
