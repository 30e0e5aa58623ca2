"""Time: every host hears from both of the estate's sources, and its clock is where theirs are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...estate.model import Host
from ..model import Facts, Finding, World
from .frame import bad, good, host_check, unclear

LARGEST_S = 0.05
OLDEST_S = 500
"""In this time a clock that nobody corrects, and that is 100 ppm off, comes to be LARGEST_S off."""


@host_check(
    "CLK-SKEW",
    reads="clock",
    expected=f"every host hears from each of the estate's time sources, and is within {LARGEST_S:g} s of it",
    fix="secondsite run provision",
    commitments="C09 C22",
    controls="DR-32",
    tags="time clock",
)
def skew(host: Host, facts: Facts, _: World) -> Iterator[Finding]:
    """Every host's clock agrees with the time sources."""
    clock = facts["clock"]
    if not clock["sources"]:
        yield unclear(f"{host.name} asks nobody for the time", host.name)
    if clock["leap"] == "Not synchronised":
        yield bad(f"{host.name} follows no time source", host.name)
    if clock["leads"]:  # it takes no time from those that take theirs from it, so it stops measuring them
        yield good(f"{host.name} leads: nobody above the sources answers, and the others measure against it", host.name)
        return
    for source in clock["sources"]:
        yield _finding(host, source)


def _finding(host: Host, source: Mapping[str, object]) -> Finding:
    offset, error = float(str(source["offset_s"])), float(str(source["error_s"]))
    said = f"{host.name} is {offset:+.4f} s off {source['address']}"
    if not source["answers"]:
        return bad(f"{host.name} hears nothing from time source {source['address']}", host.name)
    if abs(offset) > LARGEST_S:
        return bad(said, host.name)
    if source["age_s"] is None or int(str(source["age_s"])) > OLDEST_S:
        return unclear(f"{said}, as measured {source['age_s']} s ago", host.name)
    if error > LARGEST_S:
        return unclear(f"{said}, measured to {error:.4f} s only", host.name)
    return good(said, host.name)


CHECKS = (skew,)
