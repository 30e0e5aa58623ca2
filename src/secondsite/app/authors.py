"""Sign a runbook, as a person with a key."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import UsageError
from ..estate.model import Estate, SiteKind
from ..plan.load import load_plan, load_runbook
from ..plan.model import Plan
from ..run.model import Authorship
from ..run.roles import version_of
from ..store.clock import SystemClock
from .bench import lab_persons, signed_runbooks, ssh_agent
from .places import PROJECT, RUNBOOKS, lab_of


def sign_runbook(estate: Estate, runbook: str, *, who: str, key: Path | None) -> Sequence[Authorship]:
    """Sign the version of a runbook that there is now, in every direction, and return what somebody answers for now.

    Raises:
        UsageError: there is no such runbook, or no key to sign with; nothing was signed.
        Refused: somebody answers for that version already, or this person may not with this key; nothing was kept.
    """
    if key is None:
        if lab_of(estate) is None:
            raise UsageError("which key is yours?", not_done="nothing was signed", next_step="name it with --key FILE")
        key = lab_persons(estate) / Path(who).name
    authors, at = signed_runbooks(estate), SystemClock().now().isoformat(timespec="seconds")
    versions = {version_of(plan): plan for plan in _plans(estate, runbook)}
    return [authors.sign(plan, who=who, at=at, key=key, agent=ssh_agent()) for plan in versions.values()]


def _plans(estate: Estate, runbook: str) -> Iterator[Plan]:
    """Yield the plan in every direction that a runbook can have here: they may use different files."""
    directions: list[tuple[str | None, str | None]] = [(None, None)]
    if load_runbook(runbook, directory=RUNBOOKS).intent.has_direction:
        sites = [str(name) for name, site in estate.sites.items() if site.kind is SiteKind.DATACENTER]
        directions = list(itertools.permutations(sites, 2))
    for origin, target in directions:
        yield load_plan(runbook, directory=RUNBOOKS, root=PROJECT, estate=estate, origin=origin, target=target)
