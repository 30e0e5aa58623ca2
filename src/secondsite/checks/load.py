"""Sabotages into nouns: ``drtests/sabotages/*.yml`` says what must notice them, ``<ID>.sh`` beside it plants them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from ..errors import ConfigError, Problem
from ..estate.schema.load import duration
from ..estate.strict.load import Document, read_document, step_into
from .model import Check, Place, Sabotage

ID = re.compile(r"[A-Z]{1,3}[0-9]{2}[a-z]?\Z")
CheckId = Annotated[str, StringConstraints(pattern=r"^[A-Z]+(-[A-Z0-9]+)+$")]


class SabotageDocument(BaseModel):
    """One sabotage as the file states it."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    title: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    groups: list[str] = Field(min_length=1)  # the first that has a host there
    at: Literal["primary", "secondary", "anywhere"]
    expect_red: list[CheckId] = Field(min_length=1)
    may_red: list[CheckId] = Field(default_factory=list)
    within: Annotated[dt.timedelta, BeforeValidator(duration)] = dt.timedelta(seconds=15)
    source: str = ""


def load_sabotages(folder: Path, *, checks: Sequence[Check]) -> dict[str, Sabotage]:
    """Return every sabotage in a folder by its id.

    Raises:
        ConfigError: a file is wrong, two sabotages have one id, or one expects a check that does not exist.
    """
    found: dict[str, Sabotage] = {}
    problems: list[Problem] = []
    for path in sorted(folder.glob("*.yml")):
        document = read_document(path)
        problems += document.problems
        body = document.value if isinstance(document.value, dict) else {}
        for name, given in body.items():
            sabotage = _sabotage(document, name, given, folder / f"{name}.sh", problems)
            if sabotage is None:
                continue
            if sabotage.id in found:
                problems.append(document.problem(step_into("", name), "is the second sabotage of that id"))
            problems += _unknown_checks(document, sabotage, {check.id for check in checks})
            found[sabotage.id] = sabotage
    if problems:
        raise ConfigError(problems, not_done="nothing was planted")
    return found


def _sabotage(document: Document, name: str, given: object, script: Path, problems: list[Problem]) -> Sabotage | None:
    if not ID.match(name) or not script.is_file():
        problems.append(
            document.problem(step_into("", name), f"has no {script.name} beside it, or is no id such as N01")
        )
        return None
    try:
        parsed = SabotageDocument.model_validate(given)
    except ValidationError as error:
        for one in error.errors(include_url=False):
            pointer = step_into("", name)
            for part in one["loc"]:
                pointer = step_into(pointer, part)
            problems.append(document.problem(pointer, one["msg"]))
        return None
    return Sabotage(
        id=name,
        title=parsed.title,
        groups=tuple(parsed.groups),
        at=Place(parsed.at),
        script=script.read_text(encoding="utf-8"),
        expect_red=frozenset(parsed.expect_red),
        may_red=frozenset(parsed.may_red),
        within=parsed.within,
        source=parsed.source,
    )


def _unknown_checks(document: Document, sabotage: Sabotage, known: set[str]) -> Iterator[Problem]:
    named: Mapping[str, frozenset[str]] = {"expect_red": sabotage.expect_red, "may_red": sabotage.may_red}
    for key, ids in named.items():
        for wrong in sorted(ids - known):
            pointer = step_into(step_into("", sabotage.id), key)
            yield document.problem(pointer, f"names the check {wrong}, which does not exist")
