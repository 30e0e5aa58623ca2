"""One attempt at one step: call the action or probe, and say what is known afterwards."""

from __future__ import annotations

import errno
import json
from collections.abc import Sequence

from ..errors import ActionError, Effect, JournalError, LeftOff, Refused, SecondsiteError
from .model import Json, Seen, StepResult, StepState
from .ports import Action, Challenge, Outcome, Probe, StepContext

RESULT_LIMIT = 256 * 1024
_STORE_IS_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def perform(action: Action, arguments: Json, *, key: str, context: StepContext) -> StepResult:
    """Perform an action once and return what is known; only a lost store is raised.

    Raises:
        JournalError: the controller's own disk is full or read-only. That says nothing about the step.
        LeftOff: the action gave up because the run is stopping. It has no result, so a resume takes it up again.
    """
    try:
        return _done(action.perform(arguments, key=key, context=context), key=key)
    except (JournalError, LeftOff):
        raise
    except ActionError as error:
        return failed(error, effect=error.effect)
    except SecondsiteError as error:  # refused, unreachable, not measured: nothing was brought about
        return failed(error, effect=Effect.NONE)
    except OSError as error:
        if error.errno in _STORE_IS_FULL:
            raise store_lost(error) from error
        return _bug(error)
    except Exception as error:  # noqa: BLE001  a defect in an action leaves its effect unknown, and is recorded as such
        return _bug(error)


def unless_impostors(challenge: Challenge | None, hosts: Sequence[str]) -> StepResult | None:
    """Return None when every host answers as itself; else a result with every reason to take nothing from them."""
    if challenge is None:
        return _strange("nobody can ask the hosts who they are")
    reasons: list[str] = []
    for host in hosts:
        try:
            reasons += [f"{host}: {why}" for why in challenge(host)]
        except SecondsiteError as error:
            reasons.append(f"{host} could not be asked who it is: {error.what}")
    return _strange(*reasons) if reasons else None


def passed_over(refused: StepResult) -> StepResult:
    """Return the result of a step that touched nothing and that another may stand in for: what was found is trouble."""
    return StepResult(state=StepState.DONE, changed=False, detail={"trouble": refused.error})


def _strange(*reasons: str) -> StepResult:
    next_step = "see which machine it is; when it is the right one after all: secondsite run provision"
    return failed(Refused(*reasons, next_step=next_step), effect=Effect.NONE)


def look(probe: Probe, arguments: Json, *, key: str, context: StepContext) -> Seen:
    """Ask a probe; whatever keeps it from telling makes the effect unknown.

    Raises:
        JournalError: the controller's own disk is full or read-only.
    """
    try:
        seen = probe.look(arguments, key=key, context=context)
        _checked(seen.detail)
    except JournalError:
        raise
    except OSError as error:
        if error.errno in _STORE_IS_FULL:
            raise store_lost(error) from error
        return _blind(error)
    except Exception as error:  # noqa: BLE001  a probe that fails in any way could not tell; it is recorded
        return _blind(error)
    return seen


def failed(error: SecondsiteError, *, effect: Effect) -> StepResult:
    """Return the result of an attempt that ended in an error of ours."""
    detail = {"effect": effect.value, "kind": type(error).__name__, "next": error.next_step}
    state = StepState.UNKNOWN if effect is Effect.UNKNOWN else StepState.FAILED
    changed = effect is not Effect.NONE
    return StepResult(state=state, changed=changed, detail=detail, error=error.what, exit_code=error.exit_code)


def store_lost(error: Exception) -> JournalError:
    """Return the error that ends the process without a word about the step."""
    return JournalError(
        f"the store of this engine failed: {error}",
        not_done="what became of the steps in flight is not recorded; nothing was taken back",
        next_step="make room or repair the disk under the state directory, then: secondsite runs resume",
    )


def _done(outcome: Outcome, *, key: str) -> StepResult:
    try:
        _checked(outcome.detail)
    except (TypeError, ValueError) as error:
        what = f"{key}: the action did its work and left a result that can't be recorded: {error}"
        return StepResult(state=StepState.UNKNOWN, changed=True, error=what, exit_code=1)
    return StepResult(state=StepState.DONE, changed=outcome.changed, detail=dict(outcome.detail))


def _checked(detail: Json) -> None:
    size = len(json.dumps(dict(detail), allow_nan=False))
    if size > RESULT_LIMIT:
        raise ValueError(f"{size} bytes are more than the {RESULT_LIMIT} allowed")


def _bug(error: Exception) -> StepResult:
    what = f"a defect in the action: {type(error).__name__}: {error}"
    detail = {"effect": Effect.UNKNOWN.value, "kind": type(error).__name__}
    return StepResult(state=StepState.UNKNOWN, changed=True, detail=detail, error=what, exit_code=1)


def _blind(error: Exception) -> Seen:
    what = error.what if isinstance(error, SecondsiteError) else str(error)
    return Seen(effect=Effect.UNKNOWN, detail={"error": f"{type(error).__name__}: {what}"})
