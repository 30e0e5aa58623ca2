"""The one door to time."""

from __future__ import annotations

import datetime as dt
import time


class SystemClock:
    """The machine's clocks: monotonic seconds for intervals, aware UTC for people."""

    def monotonic(self) -> float:
        """Seconds on the machine's monotonic clock."""
        return time.monotonic()

    def now(self) -> dt.datetime:
        """Aware UTC."""
        return dt.datetime.now(dt.UTC)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)
