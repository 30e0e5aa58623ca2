"""A plan as the procedure a person can carry out by hand, in Markdown and in HTML."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from functools import cache

import jinja2

from ..plan.model import Call, Plan, Step
from ..plan.rules import critical_path, flags
from .text import clean

_BY_HAND_LIMIT = 4000
_MARKDOWN_MARKS = "\\`*_{}[]()#+!|<>~"


def plan_html(plan: Plan, measured: Mapping[str, dt.timedelta]) -> str:
    """Return one HTML page that loads nothing from elsewhere; every value is escaped."""
    return _environment(html=True).get_template("plan.html.j2").render(_words(plan, measured))


def plan_markdown(plan: Plan, measured: Mapping[str, dt.timedelta]) -> str:
    """Return a Markdown page; values that hold Markdown or HTML marks are escaped."""
    return _environment(html=False).get_template("plan.md.j2").render(_words(plan, measured))


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


def _words(plan: Plan, measured: Mapping[str, dt.timedelta]) -> dict[str, object]:
    path = critical_path(plan, measured=measured)
    return {
        "title": clean(plan.title),
        "direction": clean(f": from {plan.origin} to {plan.target}") if plan.origin else "",
        "estate": clean(plan.estate),
        "digest": plan.digest,
        "predicted": _seconds(path.duration),
        "path": [clean(name) for name in path.steps],
        "flags": [clean(flag, longest=_BY_HAND_LIMIT) for flag in flags(plan)],
        "steps": [_step(step, plan, measured, critical=step.name in path.steps) for step in plan.steps],
        "pins": sorted(plan.pins.items()),
    }


def _step(step: Step, plan: Plan, measured: Mapping[str, dt.timedelta], *, critical: bool) -> dict[str, object]:
    numbers = {one.name: place for place, one in enumerate(plan.steps, start=1)}
    return {
        "number": numbers[step.name],
        "name": clean(step.name),
        "title": clean(step.title),
        "hosts": ", ".join(clean(host) for host in step.hosts) or "the controller",
        "after": ", ".join(f"{numbers[name]} ({clean(name)})" for name in step.after),
        "guards": [clean(f"{g.name} (from {', '.join(g.on)})" if g.on else g.name) for g in step.guards],
        "gate": _gate(step),
        "by_hand": _lines(step.by_hand),
        "automatic": _call(step.call),
        "check": _call(step.probe) if step.probe else "",
        "undo": "It only reads." if step.reads_only else _call(step.undo) if step.undo else "Nothing: irreversible.",
        "seconds": _seconds(measured.get(step.name, step.expected)),
        "limit": _seconds(step.timeout),
        "critical": critical,
    }


def _gate(step: Step) -> str:
    if step.gate is None:
        return ""
    persons = f"{step.gate.persons} {'persons' if step.gate.persons > 1 else 'person'}"
    return f"{persons} must consent" + (", or a standing order that covers it" if step.gate.standing_order else "")


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
