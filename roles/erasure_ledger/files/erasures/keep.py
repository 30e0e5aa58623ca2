"""A keeper: answers at its door, and takes over from the other keepers whatever it does not have."""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from . import calls, disk, rules
from .calls import Line, Refused
from .disk import Shelf
from .door import Door
from .rules import Wrong
from .settings import Keeper, Settings

EVERY_S = 10.0
KEYS_EVERY = 2
TOLD = Path("/run/secondsite-erasures/gathered.json")


class Gathering:
    """Brings here what another keeper has. One whose chain went back or was replaced is not followed any more."""

    def __init__(self, shelf: Shelf, keeper: Keeper, settings: Settings) -> None:
        self._shelf, self._keeper, self._settings = shelf, keeper, settings
        self._turn = 0
        self.name = keeper.name
        self.trouble = ""
        self.gathered_at: float | None = None

    def for_ever(self) -> None:
        """Gather again and again."""
        while True:
            self.once()
            time.sleep(EVERY_S)

    def once(self) -> None:
        """Gather what is new there; whatever is wrong is said, once, and tried again."""
        line = Line(self._keeper, self._settings.tls)
        try:
            self._records(line)
            if self._turn % KEYS_EVERY == 0:
                self._keys(line)
            self._turn += 1
            self.gathered_at = time.clock_gettime(time.CLOCK_BOOTTIME)
            why = ""
        except (Refused, OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
            why = str(error) or type(error).__name__
        finally:
            line.close()
        if why != self.trouble:
            said = {"event": "not gathered" if why else "gathered again", "from": self._keeper.name, "why": why}
            print(json.dumps(said), file=sys.stderr, flush=True)
            self.trouble = why

    def _records(self, line: Line) -> None:
        name = self._keeper.name
        before = self._shelf.seen(name)
        about = line.ask("/records", {"after": 0, "most": 0})
        if before is not None and before["keeper"] != about["keeper"]:
            print(
                json.dumps({"event": "began anew", "from": name, "had": before["number"]}), file=sys.stderr, flush=True
            )
            before = None
        if before is None:
            before = {"keeper": about["keeper"], "number": 0, "head": ""}
        for reason in rules.reasons_to_distrust(before, about) if before["number"] else ():
            raise Wrong(reason)
        found, now = calls.records_after(line, number=before["number"], head=before["head"], keeper=before["keeper"])
        self._shelf.add((record.entry for record in found), now=time.time())
        if now != self._shelf.seen(name):
            self._shelf.saw(name, now)

    def _keys(self, line: Line) -> None:
        here = set(self._shelf.kept_keys())
        there = {(str(subject), str(key)) for subject, key in line.ask("/kept-keys", {})["keys"]}
        for subject in sorted({subject for subject, _ in there - here}):
            if self._shelf.is_erased(subject):
                continue
            try:
                for key in line.ask("/keys", {"subject": subject})["keys"]:
                    self._shelf.add_key(key)
            except Refused as gone:  # erased there a moment ago: the next records say so
                if gone.code != 410:
                    raise


def tell(gatherings: Sequence[Gathering], place: Path = TOLD) -> None:
    """Write down for ever how it goes with each other keeper, by a clock that nobody sets; checks read it."""
    while True:
        told = {one.name: {"at": one.gathered_at, "trouble": one.trouble} for one in gatherings}
        part = place.with_suffix(".part")
        part.write_text(json.dumps(told, sort_keys=True))
        part.chmod(0o644)
        part.replace(place)
        time.sleep(EVERY_S)


def main(settings: Settings) -> None:
    """Keep the ledger for ever."""
    shelf = Shelf(disk.STATE)
    gatherings = [Gathering(shelf, keeper, settings) for keeper in settings.others]
    door = Door(settings, shelf)
    for one in gatherings:
        threading.Thread(target=one.for_ever, daemon=True).start()
    threading.Thread(target=tell, args=(gatherings,), daemon=True).start()
    door.serve_forever()
