"""Steps after data came back from before: nobody who was erased since may come back with it."""

from __future__ import annotations

from collections.abc import Sequence

from ..estate.model import Estate, Host, SiteKind
from .builder import PlanBuilder, call, seconds
from .model import Command

GROUP = "erasures"


def replay_erasures(estate: Estate, plan: PlanBuilder, *, after: Sequence[str]) -> tuple[str, ...]:
    """Apply the ledger at the target again, and prove absence there; return what opening has to wait for.

    The last step is ``prove-erasures``. An estate whose hosts keep no ledger has no such steps.
    """
    source = _keeper_apart(estate)
    books = [one for one in estate.workloads.values() if not one.takes_markers and not one.is_control_arm]
    if source is None or not books or plan.target is None:
        return ()
    database = str(books[0].members[plan.target])
    stores = sorted({str(one.members[plan.target]) for one in estate.workloads.values() if one.takes_markers})
    plan.step(
        "replay-erasures",
        title=f"Erase, hold and revoke again what the ledger at {source.name} says",
        call=call("replay-erasures", host=database, source=str(source.name)),
        hosts=(database,),
        after=tuple(after),
        repeatable=True,
        timeout=seconds(600),
        expected=seconds(2),
        destroys=(database,),
        commands=(
            Command(host=database, text=f"sudo accountctl replay --from {source.name}", good=(('*"applied": *',),)),
        ),
    )
    plan.step(
        "prove-erasures",
        title="Prove that nobody who was erased is in database, keys or files",
        call=call("prove-erasures", host=database, stores=stores),
        hosts=(database, *stores),
        after=("replay-erasures",),
        reads_only=True,
        timeout=seconds(120),
        expected=seconds(5),
        commands=(
            Command(host=database, text="sudo accountctl audit", good=(('*"present": []*',),)),
            *(Command(host=one, text="sudo storectl erased", good=(('*"erased": []*',),)) for one in stores),
        ),
    )
    return ("prove-erasures",)


def _keeper_apart(estate: Estate) -> Host | None:
    """Return the keeper that outlives both datacenters: no erasure is acknowledged that it does not have."""
    kept = [host for host in estate.hosts.values() if GROUP in host.groups]
    return next((host for host in kept if estate.sites[host.site].kind is SiteKind.VAULT), None)
