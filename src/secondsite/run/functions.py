"""Actions and probes made from plain functions, and the reading of their arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..errors import ActionError, Effect
from .model import Json, Seen
from .ports import Outcome, StepContext


@dataclass(frozen=True, slots=True)
class ActionFrom:
    """An action whose effect doesn't need the key: repeating it has the effect of once, or its probe tells."""

    do: Callable[[Json, StepContext], Outcome]

    def perform(self, arguments: Json, *, key: str, context: StepContext) -> Outcome:  # noqa: ARG002  see the class
        """Call the function."""
        return self.do(arguments, context)


@dataclass(frozen=True, slots=True)
class ProbeFrom:
    """A probe that asks a yes-or-no question; a question that can't be answered must raise."""

    holds: Callable[[Json, StepContext], bool]

    def look(self, arguments: Json, *, key: str, context: StepContext) -> Seen:  # noqa: ARG002  the arguments name it
        """Ask."""
        return Seen(effect=Effect.APPLIED if self.holds(arguments, context) else Effect.NONE)


def record_only(arguments: Json, _context: StepContext) -> Outcome:
    """Change nothing: the step's entry in the journal, with who consented, is all there is to it."""
    return Outcome(changed=False, detail=dict(arguments))


def word(arguments: Json, name: str) -> str:
    """Read one argument that must be text.

    Raises:
        ActionError: it isn't; nothing was attempted.
    """
    value = arguments.get(name)
    if not isinstance(value, str):
        raise _wrong(name, "text", value)
    return value


def words(arguments: Json, name: str) -> tuple[str, ...]:
    """Read one argument that must be a list of texts."""
    value = arguments.get(name)
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise _wrong(name, "a list of texts", value)
    return tuple(value)


def whole(arguments: Json, name: str) -> int:
    """Read one argument that must be a whole number."""
    value = arguments.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(name, "a whole number", value)
    return value


def flag(arguments: Json, name: str) -> bool:
    """Read one argument that must be true or false."""
    value = arguments.get(name)
    if not isinstance(value, bool):
        raise _wrong(name, "true or false", value)
    return value


def _wrong(name: str, wanted: str, value: object) -> ActionError:
    return ActionError(f"the argument {name} must be {wanted}, not {value!r}", effect=Effect.NONE)
