"""Plans: what a runbook built for one estate and one stated direction. Frozen data with a digest."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Fencing(enum.Enum):
    """What is known about the old primary's ability to write (ADR 0005)."""

    CONFIRMED = "confirmed"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Intent(enum.Enum):
    """Why a plan moves workloads, or that it moves none."""

    PROVISION = "provision"
    FAILOVER = "failover"
    SWITCHOVER = "switchover"
    FAILBACK = "failback"
    TAKEOVER = "takeover"
    RESTART = "restart"

    @property
    def has_direction(self) -> bool:
        """Say whether such a plan needs an origin and a target; a direction is stated, never inferred."""
        return self is not Intent.PROVISION


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One action or probe by name, with its arguments as plain JSON values without fractions.

    An argument ``{"result_of": STEP, "field": NAME}`` stands for what an earlier step found; it is looked up when the
    step starts, and covered by the digest as it stands here.
    """

    name: str
    arguments: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """A precondition by name: ``on`` names the earlier steps whose results it reads.

    ``arguments`` say what must have been seen (which carriers, which addresses), so that a step which looked at less
    than that can't satisfy it.
    """

    name: str
    on: tuple[str, ...] = ()
    arguments: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Consent needed before a step: how many distinct persons, and whether a standing order may give it."""

    persons: int
    standing_order: bool

    def __post_init__(self) -> None:
        """Refuse a gate that nobody guards."""
        if self.persons < 1:
            raise ValueError(f"a gate needs at least one person, got {self.persons}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What a person types on a host in place of the engine, and the answer that lets them go on.

    ``text`` is typed in a shell of ``account`` there, over SSH; it stands alone and needs nothing typed before.
    ``good`` are the good answers: in one of them, each line must be found in what was answered, as a whole line; ``*``
    stands for anything. ``otherwise`` says what to do when the answer is none of them.
    """

    host: str
    text: str
    good: tuple[tuple[str, ...], ...]
    otherwise: str = "Stop, and do nothing that comes after this step."
    account: str = "ops"

    def __post_init__(self) -> None:
        """Refuse what could not be printed and typed exactly, or could not be told from a bad answer."""
        for text in (self.text, *(line for answer in self.good for line in answer)):
            for line in text.split("\n"):
                if not line.strip() or line != line.rstrip() or not line.isprintable():
                    raise ValueError(f"{line!r} can't be printed and typed as it is")
        if not self.good or not all(self.good):
            raise ValueError(f"{self.text!r} has no good answer, so nobody could go on")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step.

    ``probe`` tells after a crash whether the effect happened (None: a person is asked).
    ``repeatable`` says that performing it twice has the effect of once; only then may a resume perform it again.
    ``undo`` names what takes the effect back; None means irreversible, or that there is no effect at all.
    ``verify`` asks the probe after the effect too, and lets nothing follow before it has said yes.
    ``expected`` is how long it should take, used for predictions until earlier runs say better.
    ``destroys`` names the hosts, or whole sites, that it takes data or service away from: how many may be in one step
    is capped by the estate, and right before it each of its hosts is asked who it is.
    ``commands`` are what a person types instead, one after the other, and ``by_hand`` what a person does besides;
    ``undo_commands`` take it back.
    """

    name: str
    title: str
    call: Call
    hosts: tuple[str, ...]
    after: tuple[str, ...] = ()
    guards: tuple[Guard, ...] = ()
    gate: Gate | None = None
    probe: Call | None = None
    repeatable: bool = False
    reads_only: bool = False
    verify: bool = False
    undo: Call | None = None
    timeout: dt.timedelta = dt.timedelta(seconds=60)
    expected: dt.timedelta = dt.timedelta(seconds=1)
    by_hand: str = ""
    destroys: tuple[str, ...] = ()
    commands: tuple[Command, ...] = ()
    undo_commands: tuple[Command, ...] = ()

    @property
    def may_repeat(self) -> bool:
        """Performing it again after a crash does no harm."""
        return self.repeatable or self.reads_only


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would be done, completely. ``digest`` covers every field and the files the steps use (``pins``)."""

    runbook: str
    title: str
    intent: Intent
    estate: str
    estate_digest: str
    origin: str | None
    target: str | None
    steps: tuple[Step, ...]
    pins: Mapping[str, str]
    digest: str

    def step(self, name: str) -> Step:
        """Return the step of that name.

        Raises:
            KeyError: the plan has no such step.
        """
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(name)
