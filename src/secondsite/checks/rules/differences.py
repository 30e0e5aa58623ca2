"""Declared differences: none lasts for ever, and one that matches nothing is told."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ...estate.model import Estate, HostName
from ..model import Facts, Finding, Result, World
from .frame import bad, estate_check, good, has_expired


@estate_check(
    "CFG-DIFFERENCES",
    reads="",
    expected="no declared difference has run out",
    fix="end the difference, or renew its day in estate.yml under differences",
    commitments="C09",
    controls="DR-07",
    tags="parity config",
)
def differences(world: World, _: Mapping[HostName, Facts]) -> Iterator[Finding]:
    """What may differ between the datacenters is still meant to."""
    for one in world.estate.differences:
        told = f"{one.what} until {one.until} ({one.why})"
        yield bad(told) if has_expired(one, world.now) else good(told)
    if not world.estate.differences:
        yield good("none is declared")


def with_unused(results: Sequence[Result], estate: Estate) -> tuple[Result, ...]:
    """Return the results, with those declared differences told that matched nothing. All checks must have run."""
    seen = {name for result in results for name in result.differences}
    unused = [one.what for one in estate.differences if not any(fnmatch.fnmatchcase(name, one.what) for name in seen)]
    if not unused:
        return tuple(results)
    told = f"; matches nothing any more: {', '.join(unused)}"
    return tuple(
        replace(result, saw=result.saw + told) if result.check.id == differences.id else result for result in results
    )


CHECKS = (differences,)
