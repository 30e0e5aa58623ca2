"""Go on where another controller was lost with its site: lay out the copy of its state, and let it act no more."""

from __future__ import annotations

import getpass
from pathlib import Path

from ..estate.model import Estate
from ..hands.keys import disown
from ..run.model import RunState
from ..store.runs import RunStore
from ..store.standby import unpack
from .bench import run_store
from .places import state_path


def lay_out(estate: Estate, copy: Path) -> tuple[RunStore, tuple[str, ...]]:
    """Lay a copy out as this controller's own state, and return which runs in it are open.

    The keys of the old controller are noted as revoked; whoever logs in from here has new ones. Every open run is
    marked as taken over: what is not recorded of it is looked at before it is done, and nothing of it is done before
    the old controller is fenced (runbook ``takeover``).

    Raises:
        UsageError: this controller has a state of its own, or the copy is none; nothing was laid out.
    """
    state = state_path(estate)
    unpack(copy, state)
    disown(state / "keys")
    store = run_store(estate)
    open_runs = [one.folder for one in store.summaries() if one.state in {RunState.OPEN, RunState.INTERRUPTED}]
    for folder in open_runs:
        store.mark_taken_over(folder, who=getpass.getuser())
    return store, tuple(folder.id for folder in open_runs)
