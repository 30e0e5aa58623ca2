"""What a router tells of its neighbours: one that was lost for an instant is waited for, one that is gone is told."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from secondsite.probes.remote.collectors import routing

HEAD = "BIRD 2.17.6 ready.\n"


def printed(*, session: str, bfd: str) -> dict[str, str]:
    state = "up" if session == "Established" else "start"
    return {
        "protocols": f"{HEAD}Name       Proto      Table      State  Since         Info\n"
        f"device1    Device     ---        up     2026-11-30    \n"
        f"carrier_a  BGP        ---        {state}     2026-11-30    {session}\n",
        "bfd": f"{HEAD}watching:\nIP address                Interface  State      Since         Interval  Timeout\n"
        f"198.18.11.1               carrier-a  {bfd}         2026-11-30    0.100    0.300\n",
    }


UP = printed(session="Established", bfd="Up")
LOST = printed(session="Active        Error: BFD session down", bfd="Up")
GONE = printed(session="Active        Error: BFD session down", bfd="Down")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    at = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: at[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: at.__setitem__(0, at[0] + seconds))
    return at


def say(monkeypatch: pytest.MonkeyPatch, looks: Iterator[dict[str, str]]) -> None:
    now: dict[str, str] = {}

    def run(*words: str) -> str:
        if words[3] == "protocols":
            now.update(next(looks))
        return now[words[3]]

    monkeypatch.setattr(routing, "run", run)


def test_what_is_up_is_looked_at_once(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    say(monkeypatch, iter([UP]))
    told = routing.routing({})
    assert told["sessions"] == {"carrier_a": "Established"}
    assert told["watched"]["198.18.11.1"] == {"interface": "carrier-a", "state": "Up", "notices_after_s": 0.3}
    assert told["up_after_s"] == 0
    assert clock == [0.0]


@pytest.mark.parametrize("before", [LOST, GONE])
def test_a_session_that_was_lost_for_an_instant_is_waited_for_and_that_is_told(
    monkeypatch: pytest.MonkeyPatch, clock: list[float], before: dict[str, str]
) -> None:
    say(monkeypatch, iter([before, before, before, UP]))
    told = routing.routing({})
    assert told["sessions"] == {"carrier_a": "Established"}
    assert told["up_after_s"] == 1.5


def test_a_neighbour_that_stays_away_is_told_of_soon(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    say(monkeypatch, iter(lambda: GONE, UP))
    told = routing.routing({})
    assert told["sessions"]["carrier_a"].startswith("Active")
    assert told["watched"]["198.18.11.1"]["state"] == "Down"
    assert told["up_after_s"] is None
    assert clock[0] <= 5.0
