"""Begin an estate of somebody's own: its two files, and the key that opens its secrets. Nothing is ever overwritten."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from ..errors import UsageError
from ..estate.load import ESTATE_FILE, HOSTS_FILE, load_estate
from ..estate.schema.load import NAME_PATTERN
from ..hands.age import make_identity
from .places import PROJECT

_PLACEHOLDER = "an-estate"


def begin_estate(name: str, directory: Path | None) -> Path:
    """Write a commented estate of that name and return its directory.

    Raises:
        UsageError: the name is none, or there is an estate already; nothing was written.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise UsageError(
            f"{name!r} is no name for an estate",
            not_done="nothing was written",
            next_step="a small letter, then at most 62 small letters, digits and dashes",
        )
    folder = directory if directory is not None else PROJECT / "inventories" / name
    texts = _texts(name)
    there = [file for file in texts if (folder / file).exists()]
    if there:
        raise UsageError(
            f"{folder} holds {' and '.join(there)} already",
            not_done="nothing was written: what is there is never overwritten",
            next_step="choose another --directory, or edit what is there",
        )
    _write(folder, texts)
    load_estate(folder)  # what was written is what a person may build on
    return folder


def begin_identity(path: Path) -> str:
    """Make a key that opens sealed secrets, and return the public half to name among the recipients.

    Raises:
        UsageError: something is there already, or it can't be written.
    """
    try:
        return make_identity(path)
    except FileExistsError as error:
        raise UsageError(
            f"{path} is there already",
            not_done="nothing was written: a key that is lost takes what it opens with it",
            next_step=f"its public half: grep -h public {path}",
        ) from error
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror}", not_done="no key was made") from error


def _texts(name: str) -> Mapping[str, str]:
    folder = resources.files("secondsite.estate") / "templates"
    return {
        file: (folder / file).read_text(encoding="utf-8").replace(_PLACEHOLDER, name)
        for file in (HOSTS_FILE, ESTATE_FILE)
    }


def _write(folder: Path, texts: Mapping[str, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in texts.items():
            with (folder / file).open("x", encoding="utf-8") as stream:
                stream.write(text)
    except OSError as error:
        raise UsageError(
            f"{folder} can't be written to: {error.strerror}",
            not_done="no estate was begun",
            next_step="name another --directory",
        ) from error
