"""A writer is known to give up by itself only when a drill saw it do so, alive and cut off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from secondsite.measure import read_records
from secondsite.measure.demotion import demoted_themselves
from secondsite.measure.model import Event, Instant, Records, Writability, WritabilitySample

W, R, U = Writability.WRITABLE, Writability.READ_ONLY, Writability.UNREACHABLE
CUT, JOINED = 10.0, 50.0


def polls(*seen: tuple[float, Writability]) -> tuple[WritabilitySample, ...]:
    return tuple(
        WritabilitySample(began=Instant(t - 0.1), t=Instant(t), node="db-dc1", workload="billing", state=state)
        for t, state in seen
    )


def drill(samples: Sequence[WritabilitySample], *, joined: bool = True) -> Records:
    names = [("fault-begun", CUT), *([("links-restored", JOINED)] if joined else [])]
    events = tuple(Event(t=Instant(t), event=name, step=None, detail={}, line=1) for name, t in names)
    return replace(read_records({}), writability=tuple(samples), events=events)


GAVE_UP = ((5.0, W), (9.0, W), (12.0, W), (20.0, R), (40.0, R))


def test_a_node_that_was_seen_to_refuse_while_cut_off_gave_up() -> None:
    assert demoted_themselves(drill(polls(*GAVE_UP))) == {("billing", "db-dc1")}


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(((5.0, W), (20.0, W), (40.0, W)), id="it went on writing"),
        pytest.param(((5.0, W), (20.0, R), (40.0, W)), id="it wrote again before anybody told it"),
        pytest.param(((5.0, W), (20.0, U), (40.0, U)), id="nobody reached it"),
        pytest.param(((5.0, R), (20.0, R)), id="it was a standby all the time"),
        pytest.param(((5.0, W), (60.0, R)), id="it gave up when the links were back"),
        pytest.param(((20.0, R),), id="nobody knows what it was before"),
        pytest.param((), id="no poll"),
    ],
)
def test_anything_else_shows_nothing(seen: tuple[tuple[float, Writability], ...]) -> None:
    assert demoted_themselves(drill(polls(*seen))) == frozenset()


def test_a_drill_whose_links_never_came_back_shows_nothing() -> None:
    assert demoted_themselves(drill(polls(*GAVE_UP), joined=False)) == frozenset()
    assert demoted_themselves(read_records({})) == frozenset()
