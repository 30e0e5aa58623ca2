"""``secondsite doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .terminal import clean, emit_json, estate_option, json_option, say

if TYPE_CHECKING:
    from ..checks.doctor.model import Symptom

_STYLES = {"ok": "green", "missing": "bold red", "unknown": "bold yellow"}


@click.command()
@estate_option
@json_option
def doctor(*, estate: Path, as_json: bool) -> int:
    """Name what is missing here and on the hosts before they can be provisioned: changes nothing.

    Looks at this machine, at each host as it is (prepared or not, over SSH with a pinned key), and at what the estate
    declares. Ends with 0 if nothing is missing, 2 if something is, 4 if a host was not reached, 8 if something is not
    known.

    SECONDSITE_BOOTSTRAP_KEY names the key that bare hosts accept (~/.ssh/id_ed25519), SECONDSITE_BOOTSTRAP_USER whose
    (root), SECONDSITE_KNOWN_HOSTS the file with their pinned keys (~/.ssh/known_hosts).
    """
    from .. import app  # noqa: PLC0415  what the app imports takes longer than --help may
    from ..app.doctor import examine  # noqa: PLC0415

    loaded = app.estate(estate)
    end = examine(loaded)
    if as_json:
        findings = [_document(one) for one in end.symptoms]
        emit_json({"estate": loaded.name, "findings": findings, "seconds": end.seconds})
    else:
        _show(end.symptoms)
        counts = {need: sum(one.need.value == need for one in end.symptoms) for need in _STYLES}
        say(", ".join(f"{number} {need}" for need, number in counts.items() if number) + f" in {end.seconds:.1f} s")
    return end.exit_code


def _document(symptom: Symptom) -> dict[str, object]:
    return {
        "id": symptom.id,
        "where": symptom.where,
        "state": symptom.need.value,
        "saw": symptom.saw,
        "fix": symptom.fix,
    }


def _show(symptoms: tuple[Symptom, ...]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("where", "what", "state", "seen"):
        table.add_column(heading, overflow="fold")
    for one in symptoms:
        state = Text(one.need.value, style=_STYLES[one.need.value])
        table.add_row(clean(one.where), one.id, state, Text(clean(one.saw)))
    console = Console(highlight=False)
    console.print(table)
    for one in symptoms:
        if one.fix:
            console.print(Text(clean(f"mend {one.where} {one.id}: {one.fix}")), soft_wrap=True)
