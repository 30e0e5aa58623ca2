"""A plan as the procedure a person can carry out by hand, in Markdown and in HTML."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import jinja2

from ..estate.model import Estate, HostName
from ..plan.model import Call, Command, Guard, Plan, Step
from ..plan.rules import critical_path, flags, rounds
from .text import clean

PRINTED = "Printed on"
"""How the one line begins that differs from one printing to the next."""
_BY_HAND_LIMIT = 4000
_MARKDOWN_MARKS = "\\`*_{}[]()#+!|<>~"


@dataclass(frozen=True, slots=True, kw_only=True)
class Printing:
    """What a page holds besides the plan: when it was printed, whom to call, where the hosts are.

    ``measured`` is how long steps took in earlier runs. Without an estate the page names no persons and no addresses.
    """

    at: dt.datetime
    estate: Estate | None = None
    measured: Mapping[str, dt.timedelta] = field(default_factory=dict)


def plan_html(plan: Plan, printing: Printing) -> str:
    """Return one HTML page that loads nothing from elsewhere; every value is escaped."""
    return _environment(html=True).get_template("plan.html.j2").render(_words(plan, printing))


def plan_markdown(plan: Plan, printing: Printing) -> str:
    """Return a Markdown page; values that hold Markdown or HTML marks are escaped."""
    return _environment(html=False).get_template("plan.md.j2").render(_words(plan, printing))


@cache
def _environment(*, html: bool) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("secondsite.reports"),
        undefined=jinja2.StrictUndefined,
        autoescape=html,  # noqa: S701  Markdown has marks of its own, which the filter `md` escapes
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = _markdown
    environment.filters["block"] = _block
    return environment


def _words(plan: Plan, printing: Printing) -> dict[str, object]:
    path = critical_path(plan, measured=printing.measured)
    in_rounds = rounds(plan)
    numbers = {step.name: place for place, step in enumerate((s for one in in_rounds for s in one), start=1)}
    told = [[_step(step, numbers, printing, critical=step.name in path.steps) for step in one] for one in in_rounds]
    return {
        "title": clean(plan.title),
        "direction": clean(f": from {plan.origin} to {plan.target}") if plan.origin else "",
        "estate": clean(plan.estate),
        "estate_digest": plan.estate_digest,
        "digest": plan.digest,
        "printed": f"{PRINTED} {printing.at:%Y-%m-%d at %H:%M:%S} UTC",
        "predicted": _seconds(path.duration),
        "source": "as earlier runs took" if printing.measured else "as the plan expects",
        "path": [f"{numbers[name]} {clean(name)}" for name in path.steps],
        "flags": [clean(flag, longest=_BY_HAND_LIMIT) for flag in flags(plan)],
        "rounds": told,
        "persons": _persons(printing.estate),
        "hosts": _hosts(plan, printing.estate),
        "pins": sorted(plan.pins.items()),
    }


def _step(step: Step, numbers: Mapping[str, int], printing: Printing, *, critical: bool) -> dict[str, object]:
    return {
        "number": numbers[step.name],
        "name": clean(step.name),
        "title": clean(step.title),
        "hosts": ", ".join(clean(host) for host in step.hosts) or "no host: whoever conducts",
        "after": ", ".join(f"{numbers[name]} ({clean(name)})" for name in step.after),
        "guards": [_guard(guard, numbers) for guard in step.guards],
        "gate": _gate(step),
        "signatures": range(1, step.gate.persons + 1) if step.gate else (),
        "approvers": _approvers(printing.estate) if step.gate else "",
        "by_hand": _lines(step.by_hand),
        "commands": [_command(one) for one in step.commands],
        "undo_commands": [_command(one) for one in step.undo_commands],
        "automatic": _call(step.call),
        "check": _call(step.probe) if step.probe else "",
        "undo": _undo(step),
        "irreversible": not step.may_repeat and step.undo is None,
        "seconds": _seconds(printing.measured.get(step.name, step.expected)),
        "limit": _seconds(step.timeout),
        "critical": critical,
    }


def _command(command: Command) -> dict[str, object]:
    return {
        "host": clean(command.host),
        "account": clean(command.account),
        "text": _lines(command.text),
        "good": ["\n".join(clean(line, longest=_BY_HAND_LIMIT) for line in answer) for answer in command.good],
        "otherwise": clean(command.otherwise, longest=_BY_HAND_LIMIT),
    }


def _guard(guard: Guard, numbers: Mapping[str, int]) -> str:
    read = ", ".join(f"{numbers[name]} ({name})" for name in guard.on)
    return clean(f"{guard.name}: a good answer came in {read}" if read else guard.name, longest=_BY_HAND_LIMIT)


def _undo(step: Step) -> str:
    if step.undo is not None:
        return _call(step.undo)
    if step.reads_only:
        return "It only reads."
    return "Nothing is left to undo; it may be done again." if step.repeatable else "Nothing: irreversible."


def _gate(step: Step) -> str:
    if step.gate is None:
        return ""
    persons = f"{step.gate.persons} {'persons' if step.gate.persons > 1 else 'person'}"
    return f"{persons} must consent" + (", or a standing order that covers it" if step.gate.standing_order else "")


def _approvers(estate: Estate | None) -> str:
    named = [person for person in estate.persons if person.approves] if estate is not None else []
    if not named:
        return "whoever the estate's file of approvers names"
    return ", ".join(clean(f"{person.name} ({person.phone})") for person in named)


def _persons(estate: Estate | None) -> list[dict[str, str]]:
    return [
        {
            "name": clean(person.name),
            "role": clean(person.role, longest=_BY_HAND_LIMIT),
            "phone": clean(person.phone),
            "site": clean(person.site or ""),
            "may": "may consent" if person.approves else "",
        }
        for person in (estate.persons if estate is not None else ())
    ]


def _hosts(plan: Plan, estate: Estate | None) -> list[dict[str, str]]:
    """Name every host that a command is typed on, and where it is reached."""
    if estate is None:
        return []
    commands: Sequence[Command] = [one for step in plan.steps for one in (*step.commands, *step.undo_commands)]
    typed = [estate.hosts[HostName(name)] for name in dict.fromkeys(one.host for one in commands)]
    return [
        {"name": clean(host.name), "site": clean(host.site), "address": str(host.management)}
        for host in sorted(typed, key=lambda host: (host.site, host.name))
    ]


def _call(call: Call) -> str:
    words = ", ".join(f"{name}={value}" for name, value in call.arguments.items())
    return clean(f"{call.name}({words})", longest=_BY_HAND_LIMIT)


def _lines(text: str) -> str:
    return "\n".join(clean(line, longest=_BY_HAND_LIMIT) for line in text.splitlines())


def _seconds(duration: dt.timedelta) -> str:
    return f"{round(duration.total_seconds(), 2):g} s"


def _markdown(text: str) -> str:
    return "".join(f"\\{char}" if char in _MARKDOWN_MARKS else char for char in text)


def _block(text: str) -> str:
    """Indent as a Markdown code block, in which nothing has a meaning."""
    return "\n".join(f"    {line}" for line in text.splitlines())
