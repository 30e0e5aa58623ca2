"""What runbooks are written with. Building a plan performs nothing."""

from __future__ import annotations

import datetime as dt
import graphlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..errors import ConfigError, Problem, UsageError
from ..estate.model import Estate, SiteKind, SiteName
from .consent import steps_nobody_consents_to
from .document import sealed
from .model import Call, Command, Gate, Guard, Intent, Plan, Step
from .rules import GUARDS, dependency_order, reasons_not_to_destroy

BuildFunction = Callable[[Estate, "PlanBuilder"], None]
Pinning = Callable[[Sequence[str]], Mapping[str, str]]

_SHORT = dt.timedelta(seconds=1)
_DEFAULT_TIMEOUT = dt.timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Runbook:
    """A reviewed procedure: a name, why it moves workloads, and the function that builds its plan."""

    name: str
    title: str
    intent: Intent
    build: BuildFunction


def runbook(*, name: str, intent: Intent, title: str = "") -> Callable[[BuildFunction], Runbook]:
    """Turn a function that fills a ``PlanBuilder`` into a runbook; its docstring's first line is the title."""

    def declare(build: BuildFunction) -> Runbook:
        told = (title or (build.__doc__ or name).strip().splitlines()[0]).rstrip(".")
        return Runbook(name=name, title=told, intent=intent, build=build)

    return declare


def call(name: str, /, **arguments: object) -> Call:
    """Name an action or probe with its arguments."""
    return Call(name=name, arguments={key: plain(value, at=f"{name}({key})") for key, value in arguments.items()})


def guard(name: str, /, *, on: Sequence[str] = (), **arguments: object) -> Guard:
    """Name a precondition, the steps whose results it reads, and what those must have seen."""
    wanted = {key: plain(value, at=f"{name}({key})") for key, value in arguments.items()}
    return Guard(name=name, on=tuple(on), arguments=wanted)


def seconds(count: float) -> dt.timedelta:
    """Return a duration, for ``timeout`` and ``expected``."""
    return dt.timedelta(seconds=count)


def gate(*, persons: int = 2, standing_order: bool = False) -> Gate:
    """Ask for consent before a step."""
    return Gate(persons=persons, standing_order=standing_order)


def result_of(step: str, field: str) -> dict[str, str]:
    """Stand for what an earlier step found, looked up when the step that uses it starts."""
    return {"result_of": step, "field": field}


def references(value: object) -> Iterator[tuple[str, str]]:
    """Yield every (step, field) that an argument refers to."""
    if isinstance(value, Mapping):
        if set(value) == {"result_of", "field"}:
            yield str(value["result_of"]), str(value["field"])
            return
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def plain(value: object, *, at: str) -> object:
    """Return the value as plain JSON without fractions, or refuse it.

    Raises:
        ValueError: the value could not be written down exactly.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, list | tuple):
        return [plain(inner, at=at) for inner in value]
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise ValueError(f"{at}: keys must be text")
        return {str(key): plain(inner, at=at) for key, inner in value.items()}
    hint = "; use whole units (milliseconds) instead" if isinstance(value, float) else ""
    raise ValueError(f"{at}: {type(value).__name__} can't be part of a plan{hint}")


class PlanBuilder:
    """Collects the steps of one plan for one estate and one stated direction."""

    def __init__(self, *, estate: Estate, origin: SiteName | None, target: SiteName | None) -> None:
        """Begin without steps."""
        self._estate = estate
        self._origin = origin
        self._target = target
        self._steps: list[Step] = []
        self._used: list[str] = []

    @property
    def origin(self) -> SiteName:
        """The site that workloads leave.

        Raises:
            UsageError: this runbook moves nothing.
        """
        return self._stated(self._origin)

    @property
    def target(self) -> SiteName:
        """The site that workloads go to.

        Raises:
            UsageError: this runbook moves nothing.
        """
        return self._stated(self._target)

    @staticmethod
    def _stated(site: SiteName | None) -> SiteName:
        if site is None:
            raise UsageError("this runbook has no direction", not_done="nothing was planned")
        return site

    def uses(self, *paths: str) -> None:
        """Pin files or folders of the project (roles, templates, checks): the digest covers them."""
        self._used.extend(paths)

    def step(  # noqa: PLR0913  a step has this many properties, each named by the caller
        self,
        name: str,
        *,
        title: str,
        call: Call,
        hosts: Sequence[str] = (),
        after: Sequence[str] = (),
        guards: Sequence[Guard] = (),
        gate: Gate | None = None,
        probe: Call | None = None,
        repeatable: bool = False,
        reads_only: bool = False,
        verify: bool = False,
        undo: Call | None = None,
        timeout: dt.timedelta = _DEFAULT_TIMEOUT,
        expected: dt.timedelta = _SHORT,
        by_hand: str = "",
        commands: Sequence[Command] = (),
        undo_commands: Sequence[Command] = (),
        uses: Sequence[str] = (),
        destroys: Sequence[str] = (),
    ) -> str:
        """Add a step and return its name, to be used in ``after`` and ``on`` of later ones."""
        self.uses(*uses)
        self._steps.append(
            Step(
                name=name,
                title=title,
                call=call,
                hosts=tuple(str(host) for host in hosts),
                after=tuple(after),
                guards=tuple(guards),
                gate=gate,
                probe=probe,
                repeatable=repeatable,
                reads_only=reads_only,
                verify=verify,
                undo=undo,
                timeout=timeout,
                expected=expected,
                by_hand=by_hand,
                destroys=tuple(str(one) for one in destroys),
                commands=tuple(commands),
                undo_commands=tuple(undo_commands),
            )
        )
        return name

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps so far."""
        return tuple(self._steps)

    @property
    def used(self) -> tuple[str, ...]:
        """The paths to pin."""
        return tuple(dict.fromkeys(self._used))


