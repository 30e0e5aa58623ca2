"""Two writers at once: said as soon as it is sure, and never where the records would not say so too."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from secondsite.measure.model import Instant, Writability, WritabilitySample
from secondsite.measure.writers import most_at_once, writing_intervals
from secondsite.probes.writers import UNREACHABLE, WRITABLE, WriterWatch

POLLS = some.lists(
    some.tuples(
        some.sampled_from(["db-dc1", "db-dc2"]),
        some.sampled_from([WRITABLE, WRITABLE, "read-only", UNREACHABLE]),
        some.integers(1, 15),
        some.integers(0, 9),
    ),
    max_size=30,
)


def watched(*polls: tuple[float, str, str, float]) -> str:
    watch = WriterWatch()
    for t, node, state, took_s in polls:
        watch.see("billing", node, state, t=t, took_s=took_s)
    return watch.several()


def test_two_nodes_that_go_on_writing_are_named() -> None:
    polls = [(t / 10, node, WRITABLE, 0.01) for t in range(4) for node in ("db-dc1", "db-dc2")]
    assert watched(*polls) == "billing at db-dc1, db-dc2"


def test_one_after_the_other_is_a_handover() -> None:
    before = [(t / 10, "db-dc1", WRITABLE, 0.01) for t in range(9)]
    after = [(1 + t / 10, "db-dc2", WRITABLE, 0.01) for t in range(9)]
    assert watched(*before, (0.95, "db-dc1", "read-only", 0.01), *after) == ""
    assert watched(*before, *after) == ""  # the old one fell silent


def test_a_late_answer_of_the_old_one_is_no_second_writer() -> None:
    assert (
        watched((0.1, "db-dc1", WRITABLE, 0.01), (0.5, "db-dc2", WRITABLE, 0.01), (0.9, "db-dc1", WRITABLE, 0.8)) == ""
    )


@given(POLLS)
def test_whatever_it_says_the_records_say_too(polls: list[tuple[str, str, int, int]]) -> None:
    watch, samples, t = WriterWatch(), [], 0.0
    for node, state, later, took in polls:
        t += later / 10
        watch.see("billing", node, state, t=t, took_s=took / 10)
        samples.append(
            WritabilitySample(
                began=Instant(t - took / 10), t=Instant(t), node=node, workload="billing", state=Writability(state)
            )
        )
    if watch.several():
        assert most_at_once(writing_intervals(samples)) > 1
