"""``secondsite check``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .terminal import clean, emit_json, estate_option, json_option, say

if TYPE_CHECKING:
    from ..app.check import CheckEnd
    from ..checks.model import Result

_STYLES = {"passed": "green", "failed": "bold red", "unknown": "bold yellow"}


@click.command()
@click.option("--tags", metavar="TAG[,TAG]...", default="", help="Only checks with one of these tags or ids.")
@estate_option
@json_option
def check(*, tags: str, estate: Path, as_json: bool) -> int:
    """Check that both datacenters are alike and ready: changes nothing.

    Looks at every host in one round. Each check says what it saw and how to mend it. What can't be read is unknown,
    never passed. Ends with 0 if all passed, 3 if any failed, 4 if no host was reached, else 8.
    """
    from .. import app  # noqa: PLC0415  what the app imports takes longer than --help may
    from ..app.check import run_checks  # noqa: PLC0415

    loaded = app.estate(estate)
    end = run_checks(loaded, [tag.strip() for tag in tags.split(",") if tag.strip()])
    if as_json:
        emit_json({"estate": loaded.name, "checks": [_document(one) for one in end.results], "seconds": end.seconds})
    else:
        _show(end)
    return end.exit_code


def _document(result: Result) -> dict[str, object]:
    return {
        "id": result.check.id,
        "state": result.state.value,
        "saw": result.saw,
        "expected": result.check.expected,
        "fix": result.fix,
        "hosts": list(result.hosts),
        "commitments": list(result.check.commitments),
        "controls": list(result.check.controls),
    }


def _show(end: CheckEnd) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("check", "state", "what it asks"):
        table.add_column(heading, overflow="fold")
    for result in end.results:
        state = Text(result.state.value, style=_STYLES[result.state.value])
        table.add_row(result.check.id, state, clean(result.check.title))
    console = Console(highlight=False)
    console.print(table)
    for result in end.results:
        if result.state.value != "passed":
            console.print()
            console.print(Text(f"{result.check.id}: {result.state.value}", style=_STYLES[result.state.value]))
            for name, words in (("saw", result.saw), ("expected", result.check.expected), ("mend it", result.fix)):
                console.print(Text(clean(f"  {name}: {words}")), soft_wrap=True)
    counts = {state: sum(one.state.value == state for one in end.results) for state in _STYLES}
    say(", ".join(f"{number} {state}" for state, number in counts.items()) + f" in {end.seconds:.1f} s")
