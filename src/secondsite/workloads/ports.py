"""What every kind of workload can do: one port, one adapter per kind."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Protocol

from .model import Lag, Lease, Role


class WorkloadAdapter(Protocol):
    """Verbs on one workload. Nodes are host names; an unknown state raises, it is never *no*."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """Every host that can hold the workload."""
        ...

    @property
    def loses_nothing(self) -> bool:
        """Say whether a promotion must find the new node in sync."""
        ...

    def lease(self, *, avoiding: Sequence[str] = ()) -> Lease:
        """Read who may write and who is in sync, from a voter that isn't on one of the hosts to avoid.

        Raises:
            Unreachable: no such voter answers with a quorum behind it.
        """
        ...

    def role(self, node: str) -> Role:
        """Read what the node is.

        Raises:
            MeasurementError: it can't be told.
        """
        ...

    def lag(self, node: str, *, leader: str) -> Lag:
        """Measure how far the node's copy is behind.

        Raises:
            MeasurementError: it can't be told.
        """
        ...

    def is_writable(self, node: str) -> bool:
        """Try a write and take it back; False means that it was refused, or that nothing runs there.

        Raises:
            MeasurementError: neither.
        """
        ...

    def lacks(self, node: str, *, avoiding: str) -> str:
        """Say what is known of the writes that a copy lacks, when its leader on the host to avoid can't be asked.

        Raises:
            Unreachable: nobody can be asked.
            MeasurementError: what was answered makes no sense.
        """
        ...

    def get_ready_to_promote(self, *, old: str, new: str) -> None:
        """Start ahead what ``promote`` will need and what changes nothing before it is fed; it may never be."""
        ...

    def promote(self, *, old: str, new: str) -> None:
        """Take the lease from ``old`` and give it to ``new``; return when ``new`` accepts a write.

        Raises:
            ActionError: somebody else holds the lease; nothing was changed.
            ActionTimeout: the lease moved, and ``new`` accepted no write in time.
        """
        ...

    def demote(self, old: str, *, successor: str) -> None:
        """Make the healthy primary hand everything over to its successor; return when that accepts a write.

        Raises:
            ActionError: it was refused; nothing was changed.
            ActionTimeout: it was handed over, and the successor accepted no write in time.
        """
        ...

    def rejoin(self, node: str, *, leader: str) -> None:
        """Make the node's copy one of the leader's, whatever it held before; return when it follows.

        Raises:
            ActionError: it was refused; the copy is the old one.
        """
        ...

    def catch_up(self, node: str, *, leader: str, within: dt.timedelta) -> None:
        """Return when the node holds everything, and is recorded as in sync where that is kept.

        Raises:
            ActionTimeout: it did not in time.
        """
        ...

    def verify(self, node: str, *, within: dt.timedelta) -> None:
        """Use the workload at its primary until that works: a moment without an answer from the quorum is no failure.

        Raises:
            ActionError: it could not be used in that time.
        """
        ...

    def writers(self) -> tuple[str, ...]:
        """Name every node that accepts a write now. A node that can't be asked raises: unknown is not *none*."""
        ...

    def ids(self, node: str) -> tuple[str, ...]:
        """Read every id that a drill may have written, on one node.

        Raises:
            MeasurementError: they could not be read whole.
        """
        ...
