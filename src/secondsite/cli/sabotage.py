"""``secondsite sabotage``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from .terminal import emit, emit_json, estate_option, json_option, say

if TYPE_CHECKING:
    from ..checks.rules.planted import Planted

_FAILED = 3


@click.group()
def sabotage() -> None:
    """Plant faults in a healthy lab, and see that the checks notice."""


@sabotage.command("list")
@json_option
def list_sabotages(*, as_json: bool) -> int:
    """List every sabotage, and the checks that must notice it."""
    from ..app.sabotage import sabotages  # noqa: PLC0415  what the app imports takes longer than --help may

    known = sabotages().values()
    if as_json:
        emit_json(
            {"sabotages": [{"id": one.id, "title": one.title, "expect_red": sorted(one.expect_red)} for one in known]}
        )
        return 0
    for one in known:
        emit(f"{one.id:5} {one.title} -> {', '.join(sorted(one.expect_red))}")
    return 0


@sabotage.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@estate_option
@json_option
def run(*, ids: tuple[str, ...], estate: Path, as_json: bool) -> int:
    """Plant each sabotage (or only those named) in the lab, see the right checks turn red, and take it back.

    A sabotage counts as noticed when every check that must turned red, and all are green again afterwards. A check that
    moved though it had no reason to is a false alarm. Ends with 0 if all were noticed without one, else 3.
    """
    from .. import app  # noqa: PLC0415  what the app imports takes longer than --help may
    from ..app.sabotage import run_sabotages  # noqa: PLC0415

    found = run_sabotages(app.estate(estate), ids, say=say)
    noticed, alarms = sum(one.noticed for one in found), sum(len(one.alarms) for one in found)
    if as_json:
        emit_json(
            {
                "planted": len(found),
                "noticed": noticed,
                "false_alarms": alarms,
                "sabotages": [_document(one) for one in found],
            }
        )
    else:
        emit(f"planted {len(found)}, noticed {noticed}, false alarms {alarms}")
    return 0 if found and noticed == len(found) and not alarms else _FAILED


def _document(planted: Planted) -> dict[str, object]:
    return {
        "id": planted.sabotage.id,
        "host": planted.host,
        "noticed": planted.noticed,
        "red": sorted(planted.red),
        "missed": sorted(planted.missed),
        "false_alarms": sorted(planted.alarms),
        "not_green_again": sorted(planted.not_green_again),
        "seconds": round(planted.seconds, 3),
    }
