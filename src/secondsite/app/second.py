"""Another controller: rebuilt from the vault's kit, with a process and a state of its own, for a drill that loses one.

Its program, every package it runs on and the estate's files come from the vault. It asks no index and no cache of this
machine; what it finds here is an operating system with Python and an SSH client.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import SecondsiteError
from ..estate.model import Estate
from ..lab.model import LabSettings
from ..store.clock import SystemClock
from ..store.kit import FOLDER
from ..store.runs import RunStore
from .bench import lab_persons
from .kit import inside

ANSWERS_WITHIN = dt.timedelta(seconds=60)
_MADE_WITHIN = dt.timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """Another controller: its program, its state, and how it is called.

    It finds hosts by what whoever delivers them says.
    """

    program: Path
    state: Path
    environment: Mapping[str, str]

    def argv(self, *words: str) -> list[str]:
        """Return the command line of one command of its."""
        return [str(self.program / "secondsite"), *words]

    def make(self) -> None:
        """Make the environments it runs in, from nothing but what came with it.

        Raises:
            SecondsiteError: they can't be made.
        """
        self._carried_out([str(self.program / "requirements" / "prepare")], within=_MADE_WITHIN)

    def go(self, *words: str) -> str:
        """Carry one command out, and return what it printed.

        Raises:
            SecondsiteError: it ended otherwise than with 0; its own words are told.
        """
        return self._carried_out(self.argv(*words), within=ANSWERS_WITHIN)

    def _carried_out(self, argv: Sequence[str], *, within: dt.timedelta) -> str:
        what = Path(argv[0]).name if len(argv) == 1 else argv[1]
        try:
            done = subprocess.run(
                argv,
                env=dict(self.environment),
                cwd=self.program,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=within.total_seconds(),
            )
        except subprocess.TimeoutExpired as error:
            raise SecondsiteError(f"the second controller: {what} did not end in {within}") from error
        if done.returncode != 0:
            said = " ".join((done.stderr or done.stdout).split())[-600:]
            raise SecondsiteError(f"the second controller: {what} ended with exit code {done.returncode}: {said}")
        return done.stdout

    def store(self) -> RunStore:
        """Return its runs."""
        return RunStore(self.state, root=self.program, clock=SystemClock())


def second_controller(estate: Estate, lab: LabSettings, *, folder: Path) -> Second:
    """Return a controller that has nothing yet, beside the drill's records."""
    state = folder / "second-controller"
    laid_out = state.with_suffix(".program")
    at = lab.home
    ours = ("SECONDSITE_", "PYTHON", "PIP_", "UV_", "VIRTUAL_ENV")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    return Second(
        program=laid_out / FOLDER,
        state=state,
        environment={
            **kept,
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_CACHE_DIR": "1",
            "PIP_NO_INDEX": "1",
            "SECONDSITE_STATE": str(state),
            "SECONDSITE_LAB": lab.instance,
            "SECONDSITE_CACHE": str(state.with_suffix(".cache")),
            "SECONDSITE_ESTATE": str(laid_out / FOLDER / inside(estate)),
            "SECONDSITE_LAB_PERSONS": str(lab_persons(estate)),
            "SECONDSITE_KNOWN_HOSTS": str(at / "known_hosts"),
            "SECONDSITE_BOOTSTRAP_KEY": str(at / "keys" / "bootstrap_ed25519"),
        },
    )


@contextlib.contextmanager
def acting_as(second: Second) -> Iterator[None]:
    """Have this process find the second controller's state while a bench is opened with it."""
    names = [name for name in {*os.environ, *second.environment} if name.startswith("SECONDSITE_")]
    before = {name: os.environ.get(name) for name in names}
    os.environ.update({name: value for name, value in second.environment.items() if name in names})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
