"""``secondsite run``, ``runs`` and ``approve``."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..errors import JournalError, Refused, UsageError
from ..run.model import (
    Beginning,
    Interruption,
    RunResult,
    RunState,
    StepRecord,
    StepState,
    StopOrder,
    TakenBack,
    Transition,
)
from ..run.roles import nobody_answers
from ..run.rules import is_break_glass
from ..run.service import require_no_stop
from ..run.stop import Stop
from .terminal import clean, emit_json, estate_option, json_option, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..estate.model import Estate
    from ..store.runs import RunStore, RunSummary

_STYLES = {
    RunState.DONE: "bold green",
    RunState.FAILED: "bold red",
    RunState.REFUSED: "bold red",
    RunState.ABORTED: "bold yellow",
    RunState.INTERRUPTED: "bold yellow",
    RunState.OPEN: "bold cyan",
}
_yes_option = click.option("--yes", is_flag=True, help="Do not ask (needed on a real estate without a terminal).")

_by_option = click.option("--as", "by", metavar="NAME", default="", show_default="your login", help="Who begins it.")


@click.command()
@click.argument("runbook")
@click.option("--from", "origin", metavar="SITE", help="The site that workloads leave.")
@click.option("--to", "target", metavar="SITE", help="The site that workloads go to.")
@click.option(
    "--override",
    "words",
    multiple=True,
    metavar="NAME=REASON",
    help="Pass this check although it is not green, or have two persons decide what the guard fencing-confirmed or"
    " in-sync refuses; recorded, and printed in red. May be given again.",
)
@_by_option
@estate_option
@_yes_option
@json_option
def run(  # noqa: PLR0913  as many as its options
    *,
    runbook: str,
    origin: str | None,
    target: str | None,
    words: tuple[str, ...],
    by: str,
    estate: Path,
    yes: bool,
    as_json: bool,
) -> int:
    """Run RUNBOOK, durably: after a crash or Ctrl-C, `secondsite runs resume` goes on where it was.

    What moves operations is refused while a check was not green when it was last made, other than on hosts of the site
    that they leave, and when the checks were last made more than a day ago (READINESS).
    """
    from .. import app  # noqa: PLC0415  what the app imports takes longer than --help may
    from ..plan.load import load_plan  # noqa: PLC0415

    loaded = app.estate(estate)
    plan = load_plan(runbook, directory=app.RUNBOOKS, root=app.PROJECT, estate=loaded, origin=origin, target=target)
    store, stop = app.run_store(loaded), Stop()
    require_no_stop(store.stops.order())
    overrides = app.require_ready(loaded, plan, app.overrides_in(words), who=by or app.login())
    ask_first(loaded, f"run {runbook}" + (f" from {origin} to {target}" if origin else ""), yes=yes)
    with (
        stop.on_signals(),
        store.session(purpose=runbook) as session,
        app.crew(loaded, (Teller(as_json),), say=say, by=by) as crew,
    ):
        folder = session.begin(plan)
        say(f"run {folder.id} of plan {plan.digest[:12]}")
        result = session.start(folder, crew, stop=stop, overrides=overrides)
    return finish(result, as_json=as_json)


@click.group()
def runs() -> None:
    """List, show, resume and abort runs, and stop everything."""


@runs.command("list")
@estate_option
@json_option
def list_runs(*, estate: Path, as_json: bool) -> int:
    """List every run, newest last."""
    store = _store(estate)
    found = store.summaries()
    holder, order = store.holder(), store.stops.order()
    if as_json:
        stopped = _order_json(order) if order else None
        emit_json({"runs": [_summary_json(summary) for summary in found], "at_work": holder, "stopped": stopped})
        return 0
    table = Table(box=None, pad_edge=False)
    for heading in ("run", "state", "waits for"):
        table.add_column(heading, overflow="fold")
    for summary in found:
        state = Text(summary.state.value, style=_STYLES[summary.state]) if summary.state else _drill(summary)
        table.add_row(clean(summary.folder.id), state, clean(", ".join(summary.gates)))
    Console(highlight=False).print(table)
    say(f"at work: {holder}" if holder else "nothing is at work on this estate")
    if order is not None:
        say(str(order), style="bold red")
    return 0


@runs.command()
@click.argument("number", metavar="RUN")
@estate_option
@json_option
def show(*, number: str, estate: Path, as_json: bool) -> int:
    """Show where every step of RUN stands."""
    store = _store(estate)
    folder = store.folders.find(number)
    if not folder.has_plan():
        raise UsageError(
            f"{folder.id} is a drill and not the run of a plan",
            not_done="nothing was shown",
            next_step=f"secondsite drill show {folder.number}",
        )
    try:
        result = store.steps(folder)
    except JournalError:  # the error itself is told at the end, with its exit code
        for step, state in store.told_by_records(folder).items():
            say(f"{step}: {state}, as its record says; what became of it since is not known")
        raise
    _show(result, as_json=as_json)
    return 0


@runs.command()
@click.argument("number", metavar="[RUN]", required=False)
@_by_option
@estate_option
@_yes_option
@json_option
def resume(*, number: str | None, by: str, estate: Path, yes: bool, as_json: bool) -> int:
    """Go on with RUN where it was; without RUN, with the only one that is open."""
    from .. import app  # noqa: PLC0415  what the app imports takes longer than --help may

    loaded = app.estate(estate)
    store, stop = app.run_store(loaded), Stop()
    with stop.on_signals(), store.session(purpose=f"resume {number or ''}".strip()) as session:
        folder = store.folders.find(number) if number else store.the_open_run()
        ask_first(loaded, f"resume {folder.id}", yes=yes)
        with app.crew(loaded, (Teller(as_json),), say=say, by=by) as crew:
            result = session.resume(folder, crew, stop=stop)
    return finish(result, as_json=as_json)


@runs.command()
@click.argument("number", metavar="[RUN]", required=False)
@click.option("--as", "who", metavar="NAME", default=getpass.getuser, show_default="your login", help="Who aborts it.")
@click.option("--as-it-is", is_flag=True, help="End it and take nothing back; no host is needed for that.")
@estate_option
@_yes_option
@json_option
def abort(*, number: str | None, who: str, as_it_is: bool, estate: Path, yes: bool, as_json: bool) -> int:
    """End RUN: nothing more is started, and what has an undo is taken back, in reverse order.

    What nothing undoes stays, and so does what it rests on. Once a writer was promoted nothing is taken back: the
    former site stays fenced, and a failback brings operations home. What failed is tried again when this is said again.
    """
    from .. import app  # noqa: PLC0415  as above

    loaded = app.estate(estate)
    store, stop = app.run_store(loaded), Stop()
    folder = store.folders.find(number) if number else store.the_open_run()
    ask_first(loaded, f"abort {folder.id}", yes=yes)
    if store.abort(folder, who=who, takes_back=not as_it_is):
        return _tell_of_live(folder.id, store.holder(), as_json=as_json)
    taken = None
    if not as_it_is:
        with (
            stop.on_signals(),
            store.session(purpose=f"abort {folder.id}") as session,
            app.crew(loaded, (Teller(as_json),), say=say) as crew,
        ):
            taken = session.take_back(folder, crew, stop=stop)
    return _tell_of_taking_back(folder.id, taken, as_json=as_json) or stop.exit_code


def _tell_of_live(run: str, holder: str, *, as_json: bool) -> int:
    if as_json:
        emit_json({"run": run, "state": "aborting", "at_work": holder})
        return 0
    say(f"{holder} is at work: if it carries {run}, it starts nothing more and takes back what has an undo")
    say(f"see: secondsite runs show {run}; if it carries another run, say this again when it is done")
    return 0


def _tell_of_taking_back(run: str, taken: TakenBack | None, *, as_json: bool) -> int:
    code = 3 if taken is not None and taken.failed else 0
    if as_json:
        state = taken.state.value if taken else RunState.ABORTED.value
        parts = (list(taken.undone), dict(taken.failed), dict(taken.kept)) if taken else ([], {}, {})
        undone, failed, kept = parts
        emit_json({"run": run, "state": state, "undone": undone, "failed": failed, "kept": kept, "exit_code": code})
        return code
    if taken is None:
        say(f"{run} is ended as it is; nothing was taken back")
        return code
    if taken.state is RunState.INTERRUPTED:
        say("interrupted; say it again to go on")
    for name in taken.undone:
        say(f"taken back: {name.removeprefix('undo:')}")
    for name, why in taken.failed.items():
        say(f"NOT taken back: {name.removeprefix('undo:')}: {why}; say it again when that is mended", style="bold red")
    for name, why in taken.kept.items():
        say(f"stays: {name}: {why}", style="bold red")
    return code


_reason_option = click.option("--reason", required=True, help="Why, for whoever meets it.")


@runs.command("stop")
@_reason_option
@click.option("--as", "who", metavar="NAME", default=getpass.getuser, show_default="your login", help="Who says so.")
@estate_option
@json_option
def stop_all(*, reason: str, who: str, estate: Path, as_json: bool) -> int:
    """Stop everything: no step of any run or drill is started on this estate until `runs go`.

    A run under way halts as with Ctrl-C and can be resumed afterwards; a drill takes its faults back. It is a file,
    STOP, in the state directory: `touch` does as well.
    """
    stops = _store(estate).stops
    order = stops.write(who=who, reason=reason)
    if as_json:
        emit_json({"stopped": True, **_order_json(order)})
        return 0
    say(str(order), style="bold red")
    say('no step of any run is started before: secondsite runs go --reason "..."')
    return 0


@runs.command("go")
@_reason_option
@click.option("--as", "who", metavar="NAME", default=getpass.getuser, show_default="your login", help="Who says so.")
@estate_option
@json_option
def go(*, reason: str, who: str, estate: Path, as_json: bool) -> int:
    """Take a stop back: runs may be started and resumed again."""
    lifted = _store(estate).stops.remove(who=who, reason=reason)
    if as_json:
        emit_json({"stopped": False, "lifted": _order_json(lifted) if lifted else None})
        return 0
    say(f"no longer in force: {lifted}" if lifted else "nothing was stopped")
    say("go on with: secondsite runs list")
    return 0


def _order_json(order: StopOrder) -> dict[str, object]:
    return {"who": order.who, "reason": order.reason, "since": order.since, "file": order.where}


@click.command()
@click.argument("number", metavar="RUN")
@click.argument("gate")
@click.option("--yes/--no", "granted", default=None, help="Consent, or refuse.")
@click.option("--as", "who", metavar="NAME", required=True, help="Who answers, as the estate's approvers are named.")
@click.option(
    "--key",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Your SSH key, or its public half if an agent holds it.",
    show_default="on a lab, the key that the lab made for NAME",
)
@click.option("--reason", default="", help="Why; needed to break the glass.")
@estate_option
@json_option
def approve(  # noqa: PLR0913  as many as its options
    *,
    number: str,
    gate: str,
    granted: bool | None,
    who: str,
    key: Path | None,
    reason: str,
    estate: Path,
    as_json: bool,
) -> int:
    """Answer GATE of RUN, signed with your SSH key. The answer reaches a waiting run at once.

    It is bound to the run, its plan and the hosts that the gate is about, and holds for four hours. A gate named
    in-doubt:STEP#N asks whether that step happened: --yes it did, --no it did not.

    When nobody else can be had, the key that lies sealed stands in for the second person: --as break-glass, with
    --reason. That is printed in red wherever the run is shown, for good.
    """
    from .. import app  # noqa: PLC0415  as above

    if granted is None:
        raise UsageError("say --yes or --no", not_done="the gate was not answered")
    loaded = app.estate(estate)
    given = app.give_answer(loaded, number=number, gate=gate, who=who, granted=granted, key=key, reason=reason)
    if is_break_glass(who):
        say(f"THE GLASS IS BROKEN at {gate} of {given.run}: {reason}", style="bold white on red")
    if as_json:
        emit_json({"run": given.run, "gate": gate, "who": who, "granted": granted, "expires": given.expires})
    else:
        about = ", ".join(given.targets) or "no host"
        say(f"{who} said {'yes' if granted else 'no'} to {gate} of {given.run}, which is about {about}")
    return 0


def _store(estate: Path) -> RunStore:
    from .. import app  # noqa: PLC0415  as above

    return app.run_store(app.estate(estate))


def ask_first(estate: Estate, what: str, *, yes: bool) -> None:
    """On a real estate a person says go; the lab never asks, and without a terminal nobody is waited for."""
    if yes or (Path(estate.directory) / "lab.yml").exists():
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{what} on {estate.name} needs a word from you", next_step="add --yes, or use a terminal")
    if not click.confirm(f"{what} on {estate.name}?", err=True):
        raise Refused("you said no")


class Teller:
    """Says every change of a step on standard error."""

    def __init__(self, quiet: bool) -> None:
        """Say nothing when the caller wants JSON."""
        self._quiet = quiet

    def __call__(self, transition: Transition, /) -> None:
        """Say one."""
        if self._quiet:
            return
        told = transition.detail
        extra = told.get("error") or told.get("reasons") or told.get("no_standing_order") or ""
        style = "red" if transition.state.ended_badly else ""
        by = told.get("by")
        if isinstance(by, list) and any(map(is_break_glass, by)):
            say(f"THE GLASS WAS BROKEN at {transition.step}: {', '.join(map(str, by))}", style="bold white on red")
        say(f"{transition.step}: {transition.state.value} {extra}".rstrip(), style=style)
        asks = told.get("to_override")
        for line in asks if isinstance(asks, list) else ():
            say(f"  TO OVERRIDE: {line}", style="bold red")
        if transition.state in {StepState.WAITING, StepState.IN_DOUBT} and "gate" in told:
            say(f"  answer with: secondsite approve {transition.run} {told['gate']} --yes|--no --as NAME", style="bold")


def finish(result: RunResult, *, as_json: bool) -> int:
    """Show how a run ended, and return the exit code that says so."""
    _show(result, as_json=as_json)
    if result.stopped_by is not None:
        say(str(result.stopped_by), style="bold red")
        say('halted; go on with: secondsite runs go --reason "...", then secondsite runs resume')
    elif result.state is RunState.INTERRUPTED:
        say("interrupted; go on with: secondsite runs resume")
    return result.exit_code


def _show(result: RunResult, *, as_json: bool) -> None:
    if as_json:
        emit_json(result_json(result))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("step", "state", "tries", "consent", "why"):
        table.add_column(heading, overflow="fold")
    for name, record in result.steps.items():
        why = "; ".join(record.reasons) or (record.result.error if record.result else "")
        style = "red" if record.state.ended_badly else ""
        table.add_row(
            clean(name), Text(record.state.value, style=style), str(record.attempts), _consent(record), clean(why)
        )
    console = Console(highlight=False)
    console.print(table)
    for remark in result.remarks:
        console.print(Text(clean(remark), style="bold red"))
    for one in result.interruptions:
        console.print(Text(clean(f"\n{_interrupted(one)}"), style="yellow"), soft_wrap=True)
    for line in _told_of_beginning(result.beginning):
        console.print(Text(clean(line), style="" if line.startswith("Begun") else "yellow"), soft_wrap=True)
    console.print(Text.assemble(f"\nRun {clean(result.run)}: ", (result.state.value, _STYLES[result.state])))


def _drill(summary: RunSummary) -> Text:
    if not summary.drill:
        return Text("-")
    return Text(clean(f"drill: {summary.drill}"), style="bold yellow" if summary.drill == "interrupted" else "")


def _interrupted(one: Interruption) -> str:
    how = "It was stopped" if one.was_asked else "The engine ended without a word"
    doubt = f", with {', '.join(one.in_doubt)} in doubt" if one.in_doubt else ""
    then = f"resumed at {one.resumed_at}" if one.resumed_at else "not yet resumed"
    return f"Interrupted: {how} after {one.last_heard}{doubt}; {then}."


def _told_of_beginning(one: Beginning) -> Iterator[str]:
    found = one.authorship
    if one.by:
        yield f"Begun by {', '.join(one.by)}."
    if found is not None and not found.is_signed:
        yield nobody_answers(found)
    elif found is not None:
        yield f"Begun with {found.runbook}, version {found.version[:12]}: {found.name} ({found.key}) answers for it."


def _beginning_json(one: Beginning) -> dict[str, object]:
    found = one.authorship
    signed = {"name": found.name, "key": found.key, "at": found.at} if found and found.is_signed else None
    return {
        "by": list(one.by),
        "runbook_version": found.version if found else None,
        "author": signed,
        "nobody_answers": found.why if found and signed is None else None,
    }


def result_json(result: RunResult) -> dict[str, object]:
    """Return a run as ``--json`` prints it."""
    return {
        "run": result.run,
        "state": result.state.value,
        "exit_code": result.exit_code,
        "reasons": list(result.reasons),
        "remarks": list(result.remarks),
        "beginning": _beginning_json(result.beginning),
        "interruptions": [
            {
                "was_asked": one.was_asked,
                "last_heard": one.last_heard,
                "resumed_at": one.resumed_at or None,
                "in_doubt": list(one.in_doubt),
            }
            for one in result.interruptions
        ],
        "steps": [
            {
                "step": name,
                "state": record.state.value,
                "attempts": record.attempts,
                "changed": record.result.changed if record.result else None,
                "error": record.result.error if record.result else "",
                "reasons": list(record.reasons),
                "consent": _consent_json(record),
            }
            for name, record in result.steps.items()
        ],
    }


def _consent(record: StepRecord) -> str:
    if record.consent is None:
        return ""
    how = "standing order of " if record.consent.standing_order else ""
    return clean(f"{how}{', '.join(record.consent.by)} after {record.consent.waited_ms / 1000:.1f} s")


def _consent_json(record: StepRecord) -> dict[str, object] | None:
    consent = record.consent
    if consent is None:
        return None
    return {
        "granted": consent.granted,
        "by": list(consent.by),
        "standing_order": consent.standing_order or None,
        "waited_ms": consent.waited_ms,
    }


def _summary_json(summary: RunSummary) -> dict[str, object]:
    state = summary.state.value if summary.state else None
    told: dict[str, object] = {"run": summary.folder.id, "number": summary.folder.number, "state": state}
    return told | {"gates": list(summary.gates), "drill": summary.drill or None}
