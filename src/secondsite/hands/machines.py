"""Which machine each host is: noted when it is provisioned, and asked again before anything is taken from it.

The question goes over the same connection that the order would take, whose key is pinned. A host answers with what was
asked, its machine id, and the place that provisioning wrote on it. A machine that was swapped, cloned, or belongs to
another estate answers otherwise, and one that was never noted is not known.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ActionError, Effect, JournalError
from ..estate.model import Estate
from ..estate.places import misplaced
from ..run.functions import ActionFrom, words
from ..run.model import Json
from ..run.ports import Hands, Outcome, Registry, StepContext

IDENTIFY = "/usr/local/bin/secondsite-identify"
_TIMEOUT = dt.timedelta(seconds=5)
_NOTED_WITHIN = dt.timedelta(seconds=20)  # nothing waits for that but the end of provisioning
_LARGEST = 16384
_MACHINE = re.compile(r"[0-9a-f]{32}\Z")
_NOT_THERE = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a host answered: which machine it is, and its place as provisioning wrote it down."""

    machine: str
    place: Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Machines:
    """The machines of one estate. ``path`` is where they are noted."""

    estate: Estate
    hands: Hands
    path: Path
    nonce: Callable[[], str] = field(default=lambda: secrets.token_hex(16))

    def registry(self) -> Registry:
        """Name the action that notes them, and the challenge."""
        return Registry(actions={"note-machines": ActionFrom(self._note)}, probes={}, challenge=self.doubts)

    def doubts(self, host: str, /) -> Sequence[str]:
        """Return every reason to doubt that this host is the one that the estate means; see ``run.ports.Challenge``."""
        return tuple(doubts(self.estate, host, said=self.ask(host), noted=self._noted().get(host)))

    def ask(self, host: str, *, within: dt.timedelta = _TIMEOUT) -> Said:
        """Have a host say who it is, now.

        Raises:
            Unreachable, ActionError: it could not be asked, or its answer makes no sense.
        """
        asked = self.nonce()
        told = self.hands.run(host, [IDENTIFY, asked], timeout=within, accept=(0, _NOT_THERE), limit=_LARGEST)
        if told.exit_code == _NOT_THERE:
            raise ActionError(f"{host} was never told how to say who it is", effect=Effect.NONE, next_step=_PROVISION)
        lines = told.stdout.split("\n", 2)
        try:
            again, machine, rest = lines
            place = json.loads(rest)
        except ValueError as error:
            raise ActionError(f"{host} answered with something that is no identity", effect=Effect.NONE) from error
        if again != asked:
            raise ActionError(f"{host} answered to another question than was asked now", effect=Effect.NONE)
        if not _MACHINE.match(machine) or not isinstance(place, dict):
            raise ActionError(f"{host} answered with something that is no identity", effect=Effect.NONE)
        return Said(machine=machine, place=place)

    def _note(self, arguments: Json, _context: StepContext) -> Outcome:
        """Ask every host, and note its machine. One that is somebody else's is not noted.

        Raises:
            ActionError: a host says that it is another, or two are one machine.
        """
        hosts = words(arguments, "hosts")
        with ThreadPoolExecutor(max_workers=max(1, len(hosts))) as pool:
            told = pool.map(lambda host: self.ask(host, within=_NOTED_WITHIN), hosts)
            said = dict(zip(hosts, told, strict=True))
        wrong = [f"{host}: {why}" for host, one in said.items() for why in misplaced(self.estate, host, one.place)]
        found = {host: one.machine for host, one in said.items()}
        wrong += [f"{' and '.join(twins)} are one machine" for twins in _shared(found)]
        if wrong:
            raise ActionError("; ".join(wrong), effect=Effect.NONE, next_step=_PROVISION)
        before = self._noted()
        changed = {host: f"was {before[host]}" for host in found if host in before and before[host] != found[host]}
        new = sorted(set(found) - set(before))
        if new or changed:
            self._write({**before, **found})
        said_of_it = f"{len(new)} new, {len(changed)} are other machines than before: {', '.join(sorted(changed))}"
        return Outcome(changed=bool(new or changed), detail={"said": said_of_it.rstrip(": "), "others": changed})

    def _noted(self) -> Mapping[str, str]:
        try:
            read = json.loads(self.path.read_text())["machines"]
            return {str(host): str(machine) for host, machine in read.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ActionError(
                f"which machine each host is can't be read from {self.path}: {error}", effect=Effect.NONE
            ) from error

    def _write(self, machines: Mapping[str, str]) -> None:
        text = json.dumps({"schema_version": 1, "machines": dict(machines)}, indent=1, sort_keys=True)
        partial = self.path.with_name(f".{self.path.name}")
        try:
            with partial.open("w") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path)
        except OSError as error:
            raise JournalError(f"{self.path} can't be written: {error.strerror or error}") from error


_PROVISION = "secondsite run provision"


def doubts(estate: Estate, host: str, *, said: Said, noted: str | None) -> Iterator[str]:
    """Yield every reason to doubt that who answered is this host of this estate."""
    if noted is None:
        yield "which machine it is was never noted; provisioning does that"
    elif said.machine != noted:
        yield f"it is machine {said.machine}, and {noted} was provisioned"
    yield from misplaced(estate, host, said.place)


def _shared(machines: Mapping[str, str]) -> Iterator[list[str]]:
    for machine in sorted(set(machines.values())):
        twins = sorted(host for host, one in machines.items() if one == machine)
        if len(twins) > 1:
            yield twins
