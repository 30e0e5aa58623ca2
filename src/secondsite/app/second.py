"""Another controller: in a process and with a state of its own, for a drill in which the first one is lost."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import SecondsiteError
from ..estate.model import Estate
from ..lab.model import LabSettings
from ..store.clock import SystemClock
from ..store.runs import RunStore
from .bench import lab_persons
from .places import PROJECT

ANSWERS_WITHIN = dt.timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """Another controller: its state, and how it is called. It finds hosts by what whoever delivers them says."""

    state: Path
    environment: Mapping[str, str]

    def argv(self, *words: str) -> list[str]:
        """Return the command line of one command of its."""
        return [sys.executable, "-m", "secondsite", *words]

    def go(self, *words: str) -> str:
        """Carry one command out, and return what it printed.

        Raises:
            SecondsiteError: it ended otherwise than with 0; its own words are told.
        """
        try:
            done = subprocess.run(
                self.argv(*words),
                env=dict(self.environment),
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=ANSWERS_WITHIN.total_seconds(),
            )
        except subprocess.TimeoutExpired as error:
            raise SecondsiteError(f"the second controller: {words[0]} did not end in {ANSWERS_WITHIN}") from error
        if done.returncode != 0:
            said = " ".join((done.stderr or done.stdout).split())[-600:]
            raise SecondsiteError(f"the second controller: {words[0]} ended with exit code {done.returncode}: {said}")
        return done.stdout

    def store(self) -> RunStore:
        """Return its runs."""
        return RunStore(self.state, root=PROJECT, clock=SystemClock())


def second_controller(estate: Estate, lab: LabSettings, *, folder: Path) -> Second:
    """Return a controller that has nothing yet, beside the drill's records."""
    state = folder / "second-controller"
    at = lab.home
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SECONDSITE_")}
    return Second(
        state=state,
        environment={
            **kept,
            "PYTHONPATH": str(PROJECT / "src"),
            "SECONDSITE_STATE": str(state),
            "SECONDSITE_LAB": lab.instance,
            "SECONDSITE_CACHE": str(lab.cache),
            "SECONDSITE_ESTATE": estate.directory,
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
