"""Where a person watches a drill: a live panel on a terminal, plain lines everywhere else. Talk goes to stderr."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

from rich.console import Group
from rich.live import Live
from rich.padding import Padding
from rich.text import Text

from .terminal import clean, say, talk

_LINES_SHOWN = 14


class PlainView:
    """One line for each thing, with the seconds since the start."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Start the clock."""
        self._monotonic = monotonic
        self._began = monotonic()

    def __enter__(self) -> PlainView:
        """Nothing to prepare."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to take back."""

    def phase(self, title: str) -> None:
        """Begin a phase."""
        say(f"{self._elapsed()} == {title}")

    def say(self, line: str) -> None:
        """Say a line."""
        say(f"{self._elapsed()}    {line}")

    def _elapsed(self) -> str:
        return f"{self._monotonic() - self._began:7.1f}s"


class LiveView:
    """A panel that shows the phases gone by, the one under way, and its newest lines."""

    def __init__(self, monotonic: Callable[[], float], *, title: str) -> None:
        """Start the clock."""
        self._monotonic = monotonic
        self._began = monotonic()
        self._title = title
        self._phases: list[tuple[str, float, float | None]] = []
        self._lines: list[str] = []
        self._lock = threading.Lock()
        self._live = Live(console=talk(), get_renderable=self._render, refresh_per_second=8)

    def __enter__(self) -> LiveView:
        """Take the screen's lower part."""
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last picture standing."""
        with self._lock:
            self._end_phase()
        self._live.__exit__(kind, error, trace)

    def phase(self, title: str) -> None:
        """Begin a phase."""
        with self._lock:
            self._end_phase()
            self._phases.append((clean(title), self._monotonic(), None))
            self._lines.clear()

    def say(self, line: str) -> None:
        """Say a line."""
        with self._lock:
            self._lines.append(f"{self._monotonic() - self._began:6.1f}s  {clean(line)}")
            del self._lines[:-_LINES_SHOWN]

    def _end_phase(self) -> None:
        if self._phases and self._phases[-1][2] is None:
            title, began, _ = self._phases[-1]
            self._phases[-1] = (title, began, self._monotonic())

    def _render(self) -> Group:
        with self._lock:
            rows = [self._row(*phase) for phase in self._phases]
            lines = [
                Padding(Text(line, style="dim", overflow="ellipsis", no_wrap=True), (0, 4)) for line in self._lines
            ]
        head = Text(f"{self._title}   {self._monotonic() - self._began:.0f} s", style="bold")
        return Group(head, *rows, *lines)

    def _row(self, title: str, began: float, ended: float | None) -> Text:
        taken = (ended if ended is not None else self._monotonic()) - began
        mark, style = ("✔", "green") if ended is not None else ("▶", "bold cyan")
        return Text.assemble((f" {mark} ", style), (f"{title:<48}", style), (f"{taken:7.1f} s", "dim"))
