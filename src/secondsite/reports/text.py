"""Every word in a report may come from a hostile host: what is shown is cleaned and cut here, and escaped by jinja2."""

from __future__ import annotations

import math
import re
import unicodedata

LONGEST = 240
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_REMOVED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


def clean(value: object, *, longest: int = LONGEST) -> str:
    """Return text without terminal escapes, control and direction-changing characters, cut at ``longest``."""
    raw = str(value)[: longest * 8]
    text = _ESCAPES.sub("", raw.replace("\n", " ").replace("\t", " "))
    shown = "".join(character for character in text if unicodedata.category(character) not in _REMOVED)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def seconds(value: float | None) -> str:
    """Return a duration for people; None is *not measured*."""
    if value is None:
        return "not measured"
    if value == 0:
        return "0 s"
    if value >= 7200:  # noqa: PLR2004  from two hours on, hours read better
        return f"{value / 3600:.3g} h"
    return f"{value:.0f} s" if value >= 1000 else f"{value:.3f} s"  # noqa: PLR2004  a thousand seconds


def hours(value: float | None) -> str:
    """Return a duration in hours, or what is shorter in minutes or seconds; None is *not measured*."""
    if value is None or math.isinf(value):
        return "not measured"
    if abs(value) < 120:  # noqa: PLR2004  two minutes
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if abs(value) < 7200 else f"{value / 3600:.1f} h"  # noqa: PLR2004  two hours


def amount(value: float | None) -> str:
    """Return how much there is of something, without digits nobody declared."""
    return "" if value is None else f"{value:,.0f}".replace(",", "\u202f")


def objective_seconds(value: float | None) -> str:
    """Return a promised duration, without digits nobody promised."""
    if value is None:
        return "not judged"
    if value >= 7200:  # noqa: PLR2004  from two hours on, hours read better
        return f"{value / 3600:g} h"
    return f"{value:g} s"


def number(value: int | None) -> str:
    """Return a count for people; None is *not measured*."""
    return "not measured" if value is None else f"{value:,}".replace(",", "\u202f")


def plural(count: int, one: str, many: str) -> str:
    """Return the count with its noun."""
    return f"{number(count)} {one if count == 1 else many}"
