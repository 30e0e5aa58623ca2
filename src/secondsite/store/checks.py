"""How the estate's checks came out when each was last made, kept in its state."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path

from ..checks.model import Result, State
from ..checks.readiness import Kept
from ..run.perform import store_lost

CHECKS_NAME = "checks.json"


class KeptChecks:
    """The newest result of every check of one estate."""

    def __init__(self, state: Path) -> None:
        """Touch nothing yet."""
        self._path = state / CHECKS_NAME

    def newest(self) -> Sequence[Kept]:
        """Return them; none when there are none, or when they can't be read: then nobody looked."""
        try:
            found = json.loads(self._path.read_text())["checks"]
            return tuple(
                Kept(
                    id=str(one["id"]),
                    state=next((state for state in State if state.value == one["state"]), State.UNKNOWN),
                    saw=str(one["saw"]),
                    hosts=tuple(str(host) for host in one["hosts"]),
                    at=dt.datetime.fromisoformat(one["at"]).astimezone(dt.UTC),
                )
                for one in found
            )
        except (OSError, ValueError, KeyError, TypeError):
            return ()

    def keep(self, results: Sequence[Result], *, at: dt.datetime, whole: bool) -> None:
        """Note how checks came out. Those that were not made stay as they were, unless these are all there are.

        Raises:
            JournalError: the state can't be written.
        """
        new = {
            one.check.id: Kept(id=one.check.id, state=one.state, saw=one.saw, hosts=tuple(map(str, one.hosts)), at=at)
            for one in results
        }
        before = {} if whole else {one.id: one for one in self.newest()}
        kept = [_document(one) for _, one in sorted({**before, **new}.items())]
        partial = self._path.with_name(f".{self._path.name}")
        try:
            partial.write_text(json.dumps({"schema_version": 1, "checks": kept}, indent=1) + "\n")
            partial.replace(self._path)
        except OSError as error:
            raise store_lost(error) from error


def _document(one: Kept) -> dict[str, object]:
    return {"id": one.id, "state": one.state.value, "saw": one.saw, "hosts": list(one.hosts), "at": one.at.isoformat()}
