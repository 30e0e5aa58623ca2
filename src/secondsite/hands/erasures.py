"""The steps after every restore: have the erasure ledger applied again, and prove that nobody erased came back."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..checks.absence import named, still_there
from ..drill.ports import Clock
from ..errors import ActionError, Effect, LeftOff
from ..run.functions import ActionFrom, word, words
from ..run.model import Json
from ..run.ports import Action, Hands, Outcome, Registry, StepContext

_ACCOUNTCTL = ("sudo", "-n", "/usr/local/sbin/accountctl")
_STORECTL = ("sudo", "-n", "/usr/local/bin/storectl")
_ASK = dt.timedelta(seconds=60)
_RESERVE_S, _LOOK_EVERY_S = 30.0, 1.0
_SAID = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What the steps work with. ``hands`` need no more than the verbs of runbooks."""

    hands: Hands
    clock: Clock

    def registry(self) -> Registry:
        """Name every action."""
        actions: dict[str, Action] = {
            "replay-erasures": ActionFrom(self._replay),
            "prove-erasures": ActionFrom(self._prove),
        }
        return Registry(actions=actions, probes={})

    def _replay(self, arguments: Json, context: StepContext) -> Outcome:
        """Apply the ledger, as one keeper has it, to what was restored. Again it changes nothing.

        Raises:
            ActionError: the keeper does not answer, its chain is broken, or the database did not do it.
        """
        source = word(arguments, "source")
        argv = [*_ACCOUNTCTL, "replay", "--from", source]
        told = self._asked(word(arguments, "host"), argv, timeout=context.timeout)
        try:
            counted = _mapping(told, "in_force")
            said = (
                f"{told['entries']} entries from {source}: {told['applied']} accounts were changed;"
                f" {counted['erased']} are erased, {counted['legal-hold']} under a legal hold"
            )
        except (KeyError, TypeError) as error:
            raise ActionError(f"accountctl did not say what it did: {error!r}", effect=Effect.UNKNOWN) from error
        return Outcome(changed=bool(told["applied"]), detail={**told, "said": said})

    def _prove(self, arguments: Json, context: StepContext) -> Outcome:
        """Look for everybody erased in database, keys and files until nothing is found, or the step's time is over.

        A new keeper takes over keys and records within seconds, and a store removes the files of whoever was erased.

        Raises:
            ActionError: something is still there, or somebody did not answer: it is named.
            LeftOff: somebody stopped the run first.
        """
        database, stores = word(arguments, "host"), words(arguments, "stores")
        until = self.clock.monotonic() + context.timeout.total_seconds() - _RESERVE_S
        while reasons := list(self._reasons(database, stores)):
            if context.stopping():
                raise LeftOff(f"the run was stopped, and not everything was away: {'; '.join(reasons)}")
            if self.clock.monotonic() > until:
                raise ActionError(
                    f"not proven that nobody erased comes back, so nothing is opened: {'; '.join(reasons)}",
                    effect=Effect.NONE,
                    next_step=f"on {database}: accountctl replay; accountctl audit names what is left. Then resume",
                )
            self.clock.sleep(_LOOK_EVERY_S)
        searched = (
            f"the database at {database}, every keeper's keys, and the files at {', '.join(stores) or 'no store'}"
        )
        return Outcome(changed=False, detail={"said": f"nobody erased is in {searched}; there is no search index"})

    def _reasons(self, database: str, stores: tuple[str, ...]) -> Iterator[str]:
        told = self._asked(database, [*_ACCOUNTCTL, "audit"], timeout=_ASK)
        if told.get("leads") is not True or told.get("ledger") is not True:
            yield f"{database} does not lead, or knows of no ledger"
            return
        try:
            yield from still_there(told)
            unheard = sorted(_mapping(told, "unheard").items())
            yield from (f"keeper {name} was not heard: {why}" for name, why in unheard)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            yield f"{database} does not tell all that was asked: {error!r}"
        for store in stores:
            kept = self._asked(store, [*_STORECTL, "erased"], timeout=_ASK).get("erased")
            if not isinstance(kept, list):
                yield f"{store} does not tell whose files it keeps"
            elif kept:
                yield f"{named(kept)} erased, and {store} keeps files of theirs"

    def _asked(self, host: str, argv: list[str], *, timeout: dt.timedelta) -> Mapping[str, object]:
        ended = self.hands.run(host, argv, timeout=timeout, accept=(0, 1, 3, 4))
        if ended.exit_code != 0:
            said = " ".join((ended.stderr or ended.stdout).split())[-_SAID:] or "it did not say why"
            raise ActionError(f"{host}: {said}", effect=Effect.UNKNOWN, next_step="mend the cause, then resume")
        try:
            told = json.loads(ended.stdout)
            return {str(key): value for key, value in told.items()}
        except (ValueError, AttributeError) as error:
            raise ActionError(f"{host} did not say what came of it", effect=Effect.UNKNOWN) from error


def _mapping(told: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = told[name]
    if not isinstance(found, Mapping):
        raise TypeError(f"{name} is no object")
    return found
