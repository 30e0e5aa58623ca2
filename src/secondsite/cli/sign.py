"""``secondsite sign``: answer for a version of a runbook."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from .terminal import emit, emit_json, estate_option, json_option


@click.command()
@click.argument("runbook")
@click.option("--as", "who", metavar="NAME", required=True, help="Who answers for it.")
@click.option(
    "--key",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Your SSH key, or its public half if an agent holds it.",
    show_default="on a lab, the key that the lab made for NAME",
)
@estate_option
@json_option
def sign(*, runbook: str, who: str, key: Path | None, estate: Path, as_json: bool) -> int:
    """Answer for RUNBOOK as it is now, signed with your SSH key.

    What is signed is the digest of the runbook's file and of every file that its plans use, in every direction. Runs of
    exactly that version name you as their author; any other version runs too, and says that nobody answers for it.
    """
    from .. import app  # noqa: PLC0415  what the app imports takes longer than --help may

    made = app.sign_runbook(app.estate(estate), runbook, who=who, key=key)
    if as_json:
        emit_json(
            {"signed": [{"runbook": m.runbook, "version": m.version, "author": m.name, "key": m.key} for m in made]}
        )
        return 0
    for one in made:
        emit(f"{one.name} ({one.key}) answers for {one.runbook}, version {one.version[:12]}")
    return 0
