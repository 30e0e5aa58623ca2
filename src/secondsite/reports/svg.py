"""Pictures as inline SVG: no script, no outside resource; colours come from the page's style sheet by class."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

from .text import clean

WIDTH = 1040
CHARACTER = 7.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Maps values linearly onto pixels."""

    low: float
    high: float
    left: float
    right: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value, kept inside the range."""
        inside = min(max(value, self.low), self.high)
        return round(self.left + (inside - self.low) / (self.high - self.low) * (self.right - self.left), 2)

    def ticks(self, about: int) -> list[float]:
        """Return round values for an axis."""
        step = nice_step((self.high - self.low) / about)
        first = math.ceil(self.low / step - 1e-9)
        return [index * step for index in range(first, math.floor(self.high / step + 1e-9) + 1)]


def nice_step(raw: float) -> float:
    """Return 1, 2 or 5 times a power of ten, not less than ``raw``."""
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))


class Picture:
    """Collects shapes from top to bottom; text is escaped and cut here."""

    def __init__(self, *, title: str, description: str) -> None:
        """Name the picture for people who don't see it."""
        self._title, self._description = title, description
        self._shapes: list[str] = []

    def _add(self, tag: str, attributes: dict[str, object], inside: str = "") -> None:
        words = " ".join(f'{name}="{escape(str(value))}"' for name, value in attributes.items())
        self._shapes.append(f"<{tag} {words}>{inside}</{tag}>" if inside else f"<{tag} {words}/>")

    def box(self, shape: tuple[float, float, float, float], kind: str, *, hint: str = "", round_: float = 0) -> None:
        """Draw (x, y, width, height); ``hint`` is what pointing at it shows."""
        x, y, width, height = (round(value, 2) for value in shape)
        inside = f"<title>{escape(clean(hint))}</title>" if hint else ""
        box = {"x": x, "y": y, "width": max(width, 0.8), "height": max(height, 0.0), "class": kind}
        self._add("rect", box | ({"rx": round_} if round_ else {}), inside)

    def line(self, ends: tuple[float, float, float, float], kind: str) -> None:
        """Draw from (x1, y1) to (x2, y2)."""
        x1, y1, x2, y2 = (round(value, 2) for value in ends)
        self._add("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": kind})

    def path(self, points: Iterable[tuple[float, float]], kind: str) -> None:
        """Draw a line through points."""
        self._add("polyline", {"points": " ".join(f"{x:g},{y:g}" for x, y in points), "class": kind})

    def dot(self, x: float, y: float, kind: str) -> None:
        """Draw a marker."""
        self._add("circle", {"cx": round(x, 2), "cy": round(y, 2), "r": 4, "class": kind})

    def words(self, x: float, y: float, text: str, kind: str = "", *, anchor: str = "start", room: float = 400) -> None:
        """Write text, cut to the room there is."""
        shown = clean(text, longest=max(int(room / CHARACTER), 4))
        self._add("text", {"x": round(x, 2), "y": round(y, 2), "class": kind, "text-anchor": anchor}, escape(shown))

    def done(self, height: float) -> Markup:
        """Return the picture."""
        head = (
            f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" xmlns="http://www.w3.org/2000/svg">'
            f"<title>{escape(clean(self._title))}</title><desc>{escape(clean(self._description, longest=600))}</desc>"
        )
        return Markup(head + "".join(self._shapes) + "</svg>")  # noqa: S704  every text in it was escaped above


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """An instant with a name."""

    at: float
    name: str
    kind: str = "mark"


def text_width(text: str) -> float:
    """Return about how wide a label is."""
    return len(text) * CHARACTER


def stagger(marks: Sequence[tuple[float, str]], *, right: float) -> list[tuple[float, int]]:
    """Return (left edge, row) for each label so that no two overlap; labels are centred where there is room."""
    ends: list[float] = []
    placed = []
    for x, label in marks:
        width = text_width(label)
        left = min(max(x - width / 2, 0), right - width)
        row = next((index for index, end in enumerate(ends) if end + 10 < left), len(ends))
        if row == len(ends):
            ends.append(0)
        ends[row] = left + width
        placed.append((left, row))
    return placed


def time_axis(picture: Picture, scale: Scale, *, top: float, bottom: float, unit: str = "s") -> None:
    """Draw vertical grid lines and the seconds under them."""
    for tick in scale.ticks(10):
        x = scale(tick)
        picture.line((x, top, x, bottom), "grid")
        label = f"{tick:+g} {unit}" if abs(tick) > 1e-9 else "fault"  # noqa: PLR2004  zero, as floats go
        picture.words(x, bottom + 16, label, "tick", anchor="middle")
