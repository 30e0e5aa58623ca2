"""Tells: troubles become pages, pages are sent by every way until each took them, heartbeats go out, and who is silent is told.

A test page that is asked for (a file in RUN/asked) goes the same way, and is not tried for longer than a minute.
"""

from __future__ import annotations

import http.client
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from . import disk, rules, ways
from .door import Door
from .heard import Heard
from .look import boottime
from .settings import IDENTIFIER, RUN, STATE, WAYS, Place, Settings
from .spool import Spool

TICK_S = 1.0
IDLE_S = 3.0
AGAIN_S, AGAIN_MOST_S = 2.0, 30.0
TEST_FOR_S = 60.0
STATE_EVERY_S = 2.0


def say(text: str) -> None:
    """Leave a line in the journal."""
    print(text, file=sys.stderr, flush=True)


class Teller:
    """What one host tells others and a person."""

    def __init__(self, settings: Settings, *, state: Path = STATE, run: Path = RUN) -> None:
        self.settings, self.state, self.run = settings, state, run
        self.spool = Spool(state)
        known = {key: rules.Open(**one) for key, one in (disk.read(state / "open.json") or {}).items()}
        self.opened = {key: replace(one, seen_at=time.time()) for key, one in known.items()}
        self.heard = Heard(state / "heard.json", settings.awaits, silent=frozenset(self.opened))
        self.failing: dict[str, str] = {}
        self.look: dict[str, Any] = {}
        self.began = boottime()
        self.beats = [threading.Event() for _ in settings.tells]
        self.new = {way: threading.Event() for way in WAYS}
        (run / "asked").mkdir(parents=True, exist_ok=True)

    # Troubles

    def troubles(self) -> dict[str, str]:
        """Return everything that is wrong: as seen when this host was looked at last, that it was not, and who is silent."""
        found = dict(self.look.get("troubles", {}))
        ago = boottime() - self.look.get("at", self.began)
        if ago > 3 * self.settings.look_s + 5:
            found["watch"] = "nobody looks at this host any more: its watcher does not run"
        if self.settings.awaits:
            relays = sorted(one.name for one in self.settings.relays)
            turn = relays.index(self.settings.host) if self.settings.host in relays else 0
            ages, told_by = self.heard.ages(self.settings.awaits), self.heard.paged()
            found |= rules.silences(ages, told_by, own=list(self.opened), turn=turn, silence_s=self.settings.silence_s)
        return found

    def fold(self) -> None:
        """Make pages of what is due, and remember what is open. A page lies on disk before anything is remembered of it."""
        after, pages = rules.folded(
            self.opened, self.troubles(), host=self.settings.host, now=time.time(), repeat_s=self.settings.repeat_s
        )
        for page in pages:
            say(f"{page.kind}: {page.text} ({page.id})")
            self.put(page)
        if pages or after.keys() != self.opened.keys():
            open_now = {key: asdict(one) for key, one in after.items()}
            self.write("what is open", lambda: disk.place(self.state / "open.json", open_now, durable=True))
        self.opened = after

    def write(self, what: str, work: Callable[[], None]) -> None:
        """Write something down; a disk that takes nothing more keeps nobody from being told."""
        try:
            work()
            self.failing.pop(f"writing {what}", None)
        except OSError as error:
            self.failing[f"writing {what}"] = str(error)

    def take_asked(self) -> None:
        """Send a test page for each that was asked for."""
        for path in (self.run / "asked").glob("[!.]*"):
            path.unlink()
            if IDENTIFIER.fullmatch(path.name):
                page = rules.page_of(
                    "test", self.settings.host, "test", "this is a test", since=time.time(), at=time.time()
                )
                self.put(replace(page, id=path.name))

    def put(self, page: rules.Page) -> None:
        """Keep a page until every way took it, and have them try at once."""
        self.spool.put(page)
        for new in self.new.values():
            new.set()

    # Sending

    def send_for_ever(self, way: str) -> None:
        """Have one way take whatever waits for it; the other way is somebody else's."""
        again: dict[str, tuple[float, float]] = {}
        while True:
            self.send_due(way, again)
            self.new[way].wait(TICK_S if again else IDLE_S)  # a relay puts what others ask of it beside, unheard
            self.new[way].clear()

    def send_due(self, way: str, again: dict[str, tuple[float, float]]) -> None:
        """Try every page that is due, newest last; one that was not taken waits longer each time."""
        waiting = [page for page in self.spool.pending() if way not in page["delivered"]]
        for page in waiting:
            name = page["id"]
            due, pause = again.get(name, (0.0, AGAIN_S))
            if page["kind"] == "test" and time.time() - page["at"] > TEST_FOR_S:
                self.spool.drop(name)
            elif boottime() >= due:
                try:
                    through = ways.deliver(self.settings, way, page)
                except ways.NotTaken as error:
                    self.failing[way] = str(error)
                    again[name] = (boottime() + pause, min(2 * pause, AGAIN_MOST_S))
                    say(f"{name} was not taken by {way}: {error}")
                    continue
                self.failing.pop(way, None)
                self.spool.mark(name, way, at=time.time())
                if page["kind"] != "test":
                    say(f"{name} was taken by {way} from {through}")
        for name in again.keys() - {page["id"] for page in waiting}:
            del again[name]

    def beat_for_ever(self, place: Place, due: threading.Event) -> None:
        """Tell one other host that this one is alive, and what it claims, over a connection that is kept."""
        line: ways.Line | None = None
        while True:
            due.wait(self.settings.look_s)
            due.clear()
            was_kept = line is not None
            line = self.beat(place, line)
            if line is None and was_kept:  # the other one was begun again meanwhile
                line = self.beat(place, None)

    def beat(self, place: Place, line: ways.Line | None) -> ways.Line | None:
        """Send one heartbeat; return the connection where it can be used again."""
        try:
            line = line or ways.Line(place, self.settings.tls)
            line.ask("/heartbeat", self.heartbeat())
        except (ways.NotTaken, OSError, http.client.HTTPException, ValueError) as error:
            self.failing[f"heartbeat to {place.name}"] = f"{type(error).__name__}: {error}"[:200]
            if line is not None:
                line.close()
            return None
        self.failing.pop(f"heartbeat to {place.name}", None)
        return line

    def heartbeat(self) -> dict[str, Any]:
        """Return what others are told."""
        paged = [
            key for key, one in self.opened.items() if key.startswith(rules.SILENT) and self.spool.was_told(one.page)
        ]
        return {"claims": self.look.get("claims"), "paged": paged}

    # All of it

    def tick(self) -> None:
        """Do once what is done for ever."""
        seen = disk.read(self.run / "look.json")
        if seen is not None and seen["at"] != self.look.get("at"):
            self.look = seen
            for due in self.beats:
                due.set()
        self.take_asked()
        self.fold()
        self.write("what was heard", self.heard.save)

    def tell_state(self) -> None:
        """Leave for the check what is going on here."""
        waiting = [page for page in self.spool.pending() if page["kind"] != "test"]
        told = {
            "at": boottime(),
            "open": {key: one.text for key, one in self.opened.items()},
            "waiting": len(waiting),
            "waiting_since": min((page["at"] for page in waiting), default=None),
            "failing": dict(self.failing),
            "ages": self.heard.ages(self.settings.awaits),
        }
        disk.place(self.run / "tell.json", told)


def for_ever(name: str, work: Callable[[], None]) -> None:
    """Run a thread that must not end; where it does, the whole process does, and is begun again."""

    def guarded() -> None:
        try:
            work()
        finally:
            say(f"{name} came to an end")
            sys.stderr.flush()
            os._exit(1)

    threading.Thread(target=guarded, name=name, daemon=True).start()


def main(settings: Settings) -> None:
    """Tell for ever."""
    teller = Teller(settings)
    if settings.listens is not None:
        for_ever("the door", Door(settings, teller.heard, state=teller.state).serve_forever)
    for way in WAYS:
        for_ever(way, lambda way=way: teller.send_for_ever(way))
    for place, due in zip(settings.tells, teller.beats, strict=True):
        for_ever(f"heartbeat to {place.name}", lambda place=place, due=due: teller.beat_for_ever(place, due))
    told_at = float("-inf")
    while True:
        teller.tick()
        if boottime() - told_at >= STATE_EVERY_S:
            teller.tell_state()
            told_at = boottime()
        time.sleep(TICK_S)
