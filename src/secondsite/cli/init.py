"""``secondsite init`` and ``secondsite identity``."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from .terminal import emit, say


@click.command()
@click.argument("name")
@click.option(
    "--directory",
    type=click.Path(path_type=Path),
    show_default="inventories/NAME",
    help="Where to write it.",
)
def init(*, name: str, directory: Path | None) -> None:
    """Write a commented estate of your own hosts, named NAME.

    Six hosts at two datacenters, a witness and a place outside, with addresses for documentation that are yours to
    replace. Overwrites nothing. Prints the directory.
    """
    from ..app.init import begin_estate  # noqa: PLC0415  what the app imports takes longer than --help may

    folder = begin_estate(name, directory)
    say(f"written: {folder}/hosts.yml and {folder}/estate.yml")
    say(f"next: replace the addresses, then: secondsite doctor --estate {folder}")
    emit(str(folder))


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
def identity(*, file: Path) -> None:
    """Make the key that opens an estate's sealed secrets, in FILE.

    Prints its public half. Write that into the estate's secrets/recipients as `engine age1...`. A holder of escrow
    makes one in the same way, keeps it, and gives its public half for secrets/holders (secondsite escrow seal).
    """
    from ..app.init import begin_identity  # noqa: PLC0415  what the app imports takes longer than --help may

    public = begin_identity(file)
    say(f"made: {file}, which only its owner may read. Whoever has it opens the estate's secrets")
    emit(public)
