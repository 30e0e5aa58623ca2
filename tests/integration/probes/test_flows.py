"""What came of a connection, told from this machine's loopback."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence

import pytest

from secondsite.probes.remote.collectors.tries import Try, _Frame, checksum, tries, try_all, try_twice

HERE = "127.0.0.1"


@pytest.fixture
def answering() -> Iterator[int]:
    """A port that accepts, and one beside it that answers every datagram."""
    with (
        socket.create_server((HERE, 0), backlog=1000) as listening,
        socket.socket(type=socket.SOCK_DGRAM) as responding,
    ):
        port: int = listening.getsockname()[1]
        responding.bind((HERE, port))

        def respond() -> None:
            with contextlib.suppress(OSError):
                while True:
                    _, sender = responding.recvfrom(100)
                    responding.sendto(b"yes", sender)

        threading.Thread(target=respond, daemon=True).start()
        yield port


@pytest.fixture
def closed() -> int:
    """A port below those that connections come from: one of those meets itself when it is tried often enough."""
    for port in range(20_000, 30_000):
        with contextlib.suppress(OSError), socket.create_server((HERE, port)):
            return port
    raise AssertionError("no port is free")


@pytest.fixture
def mute() -> Iterator[int]:
    """A port that takes datagrams and says nothing."""
    with socket.socket(type=socket.SOCK_DGRAM) as bound:
        bound.bind((HERE, 0))
        yield bound.getsockname()[1]


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_open_closed_and_mute_are_told_apart(protocol: str, answering: int, closed: int, mute: int) -> None:
    ports = [answering, closed] + ([mute] if protocol == "udp" else [])
    tries = [Try(source=HERE, target=HERE, protocol=protocol, port=port) for port in ports]

    answers = try_all(tries, timeout_s=0.6, mark=42)

    assert answers == [("open", ""), ("refused", ""), ("silent", "")][: len(ports)]


def test_an_address_that_is_not_its_own_is_silence_with_a_reason(answering: int) -> None:
    ((answer, by),) = try_all(
        [Try(source="192.0.2.1", target=HERE, protocol="tcp", port=answering)], timeout_s=0.2, mark=42
    )

    assert (answer, by) == ("silent", "EADDRNOTAVAIL")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_packet_that_is_handed_to_a_neighbour_is_a_whole_first_packet(protocol: str) -> None:
    what = Try(source="198.18.4.40", target="198.18.1.10", protocol=protocol, port=443, neighbour="198.18.11.2")
    packets = {_Frame.of(what, None, mark=42).packet for _ in range(3)}
    for packet in packets:
        head, body = packet[:20], packet[20:]
        kind = {"tcp": 6, "udp": 17}[protocol]

        assert (head[0], head[1], int.from_bytes(head[2:4], "big"), head[9]) == (0x45, 42 << 2, len(packet), kind)
        assert head[12:] == bytes([198, 18, 4, 40, 198, 18, 1, 10])
        assert int.from_bytes(body[2:4], "big") == 443
        assert protocol == "udp" or body[13] == 0x02
        assert checksum(head) == 0
        assert checksum(head[12:] + bytes([0, kind]) + len(body).to_bytes(2, "big") + body) == 0
    assert len(packets) == 3


def test_a_neighbour_that_does_not_answer_is_no_silence_of_the_target() -> None:
    what = Try(source=HERE, target=HERE, protocol="tcp", port=443, neighbour="127.0.0.9")

    assert try_all([what], timeout_s=0.1, mark=42) == [("untold", "the neighbour does not answer")]


def test_answers_come_in_the_order_of_the_order(answering: int, closed: int) -> None:
    order = {
        "tries": [[HERE, HERE, "tcp", port, "", True] for port in (closed, answering, closed) * 200],
        "timeout_s": 1,
        "mark": 42,
    }

    assert [answer for answer, _ in tries({"tries": order})] == ["refused", "open", "refused"] * 200


def test_what_should_be_answered_is_tried_again_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[Try]] = []

    def lose_the_first(wanted: Sequence[Try], **_: object) -> list[tuple[str, str]]:
        asked.append(list(wanted))
        return [("silent" if len(asked) == 1 else "open", "") for _ in wanted]

    monkeypatch.setattr("secondsite.probes.remote.collectors.tries.try_all", lose_the_first)
    expected = Try(source=HERE, target=HERE, protocol="tcp", port=1, expected=True)
    forbidden = expected._replace(expected=False)
    datagram = expected._replace(protocol="udp")

    answers = try_twice([forbidden, expected, datagram], timeout_s=1, mark=42)

    assert [answer for answer, _ in answers] == ["silent", "open", "silent"]
    assert asked == [[forbidden, expected, datagram], [expected]]