def build_plan(book: Runbook, estate: Estate, *, origin: str | None, target: str | None, pinning: Pinning) -> Plan:
    """Return the plan of a runbook for one estate and direction, checked and sealed with its digest.

    Raises:
        UsageError: the direction is missing, is no direction, or names a site that can hold no workload.
        ConfigError: the runbook built a plan that can't be meant.
    """
    _check_direction(book, estate, origin, target)
    builder = PlanBuilder(
        estate=estate,
        origin=SiteName(origin) if origin is not None else None,
        target=SiteName(target) if target is not None else None,
    )
    book.build(estate, builder)
    problems = [
        Problem(file=f"runbooks/{book.name}.py", line=None, pointer=f"/steps/{step}", what=what)
        for step, what in problems_of(builder.steps, estate)
    ]
    if problems:
        raise ConfigError(problems, not_done="nothing was planned")
    plan = Plan(
        runbook=book.name,
        title=book.title,
        intent=book.intent,
        estate=estate.name,
        estate_digest=estate.digest,
        origin=origin,
        target=target,
        steps=dependency_order(builder.steps),
        pins=pinning(builder.used),
        digest="",
    )
    return sealed(plan)


def _check_direction(book: Runbook, estate: Estate, origin: str | None, target: str | None) -> None:
    able = sorted(str(name) for name, site in estate.sites.items() if site.kind is SiteKind.DATACENTER)
    known = f"sites of {estate.name} that can hold workloads: {', '.join(able)}"
    if not book.intent.has_direction:
        if origin is not None or target is not None:
            raise _wrong_direction(f"runbook {book.name} moves nothing, so it takes no --from and no --to", known)
        return
    if origin is None or target is None:
        raise _wrong_direction(f"runbook {book.name} needs --from SITE and --to SITE", known)
    for word, site in (("--from", origin), ("--to", target)):
        if site not in able:
            raise _wrong_direction(f"{word} {site!r} is not a site that can hold workloads", known)
    if origin == target:
        raise _wrong_direction(f"--from and --to are both {origin}", known)


def _wrong_direction(what: str, known: str) -> UsageError:
    return UsageError(what, not_done="nothing was planned", next_step=known)


def problems_of(steps: Sequence[Step], estate: Estate) -> Iterator[tuple[str, str]]:
    """Yield (step, what is wrong) for everything in the steps that can't be meant."""
    names = [step.name for step in steps]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield name, "two steps have this name"
    for step in steps:
        yield from ((step.name, what) for what in _problems_of_step(step, set(names), estate))
    try:
        ordered = dependency_order(steps)
    except graphlib.CycleError as error:
        yield str(error.args[1][0]), f"the steps wait for each other: {' -> '.join(error.args[1])}"
        return
    yield from _problems_of_reading(ordered)
    yield from steps_nobody_consents_to(ordered)
    if not steps:
        yield "", "the runbook built no steps"


def _problems_of_step(step: Step, names: set[str], estate: Estate) -> Iterator[str]:
    if not step.name or any(char in step.name for char in "/#: \n\t") or not step.name.isprintable():
        yield "a name must be printable and hold no space and none of / # :"
    if step.timeout <= dt.timedelta(0):
        yield "the timeout must be longer than nothing"
    yield from (f"it comes after {name}, which is no step" for name in step.after if name not in names)
    named = dict.fromkeys((*step.hosts, *(one.host for one in (*step.commands, *step.undo_commands))))
    yield from (f"{host} is no host of {estate.name}" for host in named if host not in estate.hosts)
    if step.undo_commands and step.undo is None:
        yield "a person could undo it and the engine could not"
    if step.reads_only and (step.undo is not None or step.gate is not None):
        yield "it only reads, so there is nothing to undo or to consent to"
    if step.verify and step.probe is None:
        yield "it is to be verified and has no probe"
    yield from (f"no rule is known for the guard {guard.name}" for guard in step.guards if guard.name not in GUARDS)
    yield from reasons_not_to_destroy(step, estate)


def _problems_of_reading(ordered: Sequence[Step]) -> Iterator[tuple[str, str]]:
    """A result may be read only by steps that follow the one that leaves it."""
    ancestors: dict[str, set[str]] = {}
    for step in ordered:
        mine = set(step.after).union(*(ancestors.get(name, set()) for name in step.after))
        ancestors[step.name] = mine
        reads = {name for guard in step.guards for name in guard.on}
        for called in (step.call, step.probe, step.undo):
            reads |= {name for name, _ in references(dict(called.arguments))} if called else set()
        for name in sorted(reads - mine):
            yield step.name, f"it reads the result of {name} and does not follow it"
