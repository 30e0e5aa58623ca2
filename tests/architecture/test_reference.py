"""The reference says what the code does."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from secondsite import errors
from secondsite.cli import main as cli_main
from secondsite.estate.load import estate_schema

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = "\n".join(page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs" / "reference").glob("*.md")))


def test_the_reference_and_the_help_in_the_readme_are_what_the_code_makes_of_them() -> None:
    checked = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_readme_shows_the_help_of_the_command_itself() -> None:
    assert "<!-- help:  -->" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "kind",
    [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.SecondsiteError)],
)
def test_every_error_is_in_the_reference_with_its_exit_code(kind: type[errors.SecondsiteError]) -> None:
    assert f"| `{kind.__name__}` | {kind.exit_code} |" in REFERENCE


def verbs(words: tuple[str, ...], command: click.Command) -> Iterator[tuple[str, ...]]:
    yield words
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            if not inner.hidden:
                yield from verbs((*words, name), inner)


def test_every_command_is_in_the_reference() -> None:
    names = cli_main.cli.list_commands(click.Context(cli_main.cli))
    found = [words for name in names for words in verbs((name,), cli_main.load_command(name))]

    missing = [" ".join(words) for words in found if f"## `secondsite {' '.join(words)}`" not in REFERENCE]

    assert found
    assert missing == []


def keys(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        properties = schema.get("properties")
        if isinstance(properties, dict):
            yield from properties
        for inner in schema.values():
            yield from keys(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from keys(inner)


SCHEMAS = {path.name: json.loads(path.read_text("utf-8")) for path in (ROOT / "src").rglob("*.schema.json")}


@pytest.mark.parametrize("name", ["estate", *sorted(SCHEMAS)])
def test_every_key_of_every_schema_is_in_the_reference(name: str) -> None:
    found = set(keys(SCHEMAS[name] if name in SCHEMAS else estate_schema()))

    missing = [key for key in found if f"`{key}`" not in REFERENCE and f".{key}`" not in REFERENCE]

    assert found
    assert missing == []


def contract_codes() -> set[int]:
    page = (ROOT / "docs" / "reference" / "contracts.md").read_text(encoding="utf-8")
    table = page.partition("## Exit codes")[2].partition("## Errors")[0]
    return {
        int(row.split("|")[1])
        for row in table.splitlines()
        if row.startswith("| ") and row.split("|")[1].strip().isdigit()
    }


def test_every_exit_code_that_others_rely_on_is_in_the_reference() -> None:
    assert contract_codes() >= {0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 75, 130, 143}
