"""Typed access to hostile JSON: every refusal names what was wrong; nothing is guessed, defaulted or converted."""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Mapping
from typing import TypeVar

from .model import Instant

LONGEST_LINE = 1 << 20
MOST = 10**18
LATEST_INSTANT = 1e10
Word = TypeVar("Word", bound=enum.Enum)


class Malformed(ValueError):  # noqa: N818  what was observed
    """A value isn't what the format says."""


def _no_constants(word: str) -> object:
    raise Malformed(f"{word} is not a number that can be measured with")


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    seen: dict[str, object] = {}
    for key, value in pairs:
        if key in seen:
            raise Malformed(f"the key {key!r:.80} stands twice")
        seen[key] = value
    return seen


def parse(text: bytes) -> object:
    """Return the JSON value, or raise Malformed: NaN, infinities, duplicate keys and deep nesting are refused."""
    try:
        value: object = json.loads(text.decode("utf-8"), parse_constant=_no_constants, object_pairs_hook=_no_duplicates)
    except Malformed:
        raise
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON ({type(error).__name__}: {error!s:.120})") from error
    return value


class Fields:
    """One JSON object whose fields are asked for by name and kind."""

    def __init__(self, value: object) -> None:
        """Refuse what isn't an object."""
        if not isinstance(value, dict):
            raise Malformed(f"expected an object, found {type(value).__name__}")
        self.all: Mapping[str, object] = value

    def _get(self, name: str) -> object:
        if name not in self.all:
            raise Malformed(f"the field {name!r} is missing")
        return self.all[name]

    def text(self, name: str) -> str:
        """Return a string that is not empty."""
        value = self._get(name)
        if not isinstance(value, str) or not value:
            raise Malformed(f"{name!r} must be a string that is not empty, found {value!r:.80}")
        return value

    def text_or_none(self, name: str) -> str | None:
        """Return a string; null, the empty string and absence are None."""
        return self.text(name) if self.all.get(name) not in {None, ""} else None

    def text_or_empty(self, name: str) -> str:
        """Return the value as it would be shown; absence is the empty string."""
        value = self.all.get(name)
        return "" if value is None else value if isinstance(value, str) else json.dumps(value, sort_keys=True)

    def number(self, name: str) -> float:
        """Return a finite number that is not negative."""
        value = self._get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Malformed(f"{name!r} must be a number, found {value!r:.80}")
        if isinstance(value, int) and value > int(LATEST_INSTANT):
            raise Malformed(f"{name!r} is beyond what can be meant")
        if not math.isfinite(value) or not 0 <= value <= LATEST_INSTANT:
            raise Malformed(f"{name!r} must be finite, from 0 to {LATEST_INSTANT:g}, found {value!r:.80}")
        return float(value)

    def number_or_none(self, name: str) -> float | None:
        """Return a number; null and absence are None."""
        return None if self.all.get(name) is None else self.number(name)

    def instant(self, name: str) -> Instant:
        """Return an instant."""
        return Instant(self.number(name))

    def instant_or_none(self, name: str) -> Instant | None:
        """Return an instant; null is None, absence is refused."""
        return None if self._get(name) is None else self.instant(name)

    def count(self, name: str) -> int:
        """Return a whole number, not negative."""
        value = self._get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= int(LATEST_INSTANT):
            raise Malformed(f"{name!r} must be a whole number, found {value!r:.80}")
        return value

    def amount(self, name: str) -> int:
        """Return how many bytes or things there are: a whole number, not negative."""
        value = self._get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST:
            raise Malformed(f"{name!r} must be a whole number, found {value!r:.80}")
        return value

    def truth(self, name: str) -> bool:
        """Return true or false."""
        value = self._get(name)
        if not isinstance(value, bool):
            raise Malformed(f"{name!r} must be true or false, found {value!r:.80}")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of strings."""
        value = self._get(name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise Malformed(f"{name!r} must be a list of strings, found {value!r:.80}")
        return tuple(value)

    def texts_or_none(self, name: str) -> tuple[str, ...]:
        """Return a list of strings; null and absence are the empty list."""
        return () if self.all.get(name) is None else self.texts(name)

    def text_map(self, name: str) -> dict[str, str]:
        """Return an object of strings."""
        value = self._get(name)
        if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
            raise Malformed(f"{name!r} must be an object of strings, found {value!r:.80}")
        return value

    def objects(self, name: str) -> list[Fields]:
        """Return a list of objects."""
        value = self._get(name)
        if not isinstance(value, list):
            raise Malformed(f"{name!r} must be a list, found {value!r:.80}")
        return [Fields(item) for item in value]

    def word(self, name: str, words: type[Word]) -> Word:
        """Return one of the words of an enumeration."""
        value = self._get(name)
        try:
            return words(value)
        except ValueError as error:
            allowed = ", ".join(str(word.value) for word in words)
            raise Malformed(f"{name!r} must be one of {allowed}; found {value!r:.80}") from error
