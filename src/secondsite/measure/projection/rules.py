"""From restarts of several sizes to the one that nobody can try: least squares, prediction bounds, the longest path.

Each phase is a straight line in what makes it longer: fixed costs and a rate. Its upper bound is the one-sided 95 %
prediction bound of simple linear regression (NIST/SEMATECH e-Handbook of Statistical Methods, 4.4.3.1 and 4.5.1.2). The
whole is the longest path through phases and waits; its upper bound takes every phase at its own at the same time, which
is more than 95 % of restarts keep if their errors are not all one and the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from .model import Change, Driver, Line, Phase, Point, Profile, Projected, Projection, Wait

FEWEST_SIZES = 3
LARGEST_FACTOR = 10.0
"""How many times the largest amount that was measured production may be before it is called an extrapolation."""
_ROUNDING = 1e-9
_OF_A_LINE = 2
"""What a straight line takes of the degrees of freedom, and the amounts it needs at least."""

# Student's t at 0.95, one-sided, by degrees of freedom (NIST/SEMATECH e-Handbook, 1.3.6.7.2).
# Between two, that of the smaller one.
_T_95 = {
    1: 6.314,
    2: 2.920,
    3: 2.353,
    4: 2.132,
    5: 2.015,
    6: 1.943,
    7: 1.895,
    8: 1.860,
    9: 1.833,
    10: 1.812,
    12: 1.782,
    15: 1.753,
    20: 1.725,
    25: 1.708,
    30: 1.697,
    40: 1.684,
    60: 1.671,
    100: 1.660,
}


def t_95(freedom: int) -> float:
    """Return Student's t that a variable with so many degrees of freedom stays below 95 times of 100.

    Raises:
        ValueError: there is no degree of freedom.
    """
    if freedom < 1:
        raise ValueError("there is no degree of freedom")
    return _T_95[max(known for known in _T_95 if known <= freedom)]


def fit(points: Sequence[Point]) -> Line:
    """Return the straight line through the points, by least squares. A rate below nothing counts as none.

    Raises:
        ValueError: the points have fewer than two different amounts.
    """
    number = len(points)
    if len({point.amount for point in points}) < _OF_A_LINE:
        raise ValueError("a line needs two different amounts")
    mean = math.fsum(point.amount for point in points) / number
    seconds = math.fsum(point.seconds for point in points) / number
    spread = math.fsum((point.amount - mean) ** 2 for point in points)
    slope = math.fsum((point.amount - mean) * (point.seconds - seconds) for point in points) / spread
    slope = max(0.0, slope)
    at_nothing = seconds - slope * mean
    residue = math.fsum((point.seconds - at_nothing - slope * point.amount) ** 2 for point in points)
    error = math.sqrt(residue / (number - _OF_A_LINE)) if number > _OF_A_LINE else math.inf
    return Line(at_nothing=at_nothing, slope=slope, error=error, number=number, mean=mean, spread=spread)


def predicted(line: Line, amount: float) -> tuple[float, float]:
    """Return the seconds expected of one more passage with so much, and their one-sided 95 % prediction bound."""
    expected = max(0.0, line.at_nothing + line.slope * amount)
    beside = 1 + 1 / line.number + (amount - line.mean) ** 2 / line.spread
    return expected, expected + t_95(line.freedom) * line.error * math.sqrt(beside)


def project(phases: Sequence[Phase], profile: Profile, *, target_s: float) -> Projection:
    """Return how long a restart takes with what production is declared to be.

    Raises:
        ValueError: phases and waits follow each other in a circle, or follow what there is not.
    """
    missing = tuple(_missing(phases, profile))
    assumptions = tuple(_assumptions(phases, profile))
    if missing:
        return Projection(
            target_s=target_s, expected_s=None, upper_95_s=None, phases=(), assumptions=assumptions, missing=missing
        )
    projected, after = _projected(phases, profile)
    whole = _whole(projected, after, target_s=target_s, assumptions=assumptions)
    return replace(whole, buys_most=_buys_most(phases, profile, whole))


def _missing(phases: Sequence[Phase], profile: Profile) -> Iterator[str]:
    """Name what nobody measured or declared, and what rests on nobody's word."""
    for phase in phases:
        if phase.driver is not Driver.NOTHING:
            yield from _missing_of(phase, profile)
        elif not phase.points:
            yield f"{phase.name} was not measured"
    for wait in profile.waits:
        if not wait.source:
            yield f"nobody says where the time for {wait.name} is from"


