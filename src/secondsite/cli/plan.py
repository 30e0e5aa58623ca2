"""``secondsite plan``: print what a runbook would do. Performs nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from pathlib import Path

import rich_click as click
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from ..errors import UsageError
from ..plan.document import milliseconds, plan_document
from ..plan.model import Plan, Step
from ..plan.rules import critical_path, flags, rounds
from .terminal import clean, emit, emit_json, estate_option, json_option

Durations = Mapping[str, dt.timedelta]


@click.command()
@click.argument("runbook")
@click.option("--from", "origin", metavar="SITE", help="The site that workloads leave.")
@click.option("--to", "target", metavar="SITE", help="The site that workloads go to.")
@estate_option
@click.option("--format", "form", type=click.Choice(["text", "json", "html", "md"]), default="text", show_default=True)
@json_option
def plan(*, runbook: str, origin: str | None, target: str | None, estate: Path, form: str, as_json: bool) -> int:
    """Print what RUNBOOK would do: steps, hosts, guards, approvals, critical path. Performs nothing.

    With --format md or html it is the procedure a person can carry out by hand.
    """
    from .. import app  # noqa: PLC0415  what the app imports takes longer than --help may
    from ..plan.load import load_plan  # noqa: PLC0415

    loaded = app.estate(estate)
    built = load_plan(runbook, directory=app.RUNBOOKS, root=app.PROJECT, estate=loaded, origin=origin, target=target)
    try:
        measured = app.run_store(loaded).durations(runbook)
    except UsageError:  # a plan needs no state; without it there are just no earlier runs to predict from
        measured = {}
    form = "json" if as_json else form
    if form == "json":
        emit_json(plan_json(built, measured))
    elif form == "text":
        _print_text(built, measured)
    else:
        emit(app.printed_procedure(built, loaded, form=form, measured=measured))
    return 0


def plan_json(built: Plan, measured: Durations) -> dict[str, object]:
    """Return the plan as ``plan --json`` prints it: the document, the prediction, and what to look at twice."""
    path = critical_path(built, measured=measured)
    return {
        **plan_document(built),
        "critical_path": {"steps": list(path.steps), "predicted_ms": milliseconds(path.duration)},
        "flags": list(flags(built)),
    }


def _print_text(built: Plan, measured: Durations) -> None:
    console = Console(highlight=False)
    path = critical_path(built, measured=measured)
    direction = f": from {built.origin} to {built.target}" if built.origin else ""
    console.print(Text(clean(f"{built.title}{direction}"), style="bold"))
    numbers = {step.name: place for place, step in enumerate((s for one in rounds(built) for s in one), start=1)}
    for step in (step for one in rounds(built) for step in one):
        mark = "*" if step.name in path.steps else " "
        head = Text.assemble(f"{mark}{numbers[step.name]:>3}. ", (clean(step.name), "bold"), "  ", clean(step.title))
        console.print(head, soft_wrap=True)
        for line in _lines(step, numbers, measured):
            console.print(Padding(Text(clean(line), style="dim"), (0, 0, 0, 6), expand=False))
    console.print(Text(clean(f"\n* Critical path: {' > '.join(path.steps)}"), overflow="fold"))
    console.print(f"Predicted: {path.duration.total_seconds():.1f} s, without the time people take to answer.")
    for flag in flags(built):
        console.print(Text(clean(f"Look at this twice: {flag}"), style="yellow"))
    console.print(f"Plan digest: {built.digest}", soft_wrap=True)
    console.print("Nothing was performed.")


def _lines(step: Step, numbers: Mapping[str, int], measured: Durations) -> Iterator[str]:
    took = measured.get(step.name, step.expected).total_seconds()
    words = [
        f"on {', '.join(step.hosts)}" if step.hosts else "on the controller",
        f"after {', '.join(str(numbers[name]) for name in step.after)}" if step.after else "first",
        f"{took:.1f} s {'measured' if step.name in measured else 'expected'}",
        "only reads" if step.reads_only else f"undone by {step.undo.name}" if step.undo else "nothing undoes it",
    ]
    yield "; ".join(words)
    if step.destroys:
        yield f"takes something away from {', '.join(step.destroys)}; each of its hosts is asked first who it is"
    for guard in step.guards:
        yield f"only if {guard.name} (from {', '.join(guard.on)})"
    if step.gate:
        order = ", or a standing order" if step.gate.standing_order else ""
        yield f"waits for the consent of {step.gate.persons}{order}"
    for command in step.commands:
        yield f"by hand, on {command.host} as {command.account}:"
        yield from (f"    {line}" for line in command.text.splitlines())
        yield "  is answered by: " + ", or: ".join(" and ".join(answer) for answer in command.good)
        yield f"  otherwise: {command.otherwise}"
