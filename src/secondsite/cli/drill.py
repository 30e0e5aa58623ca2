"""``secondsite drill``: run drills, and show what there is to run."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..drill.load import known_scenarios
from ..errors import UsageError
from ..estate.model import SiteName
from ..run.stop import Stop
from ..store.clock import SystemClock
from .terminal import clean, emit, emit_json, estate_option, json_option, say
from .view import LiveView, PlainView

if TYPE_CHECKING:
    from ..app.drill import DrillEnd

_STYLES = {"passed": "bold green", "failed": "bold red", "inconclusive": "bold yellow", "aborted": "bold yellow"}
_RULE_STYLES = {"satisfied": "green", "not-satisfied": "red", "not-measured": "yellow"}


@click.group()
def drill() -> None:
    """Run drills, and show what there is to run."""


@drill.command("list")
@estate_option
@json_option
def list_scenarios(*, estate: Path, as_json: bool) -> None:
    """List every scenario, and why one can't be run on this estate."""
    from ..app.places import SCENARIOS  # noqa: PLC0415  what the app imports takes longer than --help may
    from ..app.places import estate as load_estate  # noqa: PLC0415

    loaded = load_estate(estate)
    scenarios = known_scenarios(folder=SCENARIOS, estate=loaded)
    if as_json:
        told = [
            {"name": one.name, "title": one.title, "kind": one.kind.value, "not_here": reasons}
            for one, reasons in scenarios
        ]
        emit_json({"scenarios": told})
        return
    for one, reasons in scenarios:
        emit(f"{one.name:<24} {one.title}")
        for reason in reasons:
            emit(f"{'':<24} not on {loaded.name}: {reason}")


@drill.command("run")
@click.argument("scenario")
@estate_option
@json_option
@click.option("--keep", is_flag=True, help="Leave the lab up afterwards.")
@click.option("--from", "origin", metavar="SITE", help="Site that is lost. [default: the scenario's]")
@click.option("--to", "target", metavar="SITE", help="Site that takes over. [default: the scenario's]")
@click.option("--as", "by", metavar="NAME", default="", show_default="your login", help="Who begins it.")
@click.option(
    "--soak", metavar="DURATION", help="How long customers are watched at the target, such as 24h; seconds without it."
)
def run_scenario(  # noqa: PLR0913  as many as its options
    *,
    scenario: str,
    estate: Path,
    as_json: bool,
    keep: bool,
    origin: str | None,
    target: str | None,
    by: str,
    soak: str | None,
) -> int:
    """Run a drill: inject a fault, let the runbooks answer it, measure, and judge.

    On the lab it sets up everything it needs and removes the lab afterwards. It asks nothing. With --from and --to,
    operations are moved to the site that is to be lost first, if they are at the other one, and back at the end.
    With --soak the target serves for that long before anything is brought back, instead of seconds.
    """
    from ..app.drill import Direction, Wishes, run_drill  # noqa: PLC0415
    from ..app.places import estate as load_estate  # noqa: PLC0415  as above

    if (origin is None) != (target is None):
        raise UsageError(
            "a direction needs --from SITE and --to SITE",
            not_done="no drill was begun",
            next_step=f"secondsite drill run {scenario} --from dc2 --to dc1",
        )
    direction = Direction(origin=SiteName(origin), target=SiteName(target)) if origin and target else None

    loaded = load_estate(estate)
    monotonic = SystemClock().monotonic
    live = sys.stderr.isatty() and not as_json
    view = LiveView(monotonic, title=f"drill {scenario}") if live else PlainView(monotonic)
    stop = Stop()
    with view, stop.on_signals():
        wishes = Wishes(direction=direction, soak=_duration(soak), keep=keep, by=by)
        ended = run_drill(loaded, scenario, wishes, view=view, stop=stop)
    if as_json:
        emit_json(ended.document)
    else:
        _show(ended.document)
        _show_trouble(ended)
    return stop.exit_code or ended.exit_code


def _duration(word: str | None) -> dt.timedelta | None:
    from ..estate.schema.load import DURATION_HINT, duration  # noqa: PLC0415  pydantic takes longer than --help may

    if word is None:
        return None
    try:
        return duration(word)
    except ValueError as error:
        raise UsageError(f"--soak {error}", not_done="no drill was begun", next_step=DURATION_HINT) from error


@drill.command("show")
@click.argument("run")
@estate_option
@json_option
def show_drill(*, run: str, estate: Path, as_json: bool) -> None:
    """Show what an earlier drill measured. RUN is its number or name."""
    from ..app.bench import run_store  # noqa: PLC0415
    from ..app.places import estate as load_estate  # noqa: PLC0415  as above

    folder = run_store(load_estate(estate)).folders.find(run)
    try:
        document = json.loads((folder.path / "evidence" / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        is_run = folder.has_plan()
        raise UsageError(
            f"{folder.id} is the run of a plan, no drill" if is_run else f"drill {folder.id} came to no result",
            not_done="nothing was shown",
            next_step=f"secondsite runs show {folder.number}"
            if is_run
            else f"what it measured until then: secondsite report {folder.number} --format md",
        ) from error
    document |= {"report": str(folder.path / "report.html"), "evidence": str(folder.path / "evidence.tar.gz")}
    if as_json:
        emit_json(document)
    else:
        _show(document)


def _show(document: Mapping[str, Any]) -> None:
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, title_justify="left")
    for heading in ("claim", "", "saw"):
        table.add_column(heading)
    for rule in document["rules"]:
        finding = Text(str(rule["finding"]), style=_RULE_STYLES.get(str(rule["finding"]), ""))
        table.add_row(clean(str(rule["claim"])), finding, clean(str(rule["saw"])))
    console.print(table)
    console.print(_times(document["times"]))
    verdict = str(document["verdict"])
    console.print(Text.assemble("\nVerdict: ", (verdict, _STYLES.get(verdict, ""))))
    for label, path in (("Report:  ", document["report"]), ("Evidence:", document["evidence"])):
        console.print(f"{label} {path}", soft_wrap=True)
    console.print(f"Verify:   ./secondsite evidence verify {document['evidence']}", soft_wrap=True)


def _show_trouble(ended: DrillEnd) -> None:
    if ended.trouble is None:
        return
    say(f"The drill ended early: {ended.trouble.what}", style="red")
    for line in (ended.trouble.not_done, ended.trouble.next_step):
        if line:
            say(line)


def _times(times: Mapping[str, float | None]) -> Text:
    told = Text("\n")
    for name, seconds in times.items():
        shown = "not measured" if seconds is None else f"{seconds:8.3f} s"
        told.append(f"{name.removesuffix('_s').replace('_', ' '):<28}{shown}\n")
    return told
