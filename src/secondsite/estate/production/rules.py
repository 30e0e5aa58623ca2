"""What a declaration of production may not say: waits that never begin, or take longer than at most."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from .model import Production

Wrong = tuple[str, str, str]
"""A pointer, what is wrong there, and a hint."""


def wrong_production(production: Production | None) -> Iterator[Wrong]:
    """Yield everything that can't be meant, with its pointer."""
    if production is None:
        return
    if production.target <= dt.timedelta(0):
        yield "/production/target", "is nothing", "24h, say"
    for name, wait in production.waits.items():
        pointer = f"/production/waits/{name}"
        if wait.at_most < wait.expected:
            yield f"{pointer}/at_most", "is shorter than what is expected", "a bound, not a wish"
        for index, before in enumerate(wait.after):
            if before not in production.waits:
                yield f"{pointer}/after/{index}", f"names the wait {before!r}, which is not declared", ""
    if circle := _never_begin(production):
        yield "/production/waits", f"{', '.join(circle)} wait for each other", "one of them has to come first"


def _never_begin(production: Production) -> list[str]:
    """Name the waits that follow each other in a circle."""
    left = {name: set(wait.after) & production.waits.keys() for name, wait in production.waits.items()}
    while ready := [name for name, after in left.items() if not after & left.keys()]:
        for name in ready:
            del left[name]
    return sorted(left)
