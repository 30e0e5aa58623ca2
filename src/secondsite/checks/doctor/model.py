"""What was seen of the controller and of hosts nobody prepared: nouns only. None: it can't be told."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from ...estate.model import HostName


class Need(enum.Enum):
    """Whether something that is needed is there. Unknown is never ok."""

    OK = "ok"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptom:
    """One thing that was looked at: where, what was seen, and the command that mends it."""

    id: str
    where: str
    need: Need
    saw: str
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerFacts:
    """What this machine told. ``programs`` and ``environments`` say what is there by name; sizes are in MiB.

    ``trouble_with_*`` say why something can't be used; an empty one means that it can.
    """

    programs: Mapping[str, bool]
    environments: Mapping[str, bool]
    state: str
    state_writable: bool
    state_free: int | None
    trouble_with_secrets: str
    trouble_with_key: str
    trouble_with_approvers: str
    trouble_with_lab: str | None = None
    trouble_with_power: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What one host told, or why it told nothing. ``way`` is how it was logged in to: `certificate` or `bootstrap`.

    ``offset_s`` is its clock minus ours; ``give_or_take_s`` how sure that is. ``lacking`` are packages that are not
    installed, ``unobtainable`` those of them that its package lists do not offer.
    """

    host: HostName
    trouble_with_pin: str
    answered: bool
    way: str
    why: str
    release: str | None = None
    python: str | None = None
    privilege: str | None = None
    lacking: tuple[str, ...] | None = None
    unobtainable: tuple[str, ...] = ()
    offset_s: float | None = None
    give_or_take_s: float = 0.0
    free: int | None = None