def _missing_of(phase: Phase, profile: Profile) -> Iterator[str]:
    sizes, fewest = len({point.amount for point in phase.points}), 1 if phase.is_proportional else FEWEST_SIZES
    if sizes < fewest:
        yield f"{phase.name} was measured at {sizes} sizes: {fewest} are needed"
    if phase.name not in profile.amounts:
        yield f"production's {phase.driver.value} of {phase.name} are not declared"
    elif not profile.sources.get(phase.name):
        yield f"nobody says where production's {phase.driver.value} of {phase.name} are from"
    for resource in phase.resources:
        if not profile.rates.get(resource, 0) > 0:
            yield f"production's rate of {resource} is not declared"
        elif not profile.sources.get(resource):
            yield f"nobody says where production's rate of {resource} is from"


def _assumptions(phases: Sequence[Phase], profile: Profile) -> Iterator[str]:
    for phase in phases:
        if phase.name in profile.amounts:
            source = profile.sources.get(phase.name, "")
            yield f"{phase.name}: {profile.amounts[phase.name]:g} {phase.driver.value} in production ({source})"
    for resource in sorted({name for phase in phases for name in phase.resources} & profile.rates.keys()):
        yield f"{resource}: {profile.rates[resource]:g} per second in production ({profile.sources.get(resource, '')})"
    for wait in profile.waits:
        yield f"{wait.name}: {wait.expected_s:g} s, {wait.at_most_s:g} s at most ({wait.source})"


def _projected(phases: Sequence[Phase], profile: Profile) -> tuple[tuple[Projected, ...], dict[str, tuple[str, ...]]]:
    """Return every phase and wait by itself, and what each follows."""
    shared = {name: _shared(name, phases, profile) for phase in phases for name in phase.resources}
    found = [_of_wait(wait) for wait in profile.waits] + [_of_phase(phase, profile, shared) for phase in phases]
    after = {wait.name: wait.after for wait in profile.waits} | {phase.name: phase.after for phase in phases}
    return tuple(found), after


def _of_wait(wait: Wait) -> Projected:
    return Projected(
        name=wait.name,
        measured_s=None,
        amount=None,
        expected_s=wait.expected_s,
        upper_95_s=max(wait.expected_s, wait.at_most_s),
        starts_s=0.0,
        ends_s=0.0,
        scaled="assumed",
        rests_on=(wait.name,),
    )


def _shared(resource: str, phases: Sequence[Phase], profile: Profile) -> float:
    """Return how long all phases that share a resource need of it, together."""
    amount = math.fsum(profile.amounts[phase.name] for phase in phases if resource in phase.resources)
    return amount / profile.rates[resource]


def _of_proportional(phase: Phase, profile: Profile) -> Projected:
    """A phase that was measured at one size: as many times as long as production is larger, and the bound doubled."""
    amount, largest = profile.amounts[phase.name], max(phase.points, key=lambda point: point.amount)
    expected = largest.seconds * max(1.0, amount / largest.amount)
    return Projected(
        name=phase.name,
        measured_s=largest.seconds,
        amount=amount,
        expected_s=expected,
        upper_95_s=2 * expected,
        starts_s=0.0,
        ends_s=0.0,
        scaled=f"in proportion to {phase.driver.value}, from {largest.amount:g} of them, the bound doubled",
        rests_on=(phase.name,),
        is_extrapolated=amount > LARGEST_FACTOR * largest.amount,
    )


def _of_phase(phase: Phase, profile: Profile, shared: Mapping[str, float]) -> Projected:
    if phase.driver is Driver.NOTHING:
        return _of_constant(phase)
    if phase.is_proportional:
        return _of_proportional(phase, profile)
    line, amount = fit(phase.points), profile.amounts[phase.name]
    expected, upper = predicted(line, amount)
    sizes = len({point.amount for point in phase.points})
    scaled = f"a straight line in {phase.driver.value} through {sizes} sizes"
    rests_on: tuple[str, ...] = (phase.name,)
    for resource in phase.resources:
        floor = shared[resource]
        rests_on = (*rests_on, resource)
        if floor > expected:
            upper += floor - expected
            expected = floor
            scaled = f"by the rate of {resource} for all that shares it, which is slower than what was measured"
    largest = max(phase.points, key=lambda point: point.amount)
    return Projected(
        name=phase.name,
        measured_s=largest.seconds,
        amount=amount,
        expected_s=expected,
        upper_95_s=upper,
        starts_s=0.0,
        ends_s=0.0,
        scaled=scaled,
        rests_on=rests_on,
        is_extrapolated=amount > LARGEST_FACTOR * largest.amount,
    )


