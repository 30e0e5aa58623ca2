"""Go on where another controller was lost: lay out the copy of its state, opened by two holders of escrow."""

from __future__ import annotations

import getpass
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from ..estate.model import Estate
from ..hands.age import Safe, read_identity, recipient_of
from ..hands.authorities import sealed_name
from ..hands.escrow import FOLDER, Opened, begin_anew, open_packages
from ..hands.keepers import authorities_of, certified_sites
from ..hands.keys import disown
from ..run.model import RunState
from ..store.clock import SystemClock
from ..store.openings import Opening, note
from ..store.runs import JOURNAL_NAME, RunStore
from ..store.standby import SECRETS, unpack
from .bench import run_store
from .places import safe_of, state_path

_NOT_DONE = "nothing was laid out"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaidOut:
    """A state that was laid out, which of its runs are open, and the holders who opened escrow for it, if any did."""

    store: RunStore
    open_runs: tuple[str, ...]
    opened_by: tuple[str, ...] = ()


def lay_out(
    estate: Estate, copy: Path, *, escrow: Path | None = None, holders: Sequence[Path] = (), recall: bool = False
) -> LaidOut:
    """Lay a copy out as this controller's own state, sealed for a new engine, and say which runs in it are open.

    Nothing in a copy opens by itself. Two holders open escrow with their keys (``holders``) and its packages
    (``escrow``, else those in the copy); an engine whose identity is here and named among the recipients needs nobody.
    With ``recall`` the engine can open what is for escrow alone as well: for when who kept the sites' keys is gone.

    The keys of the old controller are noted as revoked; whoever logs in from here has new ones. Every open run is
    marked as taken over: what is not recorded of it is looked at before it is done, and nothing of it is done before
    the old controller is fenced (runbook ``takeover``).

    Raises:
        UsageError: this controller has a state of its own, the copy is none, or escrow was not opened; nothing was laid
            out.
    """
    state = state_path(estate)
    if (state / JOURNAL_NAME).exists():
        raise UsageError(
            f"{state} has a journal already: a controller that has its own state takes nothing over",
            not_done=_NOT_DONE,
            next_step="secondsite runs resume; or name an empty state directory in SECONDSITE_STATE",
        )
    staged = state.with_name(f".{state.name}.laying-out")
    shutil.rmtree(staged, ignore_errors=True)
    try:
        unpack(copy, staged)
        opened_by = _open(estate, staged, copy=copy, escrow=escrow, holders=holders, recall=recall)
        _put_in_place(staged, state)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    disown(state / "keys")
    store = run_store(estate)
    open_runs = [one.folder for one in store.summaries() if one.state in {RunState.OPEN, RunState.INTERRUPTED}]
    for folder in open_runs:
        store.mark_taken_over(folder, who=getpass.getuser(), opened_by=opened_by)
    return LaidOut(store=store, open_runs=tuple(folder.id for folder in open_runs), opened_by=opened_by)


def _open(
    estate: Estate, staged: Path, *, copy: Path, escrow: Path | None, holders: Sequence[Path], recall: bool
) -> tuple[str, ...]:
    """Seal what came with the copy for the engine here; return who opened it."""
    safe = _safe_in(estate, staged)
    if not holders:
        _require_own_identity(safe)
        return ()
    packages = escrow or staged / SECRETS / FOLDER
    opened = open_packages(packages, holders)
    authorities = authorities_of(estate, safe)
    kept = [one for site in certified_sites(estate) for one in authorities.believed(site)] if recall else []
    can_open = begin_anew(
        safe.directory, identity=safe.identity, escrow=opened.identity, recall=[sealed_name(one) for one in kept]
    )
    note(staged, _opening(opened, source=f"{packages}, to go on from {copy}", names=can_open))
    return opened.holders


def _safe_in(estate: Estate, staged: Path) -> Safe:
    """Return the safe as the new controller will have it: what lies in its state is still in the copy."""
    state, safe = state_path(estate), safe_of(estate)
    identity = staged / safe.identity.relative_to(state) if safe.identity.is_relative_to(state) else safe.identity
    if safe.directory.is_relative_to(state):
        return Safe(directory=staged / SECRETS, identity=identity)
    if not safe.directory.exists():  # the estate's files came without what is sealed: take what the vault kept
        shutil.copytree(staged / SECRETS, safe.directory)
    return Safe(directory=safe.directory, identity=safe.identity if safe.identity.exists() else identity)


def _require_own_identity(safe: Safe) -> None:
    """Pass when an identity that is here opens what is sealed, as a standby controller's own does.

    Raises:
        UsageError: none does, so two holders are needed.
    """
    named = safe.recipients().values()
    if not safe.identity.exists() or recipient_of(read_identity(safe.identity)) not in named:
        raise UsageError(
            "nothing in the copy opens by itself, and no identity here is one of those it is sealed for",
            not_done=_NOT_DONE,
            next_step="have two holders of escrow bring their keys: --holder FILE --holder FILE",
        )


def _opening(opened: Opened, *, source: str, names: Sequence[str]) -> Opening:
    return Opening(
        at=SystemClock().now().isoformat(timespec="seconds"),
        purpose="another controller",
        holders=opened.holders,
        pairs=(opened.holders,),
        manifest=opened.manifest.digest,
        source=source,
        opened=tuple(names),
    )


def _put_in_place(staged: Path, state: Path) -> None:
    """Make what was laid out the state, the journal last: a state without one is laid out again."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in sorted(staged.iterdir(), key=lambda one: one.name == JOURNAL_NAME):
        there = state / path.name
        if there.is_dir():
            shutil.rmtree(there)
        path.replace(there)
    state.chmod(0o700)
