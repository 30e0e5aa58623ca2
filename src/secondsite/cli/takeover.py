"""``secondsite takeover`` and ``recover``: go on where another controller was lost, with its site or altogether."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from ..run.model import RunState
from ..run.stop import Stop
from .runs import Teller, ask_first, finish
from .terminal import Command, estate_option, holder_option, json_option, say


def _escrow_options(command: Command) -> Command:
    """Add ``--escrow FOLDER`` and ``--holder FILE``."""
    folder = click.option(
        "--escrow",
        envvar="SECONDSITE_ESCROW",
        metavar="FOLDER",
        type=click.Path(path_type=Path, file_okay=False),
        show_default="those in COPY",
        help="The packages of escrow, as they lie beside COPY in ESTATE.escrow.",
    )
    return folder(holder_option(command))


def _say_who(opened_by: tuple[str, ...]) -> None:
    if opened_by:
        say(f"escrow was opened by {' and '.join(opened_by)}; everything is sealed for a new engine")


@click.command()
@click.argument("copy", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--from", "origin", metavar="SITE", required=True, help="The site that the old controller was lost with.")
@click.option("--to", "target", metavar="SITE", required=True, help="The site where this one goes on.")
@_escrow_options
@estate_option
@click.option("--yes", is_flag=True, help="Do not ask (needed on a real estate without a terminal).")
@json_option
def takeover(  # noqa: PLR0913  all that is asked for
    *, copy: Path, origin: str, target: str, escrow: Path | None, holder: tuple[Path, ...], estate: Path, yes: bool,
    as_json: bool,
) -> int:  # fmt: skip
    """Go on from COPY, which a standby host kept of another controller's state, and let that controller act no more.

    COPY lies on each host of the group `standby`, in /var/lib/secondsite-standby. The state directory must be a new
    one (SECONDSITE_STATE). Nothing in COPY opens by itself: two holders of escrow bring their keys, unless this
    controller has an identity of its own that is named among the recipients. Two persons consent; then every host
    outside the lost site refuses the old controller's keys and ends its sessions; then the run that was open goes on.
    What the copy does not tell of it is looked at first.
    """
    from .. import app  # noqa: PLC0415  what the app imports takes longer than --help may
    from ..app.takeover import lay_out  # noqa: PLC0415
    from ..plan.load import load_plan  # noqa: PLC0415

    loaded = app.estate(estate)
    plan = load_plan("takeover", directory=app.RUNBOOKS, root=app.PROJECT, estate=loaded, origin=origin, target=target)
    ask_first(loaded, f"take over what was lost with {origin}", yes=yes)
    laid_out = lay_out(loaded, copy, escrow=escrow, holders=holder)
    store, open_runs = laid_out.store, laid_out.open_runs
    _say_who(laid_out.opened_by)
    say(f"open in the copy: {', '.join(open_runs) or 'no run'}")
    stop = Stop()
    with stop.on_signals(), store.session(purpose="takeover") as session:
        with app.crew(loaded, (Teller(as_json),), say=say) as crew:
            folder = session.begin(plan)
            say(f"run {folder.id} of plan {plan.digest[:12]}")
            result = session.start(folder, crew, stop=stop)
        if result.state is not RunState.DONE or len(open_runs) != 1:
            return finish(result, as_json=as_json)
        say(f"the old controller may act no more; {open_runs[0]} goes on")
        with app.crew(loaded, (Teller(as_json),), say=say) as crew:
            result = session.resume(store.folders.find(open_runs[0]), crew, stop=stop)
    return finish(result, as_json=as_json)


@click.command()
@click.argument("copy", type=click.Path(path_type=Path, dir_okay=False))
@_escrow_options
@estate_option
def recover(*, copy: Path, escrow: Path | None, holder: tuple[Path, ...], estate: Path) -> int:
    """Lay out COPY, which the vault kept of a controller's state, as this controller's own. No host is touched.

    For the worst day: the controller is gone, and both datacenters with it. COPY lies in /var/lib/secondsite-standby at
    the vault; whoever stands there brings it. The state directory must be a new one (SECONDSITE_STATE). Two holders of
    escrow bring their keys: with them everything is sealed for a new engine here, the keys of the sites' authorities
    too. The keys of the old controller are noted as revoked: whatever is provisioned from here refuses them.
    """
    from .. import app  # noqa: PLC0415  what the app imports takes longer than --help may
    from ..app.takeover import lay_out  # noqa: PLC0415

    laid_out = lay_out(app.estate(estate), copy, escrow=escrow, holders=holder, recall=True)
    store, open_runs = laid_out.store, laid_out.open_runs
    _say_who(laid_out.opened_by)
    last = max((one.folder.id for one in store.summaries()), default="none")
    say(f"laid out in {store.state}; the newest run in the copy: {last}")
    if open_runs:
        say(f"open in the copy: {', '.join(open_runs)}; secondsite runs abort RUN gives one up, before another begins")
    say("next: secondsite run cold_restart --from SITE --to SITE")
    return 0
