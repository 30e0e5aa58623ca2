"""Who one run works with, desks included."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from ..estate.model import Estate
from ..run.ports import Observer
from ..store.runs import Crew
from .bench import open_bench, run_store
from .desks import Desks, desks_of
from .standby import Standby


@contextlib.contextmanager
def crew(
    estate: Estate, observers: tuple[Observer, ...] = (), *, say: Callable[[str], None], by: str = ""
) -> Iterator[Crew]:
    """Get ready for one run. ``say`` is told of answers that came from a desk; ``by`` is who begins it."""
    with open_bench(estate, by=by) as bench:
        desks = Desks(
            store=run_store(estate),
            approvers=bench.approvers,
            hands=bench.runner,
            desks=desks_of(estate),
            say=say,
        )
        standby = Standby(estate=estate, store=run_store(estate), hands=bench.hands, say=say)
        try:
            yield bench.crew(*observers, desks, standby)
        finally:
            desks.stop()
            standby.stop()
