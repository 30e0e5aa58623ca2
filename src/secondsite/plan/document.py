"""A plan as a JSON document and back, and the digest over it."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import NotRequired, TypedDict, cast

from ..errors import StepMismatch
from .model import Call, Command, Gate, Guard, Intent, Plan, Step

SCHEMA_VERSION = 1


class CallDocument(TypedDict):
    """A call as JSON."""

    name: str
    arguments: dict[str, object]


class GuardDocument(TypedDict):
    """A guard as JSON."""

    name: str
    on: list[str]
    arguments: dict[str, object]


class GateDocument(TypedDict):
    """A gate as JSON."""

    persons: int
    standing_order: bool


class CommandDocument(TypedDict):
    """What a person types, as JSON."""

    host: str
    account: str
    text: str
    good: list[list[str]]
    otherwise: str


class StepDocument(TypedDict):
    """A step as JSON; durations are whole milliseconds. What a person types is left out where there is nothing."""

    name: str
    title: str
    call: CallDocument
    hosts: list[str]
    after: list[str]
    guards: list[GuardDocument]
    gate: GateDocument | None
    probe: CallDocument | None
    repeatable: bool
    reads_only: bool
    verify: bool
    undo: CallDocument | None
    timeout_ms: int
    expected_ms: int
    by_hand: str
    destroys: NotRequired[list[str]]
    """Left out when there is none, so that plans from before it was known keep their digest."""
    commands: NotRequired[list[CommandDocument]]
    undo_commands: NotRequired[list[CommandDocument]]


class PlanDocument(TypedDict):
    """A plan as JSON."""

    schema_version: int
    runbook: str
    title: str
    intent: str
    estate: str
    estate_digest: str
    origin: str | None
    target: str | None
    steps: list[StepDocument]
    pins: dict[str, str]
    digest: str


def canonical_json(value: object) -> bytes:
    """Return the one byte form of a JSON value: sorted keys, no spaces, UTF-8, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def plan_digest(plan: Plan) -> str:
    """Return the SHA-256 over everything in the plan except the digest itself."""
    content = cast("dict[str, object]", dict(plan_document(plan)))
    del content["digest"]
    return hashlib.sha256(canonical_json(content)).hexdigest()


def sealed(plan: Plan) -> Plan:
    """Return the plan with its digest filled in."""
    return replace(plan, digest=plan_digest(plan))


def plan_document(plan: Plan) -> PlanDocument:
    """Return the plan as a JSON document."""
    return {
        "schema_version": SCHEMA_VERSION,
        "runbook": plan.runbook,
        "title": plan.title,
        "intent": plan.intent.value,
        "estate": plan.estate,
        "estate_digest": plan.estate_digest,
        "origin": plan.origin,
        "target": plan.target,
        "steps": [_step_document(step) for step in plan.steps],
        "pins": dict(sorted(plan.pins.items())),
        "digest": plan.digest,
    }


def plan_from_document(document: PlanDocument) -> Plan:
    """Return the plan a document describes.

    Raises:
        StepMismatch: the document is of another version, or its digest is not that of its content.
    """
    if document["schema_version"] != SCHEMA_VERSION:
        raise StepMismatch(
            f"the plan was written in version {document['schema_version']}, this engine reads {SCHEMA_VERSION}",
            not_done="the run was not touched",
            next_step="resume it with the version of secondsite that began it",
        )
    plan = Plan(
        runbook=document["runbook"],
        title=document["title"],
        intent=Intent(document["intent"]),
        estate=document["estate"],
        estate_digest=document["estate_digest"],
        origin=document["origin"],
        target=document["target"],
        steps=tuple(_step(step) for step in document["steps"]),
        pins=dict(document["pins"]),
        digest=document["digest"],
    )
    if plan_digest(plan) != plan.digest:
        raise StepMismatch(
            f"the plan of runbook {plan.runbook} does not have the digest written in it",
            not_done="nothing was performed",
            next_step="somebody edited plan.json: restore it, or abort the run and start a new one",
        )
    return plan


def milliseconds(duration: dt.timedelta) -> int:
    """Return whole milliseconds."""
    return duration // dt.timedelta(milliseconds=1)


def _call_document(call: Call) -> CallDocument:
    return {"name": call.name, "arguments": dict(call.arguments)}


def _step_document(step: Step) -> StepDocument:
    document: StepDocument = {
        "name": step.name,
        "title": step.title,
        "call": _call_document(step.call),
        "hosts": list(step.hosts),
        "after": list(step.after),
        "guards": [{"name": g.name, "on": list(g.on), "arguments": dict(g.arguments)} for g in step.guards],
        "gate": {"persons": step.gate.persons, "standing_order": step.gate.standing_order} if step.gate else None,
        "probe": _call_document(step.probe) if step.probe else None,
        "repeatable": step.repeatable,
        "reads_only": step.reads_only,
        "verify": step.verify,
        "undo": _call_document(step.undo) if step.undo else None,
        "timeout_ms": milliseconds(step.timeout),
        "expected_ms": milliseconds(step.expected),
        "by_hand": step.by_hand,
    }
    if step.destroys:
        document["destroys"] = list(step.destroys)
    if step.commands:  # a plan from before there were any keeps its digest
        document["commands"] = [_command_document(one) for one in step.commands]
    if step.undo_commands:
        document["undo_commands"] = [_command_document(one) for one in step.undo_commands]
    return document


def _command_document(one: Command) -> CommandDocument:
    good = [list(answer) for answer in one.good]
    return {"host": one.host, "account": one.account, "text": one.text, "good": good, "otherwise": one.otherwise}


def _command(document: CommandDocument) -> Command:
    return Command(
        host=document["host"],
        account=document["account"],
        text=document["text"],
        good=tuple(tuple(answer) for answer in document["good"]),
        otherwise=document["otherwise"],
    )


def _call(document: Mapping[str, object] | None) -> Call | None:
    if document is None:
        return None
    return Call(name=str(document["name"]), arguments=cast("Mapping[str, object]", document["arguments"]))


def _step(document: StepDocument) -> Step:
    gate = document["gate"]
    return Step(
        name=document["name"],
        title=document["title"],
        call=Call(name=document["call"]["name"], arguments=document["call"]["arguments"]),
        hosts=tuple(document["hosts"]),
        after=tuple(document["after"]),
        guards=tuple(Guard(name=g["name"], on=tuple(g["on"]), arguments=g["arguments"]) for g in document["guards"]),
        gate=Gate(persons=gate["persons"], standing_order=gate["standing_order"]) if gate else None,
        probe=_call(document["probe"]),
        repeatable=document["repeatable"],
        reads_only=document["reads_only"],
        verify=document["verify"],
        undo=_call(document["undo"]),
        timeout=dt.timedelta(milliseconds=document["timeout_ms"]),
        expected=dt.timedelta(milliseconds=document["expected_ms"]),
        by_hand=document["by_hand"],
        destroys=tuple(document.get("destroys", ())),
        commands=tuple(_command(one) for one in document.get("commands", ())),
        undo_commands=tuple(_command(one) for one in document.get("undo_commands", ())),
    )
