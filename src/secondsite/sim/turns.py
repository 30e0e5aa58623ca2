"""Threads that take turns: one goes on at a time, and chance, from a seed, says which.

A schedule is the list of those decisions. Two runs of the same program with the same seed have the same schedule, so
what goes wrong in one of ten thousand can be looked at again.
"""

from __future__ import annotations

import queue
import random  # noqa: TID251  what is given is seeded
import threading
from collections import deque
from collections.abc import Callable

Work = Callable[[], None]


class Turns:
    """Whose turn it is. The thread that makes it takes part, and has the first turn."""

    def __init__(self, chance: random.Random) -> None:
        """Begin with the calling thread alone."""
        self._chance = chance
        self._mine = threading.local()
        self._mine.turn = threading.Semaphore(0)
        self._waiting: list[threading.Semaphore] = []

    @property
    def others(self) -> int:
        """How many other threads have not come to their end."""
        return len(self._waiting)

    def begin(self, _name: str, work: Work) -> None:
        """Let work go on in a thread of its own, from when its turn comes."""
        turn = threading.Semaphore(0)

        def take_part() -> None:
            self._mine.turn = turn
            turn.acquire()
            try:
                work()
            finally:
                self._waiting.pop(self._chance.randrange(len(self._waiting))).release()

        thread = threading.Thread(target=take_part, daemon=True)
        self._waiting.append(turn)
        thread.start()

    def give_way(self) -> None:
        """Let chance say who goes on: this thread or one of the others."""
        chosen = self._chance.randrange(len(self._waiting) + 1)
        if chosen < len(self._waiting):
            self._let_go_on(chosen)

    def let_another_go_on(self) -> None:
        """Let one of the others go on, if there are any."""
        if self._waiting:
            self._let_go_on(self._chance.randrange(len(self._waiting)))

    def let_all_end(self) -> None:
        """Give turns away until this thread is the only one."""
        while self._waiting:
            self.let_another_go_on()

    def _let_go_on(self, chosen: int) -> None:
        mine: threading.Semaphore = self._mine.turn
        other, self._waiting[chosen] = self._waiting[chosen], mine
        other.release()
        mine.acquire()


class TurnsInbox:
    """What threads hand back to the one that drives. It waits by giving its turn away instead of by the clock."""

    def __init__(self, turns: Turns, *, on_wait: Callable[[], None]) -> None:
        """Begin empty. ``on_wait`` is called each time nobody has anything to hand back."""
        self._turns, self._on_wait = turns, on_wait
        self._kept: deque[Work] = deque()

    def put(self, work: Work) -> None:
        """Hand something back."""
        self._kept.append(work)

    def get(self, timeout: float) -> Work:
        """Return what was handed back first, or have waited for ``timeout``.

        Raises:
            queue.Empty: nothing was handed back.
        """
        del timeout
        if not self._kept:
            self._turns.let_another_go_on()
        if not self._kept:
            self._on_wait()
        return self.get_nowait()

    def get_nowait(self) -> Work:
        """Return what was handed back first.

        Raises:
            queue.Empty: nothing was.
        """
        if not self._kept:
            raise queue.Empty
        return self._kept.popleft()
