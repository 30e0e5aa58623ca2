"""The walk through a printed procedure, as a program beside the engine: it has a page, ssh, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .processes import end_group, scrubbed_environment

_CODES = {0: "done", 3: "failed"}


@dataclass(kw_only=True)
class PrintedWalk:
    """One walk. ``persons`` are the names under which consent is written down; ``mark`` marks it as a child of ours."""

    script: Path
    page: Path
    ssh_config: Path
    persons: Sequence[str]
    mark: tuple[str, str]
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def events(self) -> Iterator[Mapping[str, object]]:
        """Walk, and yield what happened as it happens; what is no event of the walk is left out."""
        argv = [sys.executable, "-I", str(self.script), str(self.page), "--ssh-config", str(self.ssh_config)]
        argv += [word for person in self.persons for word in ("--consent", person)]
        self._process = subprocess.Popen(
            [*argv, "--log", "-"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=scrubbed_environment(**dict([self.mark])),
            start_new_session=True,
        )
        told = self._process.stdout
        if told is None:
            return
        with told:
            for line in told:
                found = _object(line)
                if "event" in found:
                    yield found

    def ended(self) -> str:
        """Return done, failed, or unknown when it ended as nobody said it would."""
        return _CODES.get(self._process.wait() if self._process is not None else -1, "unknown")

    def stop(self) -> None:
        """End it at once: what it typed last may still happen."""
        if self._process is not None and self._process.poll() is None:
            end_group(self._process)


def _object(line: bytes) -> Mapping[str, object]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