def _of_constant(phase: Phase) -> Projected:
    """A phase that nothing makes longer: the mean, and the bound of one more passage; the doubled largest of a few."""
    seconds = [point.seconds for point in phase.points]
    mean = math.fsum(seconds) / len(seconds)
    upper = 2 * max(seconds)
    if len(seconds) >= FEWEST_SIZES:
        error = math.sqrt(math.fsum((one - mean) ** 2 for one in seconds) / (len(seconds) - 1))
        upper = mean + t_95(len(seconds) - 1) * error * math.sqrt(1 + 1 / len(seconds))
    return Projected(
        name=phase.name,
        measured_s=max(seconds),
        amount=None,
        expected_s=mean,
        upper_95_s=upper,
        starts_s=0.0,
        ends_s=0.0,
        scaled=f"as long as in {len(seconds)} restarts"
        + ("" if len(seconds) >= FEWEST_SIZES else ", the bound doubled"),
        rests_on=(),
    )


def _whole(
    projected: Sequence[Projected], after: Mapping[str, Sequence[str]], *, target_s: float, assumptions: tuple[str, ...]
) -> Projection:
    expected = _ends({one.name: one.expected_s for one in projected}, after)
    upper = _ends({one.name: one.upper_95_s for one in projected}, after)
    critical = _critical(upper, after)
    placed = tuple(
        replace(
            one,
            starts_s=expected[one.name] - one.expected_s,
            ends_s=expected[one.name],
            is_critical=one.name in critical,
        )
        for one in projected
    )
    return Projection(
        target_s=target_s,
        expected_s=max(expected.values(), default=0.0),
        upper_95_s=max(upper.values(), default=0.0),
        phases=placed,
        assumptions=assumptions,
        missing=(),
    )


def _ends(seconds: Mapping[str, float], after: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Return when each ends, when it begins as soon as all that it follows have ended."""
    ends: dict[str, float] = {}
    waiting = list(seconds)
    while waiting:
        ready = [name for name in waiting if all(one in ends for one in after.get(name, ()))]
        if not ready:
            raise ValueError(f"in a circle, or after what there is not: {', '.join(sorted(waiting))}")
        for name in ready:
            ends[name] = max((ends[one] for one in after.get(name, ())), default=0.0) + seconds[name]
        waiting = [name for name in waiting if name not in ends]
    return ends


def _critical(ends: Mapping[str, float], after: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """Name those on the longest path, from its end backwards."""
    path: list[str] = []
    left: Sequence[str] = tuple(ends)
    while left:
        path.append(max(left, key=lambda name: ends[name]))
        left = after.get(path[-1], ())
    return frozenset(path)


def _buys_most(phases: Sequence[Phase], profile: Profile, whole: Projection) -> Change | None:
    """Try each single change, and return the one that lowers the upper bound of the whole most."""
    bounds = [Change(what=what, upper_95_s=_bound(phases, changed)) for what, changed in _changes(phases, profile)]
    best = min(bounds, key=lambda change: change.upper_95_s, default=None)
    if best is None or whole.upper_95_s is None or best.upper_95_s > whole.upper_95_s - _ROUNDING:
        return None
    return best


def _bound(phases: Sequence[Phase], profile: Profile) -> float:
    projected, after = _projected(phases, profile)
    return max(_ends({one.name: one.upper_95_s for one in projected}, after).values(), default=0.0)


def _changes(phases: Sequence[Phase], profile: Profile) -> Iterator[tuple[str, Profile]]:
    for resource in sorted({name for phase in phases for name in phase.resources}):
        yield (
            f"twice the rate of {resource}",
            replace(profile, rates={**profile.rates, resource: 2 * profile.rates[resource]}),
        )
    for phase in phases:
        if phase.name in profile.amounts:
            yield (
                f"half the {phase.driver.value} of {phase.name}",
                replace(profile, amounts={**profile.amounts, phase.name: profile.amounts[phase.name] / 2}),
            )
    for wait in profile.waits:
        halved = replace(wait, expected_s=wait.expected_s / 2, at_most_s=wait.at_most_s / 2)
        yield (
            f"half the time for {wait.name}",
            replace(profile, waits=tuple(halved if one is wait else one for one in profile.waits)),
        )
