"""What every command shares: data on stdout, talk on stderr, and the options that many commands take."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TypeVar, cast

import rich_click as click
from rich.console import Console
from rich.text import Text

Command = TypeVar("Command", bound=Callable[..., object])

SCHEMA_VERSION = 1
PROJECT = Path(__file__).resolve().parents[3]
DEFAULT_ESTATE = PROJECT / "inventories" / "lab"


def estate_option(command: Command) -> Command:
    """Add ``--estate DIR`` (or ``SECONDSITE_ESTATE``), which arrives as ``estate: Path``."""
    return click.option(
        "--estate",
        envvar="SECONDSITE_ESTATE",
        type=click.Path(path_type=Path),
        default=DEFAULT_ESTATE,
        show_default="inventories/lab",
        help="Directory of the estate.",
    )(command)


def holder_option(command: Command) -> Command:
    """Add ``--holder FILE`` (or ``SECONDSITE_HOLDERS``), which arrives as ``holder: tuple[Path, ...]``."""
    return click.option(
        "--holder",
        envvar="SECONDSITE_HOLDERS",
        metavar="FILE",
        type=click.Path(path_type=Path, dir_okay=False),
        multiple=True,
        help="The key file of a holder of escrow; two come together. SECONDSITE_HOLDERS separates them by a colon.",
    )(command)


def json_option(command: Command) -> Command:
    """Add ``--json`` (or ``SECONDSITE_JSON``), which arrives as ``as_json: bool``."""
    return click.option(
        "--json", "as_json", envvar="SECONDSITE_JSON", is_flag=True, help="Print one JSON document on standard output."
    )(command)


def clean(text: str) -> str:
    """Return the text with every control character but the line feed written as an escape.

    What an inventory or a managed host said must not drive the terminal of the person who reads it.
    """
    return "".join(char if char == "\n" or char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    if char == "\t":
        return "    "
    return char.encode("unicode_escape").decode("ascii")


def emit_json(document: Mapping[str, object]) -> None:
    """Print one JSON document on standard output; ``schema_version`` comes first."""
    whole = {"schema_version": SCHEMA_VERSION, **document}
    sys.stdout.write(json.dumps(whole, indent=1, ensure_ascii=True, allow_nan=False) + "\n")
    sys.stdout.flush()


def emit(text: str) -> None:
    """Print data on standard output, control characters escaped."""
    sys.stdout.write(clean(text) + "\n")
    sys.stdout.flush()


class _Talk:
    """Standard error, as long as somebody is there: a run must not end halfway because a terminal or a pipe is gone."""

    def write(self, text: str) -> int:
        """Write it, or let it go; what matters is in the records."""
        with contextlib.suppress(OSError):
            return sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        """Let go what can't be written."""
        with contextlib.suppress(OSError):
            sys.stderr.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(sys.stderr, name)


def talk() -> Console:
    """Return where to talk to the person: standard error, whatever becomes of it."""
    return Console(file=cast("IO[str]", _Talk()), highlight=False)


def say(text: str, *, style: str = "") -> None:
    """Talk to the person on standard error; colour only on a terminal, and never with ``NO_COLOR``."""
    talk().print(Text(clean(text), style=style), soft_wrap=True)
