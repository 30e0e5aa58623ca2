"""Asking a run to stop: by a signal, or by whoever holds the switch."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

_SIGNALLED = 128
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """A switch that is thrown once; the first reason counts."""

    def __init__(self) -> None:
        """Begin not stopped."""
        self._event = threading.Event()
        self.exit_code = 0
        self.hurry = False

    def ask(self, *, exit_code: int) -> None:
        """Start no further step. Asked a second time, wait for nothing either."""
        if self._event.is_set():
            self.hurry = True
            return
        self.exit_code = exit_code
        self._event.set()

    def asked(self) -> bool:
        """Say whether the run is to stop."""
        return self._event.is_set()

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[Stop]:
        """While inside, SIGINT, SIGTERM and SIGHUP throw this switch; only the main thread may call it.

        A signal that whoever started us had us ignore, as nohup(1) does with SIGHUP, stays ignored.
        """
        before = {number: signal.getsignal(number) for number in SIGNALS}
        before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
        for number in before:
            signal.signal(number, lambda caught, _frame: self.ask(exit_code=_SIGNALLED + caught))
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
