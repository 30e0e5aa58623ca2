"""The steps that bring back what was kept: the agreement between the sites, databases, and files. From the vault alone.

What they restore over is a new machine's: a folder that holds anything which no restart put there, or that is in use
already, is left as it is, and the step fails.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from ..errors import ActionError, Effect
from ..run.functions import ActionFrom, word, words
from ..run.model import Json
from ..run.ports import Action, Hands, Outcome, Registry, StepContext

_SHORT = dt.timedelta(seconds=90)
_SAID = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The steps that restore. ``hands`` may do more on hosts than a runbook's verbs."""

    hands: Hands

    def registry(self) -> Registry:
        """Name every action."""
        actions: dict[str, Action] = {
            "go-on-alone": ActionFrom(self._go_on_alone),
            "expect-members": ActionFrom(self._expect_members),
            "restore-database": ActionFrom(self._restore_database),
            "restore-files": ActionFrom(self._restore_files),
        }
        return Registry(actions=actions, probes={})

    def _go_on_alone(self, arguments: Json, _context: StepContext) -> Outcome:
        """Have one member of the agreement go on without those that are gone.

        Raises:
            ActionError: those still count and a majority still answers; or it does not answer alone.
        """
        gone, scopes = list(words(arguments, "gone")), list(words(arguments, "scopes"))
        return self._agreed(arguments, {"verb": "alone", "gone": gone, "scopes": scopes})

    def _expect_members(self, arguments: Json, _context: StepContext) -> Outcome:
        """Have it take in members that are yet to come: they find an agreement that goes on.

        Raises:
            ActionError: it did not take one in.
        """
        return self._agreed(arguments, {"verb": "expect", "new": arguments["new"]})

    def _agreed(self, arguments: Json, order: Mapping[str, object]) -> Outcome:
        told = self._on(word(arguments, "host"), "agreement", order, timeout=_SHORT)
        return Outcome(changed=bool(told["changed"]), detail=told)

    def _restore_database(self, arguments: Json, context: StepContext) -> Outcome:
        """Restore a cluster from a repository, replay every log that lies there, and stop it whole.

        Raises:
            ActionError: something is there already, or it could not be restored; the host's own words are told.
        """
        order = {"run": context.run, "scope": word(arguments, "scope"), "source": word(arguments, "source")}
        return self._restored(arguments, "database", order, context)

    def _restore_files(self, arguments: Json, context: StepContext) -> Outcome:
        """Restore a host's folders from its newest snapshot at the append-only server, and read them back.

        Raises:
            ActionError: something is there already, or it could not be restored; the host's own words are told.
        """
        order = {"run": context.run, "path": word(arguments, "path"), "owner": word(arguments, "owner")}
        order["user"] = word(arguments, "user")
        return self._restored(arguments, "files", order, context)

    def _restored(self, arguments: Json, what: str, order: Mapping[str, object], context: StepContext) -> Outcome:
        told = self._on(word(arguments, "host"), what, order, timeout=context.timeout)
        seconds = max(float(str(told["seconds"])), 0.001)
        rate = int(str(told["bytes"])) / seconds / 1e6
        said = f"{told['bytes']} bytes in {seconds:.1f} s ({rate:.1f} MB/s), up to {told['until']}"
        return Outcome(changed=not told["was_there"], detail={**told, "said": said})

    def _on(self, host: str, what: str, order: Mapping[str, object], *, timeout: dt.timedelta) -> Mapping[str, object]:
        code = resources.files(f"{__package__}.restoring_scripts").joinpath(f"{what}.py").read_text(encoding="utf-8")
        argv = ["sudo", "-n", "--", "/usr/bin/python3", "-I", "-c", code]
        ended = self.hands.run(host, argv, stdin=json.dumps(order), timeout=timeout, accept=(0, 1, 3))
        if ended.exit_code != 0:
            refused = ended.exit_code == 3  # noqa: PLR2004  the scripts' own
            said = " ".join(ended.stderr.split())[-_SAID:] or "it did not say why"
            raise ActionError(f"{host}: {said}", effect=Effect.NONE if refused else Effect.UNKNOWN)
        try:
            told = json.loads(ended.stdout)
            return {str(key): value for key, value in told.items()}
        except (ValueError, AttributeError) as error:
            raise ActionError(f"{host} did not say what became of it", effect=Effect.UNKNOWN) from error
