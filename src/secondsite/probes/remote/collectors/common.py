"""What collectors share: commands with a time limit, and a way to say that something can't be read."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

Settings = Mapping[str, Any]
TIMEOUT_S = 6.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Unreadable(Exception):  # noqa: N818  what was observed
    """A section can't be filled; the text says why."""


def run(
    *argv: str,
    accept: Sequence[int] = (0,),
    stdin: str = "",
    timeout_s: float = TIMEOUT_S,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Return what a command printed.

    Raises:
        Unreadable: it is not installed, did not end in time, or ended with another exit code.
    """
    program = _found(argv[0])
    if program is None:
        raise Unreadable(f"{argv[0]} is not installed")
    known = {"PATH": _PATH, "LC_ALL": "C.UTF-8", "HOME": "/root", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"}
    try:
        done = subprocess.run(
            [program, *argv[1:]],
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            env={**known, **environment},
            cwd="/",
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Unreadable(f"{argv[0]} gave no answer in {timeout_s:g} s") from error
    if done.returncode not in accept:
        raise Unreadable(f"{argv[0]} ended with exit code {done.returncode}: {done.stderr.strip()[-200:]}")
    return done.stdout


def installed(program: str) -> bool:
    """Say whether a program is there."""
    return _found(program) is not None


def _found(program: str) -> str | None:
    """Do what shutil.which does, which takes as long to import as everything else here."""
    places = [program] if "/" in program else [f"{folder}/{program}" for folder in _PATH.split(":")]
    return next((place for place in places if os.path.isfile(place) and os.access(place, os.X_OK)), None)  # noqa: PTH113


def at_once(do: Callable[[Any], Any], each: Iterable[Any], *, most: int) -> list[Any]:
    """Return what came of each, in order; ``most`` are under way at any time. The first error is raised when all ended.

    A pool of the library's takes as long to import as all that is done with it here.
    """
    items = list(each)
    came: list[Any] = [None] * len(items)
    troubles: list[Exception] = []
    waiting = list(reversed(range(len(items))))

    def work() -> None:
        while True:
            try:
                number = waiting.pop()
            except IndexError:
                return
            try:
                came[number] = do(items[number])
            except Exception as error:  # noqa: BLE001  raised below, where it can be heard
                troubles.append(error)

    at_work = [threading.Thread(target=work) for _ in range(min(most, len(items)))]
    for one in at_work:
        one.start()
    for one in at_work:
        one.join()
    if troubles:
        raise troubles[0]
    return came


class Names:
    """Puts neutral words in the place of names and addresses that differ between twins, so that they can be compared.

    ``here`` words stand for this host and its site, ``there`` words for the other datacenter.
    """

    def __init__(self, settings: Settings) -> None:
        """Take the words from the order: pairs of a literal and what stands for it, longest literal first."""
        self._words: dict[str, str] = dict(settings["tokens"])
        literals = "|".join(re.escape(word) for word in sorted(self._words, key=len, reverse=True))
        networks = "|".join(re.escape(prefix) for prefix, _ in settings["networks"])
        self._networks: dict[str, str] = dict(settings["networks"])
        self._literal = re.compile(rf"(?<![A-Za-z0-9])(?:{literals})(?![A-Za-z0-9]|\.[0-9])") if literals else None
        self._network = re.compile(rf"(?<![0-9.])({networks})(?=[0-9])") if networks else None
        self._hints = _shortest([*self._words, *self._networks])
        self._raw_hints = [hint.encode() for hint in self._hints]

    def concern(self, raw: bytes) -> bool:
        """Say whether there can be anything to replace in a text that nobody has decoded yet."""
        for hint in self._raw_hints:  # noqa: SIM110  asked of every file: a generator takes twice as long
            if hint in raw:
                return True
        return False

    def neutral(self, text: str) -> str:
        """Return the text with every such name replaced. Most texts hold none, which is seen faster than replaced."""
        for hint in self._hints:
            if hint in text:
                return self._replaced(text)
        return text

    def _replaced(self, text: str) -> str:
        if self._literal is not None:
            text = self._literal.sub(lambda found: self._words[found[0]], text)
        if self._network is not None:
            text = self._network.sub(lambda found: self._networks[found[1]], text)
        return text


def _shortest(words: Sequence[str]) -> list[str]:
    """Return those words that no other one is a part of: a text without them has none of all."""
    return [word for word in set(words) if not any(other != word and other in word for other in words)]


def is_root() -> bool:
    """Say whether everything can be read."""
    return os.geteuid() == 0
