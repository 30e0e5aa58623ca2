"""What a restart with production's data would take: the arithmetic, the bounds, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as some

from secondsite.measure.projection.model import Driver, Phase, Point, Profile, Wait
from secondsite.measure.projection.rules import LARGEST_FACTOR, fit, predicted, project, t_95

HOUR = 3600.0
DAY = 24 * HOUR
GIB = float(1 << 30)


def database(*points: tuple[float, float], after: tuple[str, ...] = (), resources: tuple[str, ...] = ()) -> Phase:
    listed = tuple(Point(amount=amount, seconds=seconds) for amount, seconds in points)
    return Phase(name="database", driver=Driver.BYTES, points=listed, after=after, resources=resources)


EXACT = database((1 * GIB, 30.0), (2 * GIB, 50.0), (4 * GIB, 90.0))
PRODUCTION = Profile(amounts={"database": 20 * GIB}, rates={}, sources={"database": "operations, 2026"})


def test_a_line_without_scatter_is_continued_and_its_bound_is_itself() -> None:
    whole = project([EXACT], PRODUCTION, target_s=DAY)

    assert whole.expected_s == pytest.approx(10 + 20 * 20)
    assert whole.upper_95_s == pytest.approx(10 + 20 * 20)
    assert whole.margin_s == pytest.approx(DAY - 410)
    assert not whole.missing


def test_the_bound_is_that_of_the_handbook() -> None:
    """Computed by hand: points (1, 1), (2, 2), (3, 4); slope 1.5, at nothing -2/3, residual standard error 0.4082."""
    line = fit([Point(amount=1, seconds=1), Point(amount=2, seconds=2), Point(amount=3, seconds=4)])

    expected, upper = predicted(line, 4)

    assert (line.slope, line.at_nothing) == pytest.approx((1.5, -2 / 3))
    assert line.error == pytest.approx(math.sqrt(1 / 6))
    assert expected == pytest.approx(16 / 3)
    assert upper == pytest.approx(16 / 3 + 6.314 * math.sqrt(1 / 6) * math.sqrt(1 + 1 / 3 + 4 / 2))


@given(
    some.lists(
        some.tuples(some.integers(1, 10**6), some.floats(0, 10**5, allow_nan=False)),
        min_size=3,
        max_size=12,
        unique_by=lambda one: one[0],
    ),
    some.integers(1, 10**8),
    some.integers(1, 10**8),
)
def test_more_never_takes_less_and_no_bound_lies_below_what_is_expected(
    points: list[tuple[int, float]], one: int, other: int
) -> None:
    line = fit([Point(amount=amount, seconds=seconds) for amount, seconds in points])
    less, more = sorted((one, other))

    assert predicted(line, less)[0] <= predicted(line, more)[0]
    assert predicted(line, less)[1] >= predicted(line, less)[0] >= 0


def test_a_resource_that_is_slower_than_the_lab_counts() -> None:
    phase = replace(EXACT, resources=("link to the vault",))
    slow = replace(
        PRODUCTION,
        rates={"link to the vault": 10e6},
        sources={**PRODUCTION.sources, "link to the vault": "contract"},
    )

    whole = project([phase], slow, target_s=DAY)

    assert whole.expected_s == pytest.approx(20 * GIB / 10e6)
    assert "slower than what was measured" in whole.phases[0].scaled
    assert whole.buys_most is not None
    assert whole.buys_most.what in ("twice the rate of link to the vault", "half the bytes of database")


def test_phases_run_beside_each_other_and_the_longest_path_counts() -> None:
    hosts = Phase(name="hosts", driver=Driver.HOSTS, points=tuple(Point(amount=n, seconds=n * 10.0) for n in (1, 2, 3)))
    files = replace(EXACT, name="files", after=("hosts",))
    short = replace(EXACT, points=tuple(Point(amount=n * GIB, seconds=float(n)) for n in (1, 2, 3)), after=("hosts",))
    profile = Profile(
        amounts={"hosts": 8, "files": 20 * GIB, "database": 20 * GIB},
        rates={},
        waits=(Wait(name="people come", expected_s=HOUR, at_most_s=2 * HOUR, source="on-call plan"),),
        sources=dict.fromkeys(("hosts", "files", "database"), "operations"),
    )
    hosts = replace(hosts, after=("people come",))

    whole = project([hosts, files, short], profile, target_s=DAY)

    by_name = {one.name: one for one in whole.phases}
    assert whole.expected_s == pytest.approx(HOUR + 80 + 410)
    assert whole.upper_95_s == pytest.approx(2 * HOUR + 80 + 410)
    assert [name for name, one in by_name.items() if one.is_critical] == ["people come", "hosts", "files"]
    assert by_name["database"].starts_s == pytest.approx(HOUR + 80)
    assert whole.buys_most is not None
    assert whole.buys_most.what == "half the time for people come"


def test_far_from_anything_measured_is_called_so() -> None:
    within = replace(PRODUCTION, amounts={"database": LARGEST_FACTOR * 4 * GIB})
    beyond = replace(PRODUCTION, amounts={"database": LARGEST_FACTOR * 4 * GIB + 1})

    assert not project([EXACT], within, target_s=DAY).is_extrapolated
    assert project([EXACT], beyond, target_s=DAY).is_extrapolated


@pytest.mark.parametrize(
    ("phase", "profile", "word"),
    [
        (replace(EXACT, points=EXACT.points[:2]), PRODUCTION, "measured at 2 sizes"),
        (EXACT, replace(PRODUCTION, amounts={}), "are not declared"),
        (EXACT, replace(PRODUCTION, sources={}), "nobody says where"),
        (replace(EXACT, resources=("link",)), PRODUCTION, "rate of link is not declared"),
        (Phase(name="names", driver=Driver.NOTHING, points=()), PRODUCTION, "was not measured"),
        (
            EXACT,
            replace(PRODUCTION, waits=(Wait(name="travel", expected_s=1, at_most_s=1, source=""),)),
            "time for travel",
        ),
    ],
)
def test_without_what_it_rests_on_there_is_no_number(phase: Phase, profile: Profile, word: str) -> None:
    whole = project([phase], profile, target_s=DAY)

    assert word in "; ".join(whole.missing)
    assert (whole.expected_s, whole.upper_95_s, whole.margin_s, whole.buys_most) == (None, None, None, None)


@pytest.mark.parametrize(("seconds", "upper"), [((2.0, 3.0), 6.0), ((2.0, 2.0, 2.0), 2.0)])
def test_what_nothing_makes_longer_is_bounded_by_how_often_it_was_seen(
    seconds: tuple[float, ...], upper: float
) -> None:
    points = tuple(Point(amount=0, seconds=one) for one in seconds)
    phase = Phase(name="names", driver=Driver.NOTHING, points=points)

    whole = project([phase], Profile(amounts={}, rates={}), target_s=DAY)

    assert whole.upper_95_s == pytest.approx(upper)


def test_phases_in_a_circle_are_refused() -> None:
    first, second = replace(EXACT, after=("b",)), replace(EXACT, name="b", after=("database",))
    profile = replace(PRODUCTION, amounts={"database": GIB, "b": GIB}, sources=dict.fromkeys(("database", "b"), "x"))

    with pytest.raises(ValueError, match="circle"):
        project([first, second], profile, target_s=DAY)


@pytest.mark.parametrize(("freedom", "value"), [(1, 6.314), (11, 1.812), (29, 1.708), (1000, 1.660)])
def test_between_two_known_degrees_of_freedom_the_wider_bound_is_taken(freedom: int, value: float) -> None:
    assert t_95(freedom) == value
