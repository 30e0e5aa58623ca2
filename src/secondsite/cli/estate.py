"""``secondsite schema``."""

from __future__ import annotations

import json

import rich_click as click

from .terminal import emit


@click.command()
@click.argument("name", type=click.Choice(["estate"]))
def schema(name: str) -> None:
    """Print the JSON schema of the document NAME."""
    from ..estate.load import SCHEMAS  # noqa: PLC0415  pydantic takes longer than the whole of `--help` may

    emit(json.dumps(SCHEMAS[name](), indent=2))
