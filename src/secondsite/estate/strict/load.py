"""Read one YAML file into plain values, with the line of each, and every objection to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from ...errors import Problem
from .rules import Objection, meaning_of_a_plain_word, objections_to_any_word, surprises_in_a_plain_word

LARGEST_FILE = 256 * 1024
MOST_VALUES = 20_000
DEEPEST = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One file: its plain values, the line of each by JSON pointer, and everything objectionable in it.

    ``value`` is None when the file could not be read to its end. Besides strings only true, false, decimal numbers
    and empty values are told apart.
    """

    file: str
    content: bytes
    value: object
    lines: Mapping[str, int]
    problems: tuple[Problem, ...]

    def problem(self, pointer: str, what: str, hint: str = "") -> Problem:
        """Return a problem at a pointer, or at the nearest line above what is missing."""
        return Problem(file=self.file, line=self.line(pointer), pointer=pointer, what=what, hint=hint)

    def line(self, pointer: str) -> int | None:
        """Return the line of a value, or of the nearest one around it."""
        while pointer and pointer not in self.lines:
            pointer = pointer.rpartition("/")[0]
        return self.lines.get(pointer)


def step_into(pointer: str, key: str | int) -> str:
    """Return the JSON pointer of what stands under a key."""
    return f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"


def read_document(path: Path) -> Document:
    """Read a file; what is wrong with it is in ``problems``, all of it."""
    file = str(path)
    content, trouble = _content(path)
    if trouble is not None:
        problem = Problem(file=file, line=None, pointer="", what=trouble.what, hint=trouble.hint)
        return Document(file=file, content=content, value=None, lines={}, problems=(problem,))
    reader = _Reader(file=file)
    value: object = None
    try:
        value = reader.document(iter(YAML(typ="safe", pure=True).parse(content.decode("utf-8-sig"))))
    except _StopReading:
        pass
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else None
        reader.problems.append(
            Problem(file=file, line=line, pointer="", what=f"is not YAML: {error.problem or error.context}")
        )
    except (YAMLError, ValueError) as error:
        line = _line_of_bad_character(content)
        reader.problems.append(
            Problem(file=file, line=line, pointer="", what=f"is not YAML: {str(error).splitlines()[0]!a}")
        )
    return Document(file=file, content=content, value=value, lines=reader.lines, problems=tuple(reader.problems))


def _content(path: Path) -> tuple[bytes, Objection | None]:
    try:
        if not path.is_file():
            return b"", Objection(
                what="is not there, or is not a regular file", hint="is this the directory of an estate?"
            )
        with path.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        return b"", Objection(what=f"can't be read: {error.strerror}", hint="check its owner and mode")
    if len(content) > LARGEST_FILE:
        return b"", Objection(
            what=f"is larger than {LARGEST_FILE // 1024} KiB", hint="an estate is a few pages of text"
        )
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return content, Objection(what=f"is not UTF-8 (byte {error.start})", hint="save it as UTF-8")
    return content, None


def _line_of_bad_character(content: bytes) -> int | None:
    for number, line in enumerate(content.decode("utf-8-sig").split("\n"), start=1):
        if any(not char.isprintable() and char not in "\t\r" for char in line):
            return number
    return None


class _StopReading(Exception):  # noqa: N818  a limit was passed; reading on would only cost time
    pass


@dataclass(kw_only=True)
class _Reader:
    """Folds the events of one file into plain values and collects objections on the way."""

    file: str
    lines: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    values: int = 0

    def object_to(self, event: Event, pointer: str, what: str, hint: str = "") -> None:
        line = event.start_mark.line + 1 if event.start_mark is not None else None
        self.problems.append(Problem(file=self.file, line=line, pointer=pointer, what=what, hint=hint))

    def document(self, events: Iterator[Event]) -> object:
        value: object = None
        documents = 0
        for event in events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if event.version is not None or event.tags:
                    self.object_to(event, "", "has a % directive", "files are YAML 1.2 core; leave the directive out")
                if documents > 1:
                    self.object_to(event, "", "holds a second document", "one file, one document")
                    raise _StopReading
                value = self.value(next(events), events, "", 0)
        if documents == 0:
            self.problems.append(Problem(file=self.file, line=None, pointer="", what="is empty"))
        return value

    def value(self, event: Event, events: Iterator[Event], pointer: str, depth: int) -> object:
        self.values += 1
        if self.values > MOST_VALUES:
            self.object_to(event, pointer, f"is past the {MOST_VALUES:,} values one file may hold")
            raise _StopReading
        if depth > DEEPEST:
            self.object_to(event, pointer, f"is nested deeper than {DEEPEST} levels")
            raise _StopReading
        self.lines.setdefault(pointer, event.start_mark.line + 1)
        self._refuse_marks(event, pointer)
        match event:
            case MappingStartEvent():
                return self.mapping(events, pointer, depth)
            case SequenceStartEvent():
                return self.sequence(events, pointer, depth)
            case ScalarEvent():
                return self.scalar(event, pointer)
            case _:
                return None

    def _refuse_marks(self, event: Event, pointer: str) -> None:
        if isinstance(event, AliasEvent):
            self.object_to(event, pointer, f"is the alias *{event.anchor}", "write the value out")
            return
        anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
        if anchor:
            self.object_to(event, pointer, f"has the anchor &{anchor}", "write values out where they are used")
        if tag:
            self.object_to(event, pointer, f"has the tag {tag}", "leave the tag out")

    def mapping(self, events: Iterator[Event], pointer: str, depth: int) -> dict[str, object]:
        result: dict[str, object] = {}
        for event in events:
            if isinstance(event, MappingEndEvent):
                break
            key = self.key(event, events, pointer, depth)
            inside = step_into(pointer, key)
            if key in result:
                hint = f"it stands at line {self.lines[inside]} already; keep one"
                self.object_to(event, inside, "stands here a second time", hint)
                self.value(next(events), events, inside, depth + 1)
                continue
            self.lines[inside] = event.start_mark.line + 1
            result[key] = self.value(next(events), events, inside, depth + 1)
        return result

    def key(self, event: Event, events: Iterator[Event], pointer: str, depth: int) -> str:
        if not isinstance(event, ScalarEvent):
            self.value(event, events, pointer, depth + 1)
            self.object_to(event, pointer, "has a key that is not a word", "keys are words")
            return "?"
        text = str(event.value)
        if text == "<<":
            self.object_to(event, pointer, "has the merge key <<", "write the values out")
        else:
            self._refuse_marks(event, step_into(pointer, text))
            self._object_to_word(event, step_into(pointer, text))
        return text

    def sequence(self, events: Iterator[Event], pointer: str, depth: int) -> list[object]:
        result: list[object] = []
        for event in events:
            if isinstance(event, SequenceEndEvent):
                break
            result.append(self.value(event, events, step_into(pointer, len(result)), depth + 1))
        return result

    def scalar(self, event: ScalarEvent, pointer: str) -> object:
        text = str(event.value)
        if self._object_to_word(event, pointer) or event.style:
            return text
        return meaning_of_a_plain_word(text)

    def _object_to_word(self, event: ScalarEvent, pointer: str) -> bool:
        text = str(event.value)
        objections = list(objections_to_any_word(text))
        if not event.style and not objections:
            objections = list(surprises_in_a_plain_word(text))
        for objection in objections:
            self.object_to(event, pointer, objection.what, objection.hint)
        return bool(objections)
