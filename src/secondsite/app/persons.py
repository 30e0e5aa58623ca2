"""The lab's persons: they come to a desk with their key, consent as anybody would there, and take the key along."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from ..drill.ports import View
from ..errors import SecondsiteError
from ..estate.model import SiteName
from ..hands.approvers import LAB_DEPUTIES
from .bench import Bench, lab_persons
from .desks import desks_of

_PLACE = "/run/secondsite-persons"
_BRING = (
    "import os, pathlib, sys; os.umask(0o077); place = pathlib.Path(sys.argv[1]); place.parent.mkdir(exist_ok=True);"
    " place.write_text(sys.stdin.read())"
)
_TAKE_ALONG = "import shutil, sys; shutil.rmtree(sys.argv[1], ignore_errors=True)"
_TIMEOUT = dt.timedelta(seconds=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabPersons:
    """Plays the lab's deputies."""

    bench: Bench
    view: View
    run: Callable[[], int]

    def consent(self, gate: str, *, at: SiteName) -> None:
        """Have both deputies consent at a desk of that site, each with their own key.

        Raises:
            SecondsiteError: there is no desk there, or it could not be used.
        """
        desk = next(iter(desks_of(self.bench.estate, at)), None)
        if desk is None:
            raise SecondsiteError(f"{at} has no desk")
        try:
            for who in LAB_DEPUTIES:
                self._consent(who, gate, desk)
        finally:
            self._python(desk, _TAKE_ALONG, _PLACE)

    def _consent(self, who: str, gate: str, desk: str) -> None:
        key = lab_persons(self.bench.estate) / who
        self._python(desk, _BRING, f"{_PLACE}/{who}", stdin=key.read_text())
        words = ["secondsite-approve", str(self.run()), gate, "yes", "--as", who, "--key", f"{_PLACE}/{who}"]
        self.bench.hands.run(desk, ["sudo", "-n", "--", *words], timeout=_TIMEOUT)
        self.view.say(f"{who} consents at {desk}")

    def _python(self, desk: str, code: str, *words: str, stdin: str = "") -> None:
        argv = ["sudo", "-n", "--", "/usr/bin/python3", "-I", "-c", code, *words]
        self.bench.hands.run(desk, argv, stdin=stdin, timeout=_TIMEOUT)
