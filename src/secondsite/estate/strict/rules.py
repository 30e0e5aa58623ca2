"""What a single word in an input file may look like."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """Why a word is refused, and what to write in its place."""

    what: str
    hint: str


LONGEST_WORD = 4096
WHOLE_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
FRACTION = re.compile(r"(0|[1-9][0-9]{0,8})\.[0-9]{1,9}")

_TEMPLATES = ("{{", "{%", "{#", "$(", "${", "`")
_SURPRISES = (
    # what YAML 1.1 and 1.2 readers disagree about when it stands without quotes
    (re.compile(r"[-+]?[0-9][0-9_]*(:[0-9]{1,2})+(\.[0-9]*)?"), "which some readers take for a number in base 60",
     "durations need a unit, as in 4h or 240s; quote it if it is a word"),
    (re.compile(r"yes|no|on|off|y|n", re.IGNORECASE), "which some readers take for true or false",
     "quote it if it is a word, or write true or false"),
    (re.compile(r"True|TRUE|False|FALSE"), "which is true or false in other letters",
     "write true or false, or quote it"),
    (re.compile(r"~|null", re.IGNORECASE), "which means nothing at all",
     "leave the key out, or quote it if it is a word"),
    (re.compile(r"[-+]?0[0-9_]+|0[box][0-9A-Fa-f_]+"), "which readers take for different numbers",
     "write a plain decimal number, or quote it if it is a word"),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*\.?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|nan)|[-+][0-9].*", re.IGNORECASE),
     "which is an unusual way to write a number", "write a plain decimal number, or quote it if it is a word"),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?"), "which some readers take for a date", "quote it"),
    (re.compile(r"="), "which some readers take for a default", "quote it"),
)  # fmt: skip


def objections_to_any_word(text: str) -> Iterator[Objection]:
    """Yield why a key or value is refused wherever it stands, quoted or not."""
    if len(text) > LONGEST_WORD:
        yield Objection(what=f"is {len(text)} characters long", hint=f"at most {LONGEST_WORD}")
    if any(not char.isprintable() for char in text):
        yield Objection(
            what=f"holds a line break or another invisible character: {text[:80]!a}",
            hint="keep it on one plain line",
        )
    for mark in _TEMPLATES:
        if mark in text:
            yield Objection(
                what=f"holds {mark!r}, which a template or a shell would act on", hint="write the value itself"
            )
            return
    if text.startswith("-"):
        yield Objection(
            what=f"begins with a dash, which a program would take for an option: {text[:80]!a}",
            hint="begin it with a letter or a digit",
        )


def surprises_in_a_plain_word(text: str) -> Iterator[Objection]:
    """Yield why a word without quotes is refused: readers of YAML disagree on what it means."""
    if WHOLE_NUMBER.fullmatch(text) or FRACTION.fullmatch(text):
        return
    for pattern, what, hint in _SURPRISES:
        if pattern.fullmatch(text):
            yield Objection(what=f"is {text!r}, {what}", hint=hint)
            return


def meaning_of_a_plain_word(text: str) -> object:
    """Return what a word without quotes means: true, false, a decimal number, nothing (empty), or itself."""
    if text in {"true", "false"}:
        return text == "true"
    if WHOLE_NUMBER.fullmatch(text):
        return int(text)
    if FRACTION.fullmatch(text):
        return float(text)
    return text or None
