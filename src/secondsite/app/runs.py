"""Runs inside a drill: each is a run of its own, and each of its steps becomes a record of the drill."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..drill.ports import Records, RunEnd, View
from ..drill.rules import mark_of
from ..estate.model import SiteName
from ..plan.model import Intent, Plan, Step
from ..plan.rules import confirming_rules
from ..run.model import Authorship, RunResult, StepRecord, StepState, Transition
from ..run.ports import NotCovered
from ..run.stop import Stop
from ..store.folders import RunFolder
from ..store.runs import Session
from .bench import Bench
from .desks import Desks
from .standby import Standby

_ENDED_WELL = frozenset({StepState.DONE, StepState.VERIFIED})
_OUTCOMES: Mapping[StepState, str] = {
    StepState.DONE: "done",
    StepState.VERIFIED: "verified",
    StepState.FAILED: "failed",
    StepState.NOT_VERIFIED: "failed",
    StepState.REFUSED: "refused",
    StepState.PLANNED: "never-executed",
    StepState.WAITING: "never-executed",
    StepState.INTENDED: "unknown",
    StepState.IN_DOUBT: "unknown",
    StepState.UNKNOWN: "unknown",
}
_STOPPED = 130


@dataclass(kw_only=True)
class DrillRuns:
    """Carries runs to their end within one drill's session, and records what they did."""

    bench: Bench
    session: Session
    plan_for: Callable[[str, SiteName | None, SiteName | None], Plan]
    records: Records
    plans: Path
    view: View
    desks: Desks
    standby: Standby
    by_persons: bool = False
    _stop: Stop = field(default_factory=Stop, init=False)
    _number: int = field(default=0, init=False)
    _reached: set[str] = field(default_factory=set, init=False)
    begun: list[RunFolder] = field(default_factory=list, init=False)
    _ended: list[tuple[Plan, RunResult, list[Transition]]] = field(default_factory=list, init=False)

    def run(self, runbook: str, *, origin: SiteName, target: SiteName) -> RunEnd:
        """Carry a run to its end, record its steps, and say how it ended."""
        plan, folder = self._begun(runbook, origin, target)
        seen: list[Transition] = []
        self._reached = set()
        watch = Watch(plan=plan, records=self.records, view=self.view, seen=seen, reached=self._reached)
        crew = self.bench.crew(watch, self.desks, self.standby)
        if self.by_persons and plan.intent is Intent.FAILOVER:
            crew = replace(crew, orders=_NoOrders())
        result = self.session.start(folder, crew, stop=self._stop)
        self._ended.append((plan, result, seen))
        for line in step_lines(plan, result, seen):
            self.records.append("steps", line)
        return end_of(folder, runbook, result)

    def move(self, runbook: str, *, origin: SiteName, target: SiteName) -> RunEnd:
        """Carry a run to its end that is no part of what is measured, and say how it ended."""
        plan, folder = self._begun(runbook, origin, target)
        titles = {step.name: step.title for step in plan.steps}

        def tell(transition: Transition, /) -> None:
            if transition.state in _ENDED_WELL:
                self.view.say(f"{runbook}: {titles.get(transition.step, transition.step)}")

        return end_of(folder, runbook, self.session.start(folder, self.bench.crew(tell, self.standby), stop=self._stop))

    def _begun(self, runbook: str, origin: SiteName, target: SiteName) -> tuple[Plan, RunFolder]:
        plan = self.plan_for(runbook, origin, target)
        folder = self.session.begin(plan)
        self._number = folder.number
        self.begun.append(folder)
        self.plans.mkdir(exist_ok=True)
        shutil.copyfile(folder.path / "plan.json", self.plans / f"{folder.id}.json")
        return plan, folder

    def number(self) -> int:
        """Return the number of the run begun last."""
        return self._number

    def reached(self, event: str) -> bool:
        """Say whether the run in flight has come to where this instant of the disruption is marked."""
        return event in self._reached

    def waits_at(self) -> str | None:
        """Name the gate at which the run in flight waits for persons, if it does."""
        return next((one.gate for one in self.desks.waiting()), None)

    def stop(self) -> None:
        """Ask the run in flight to start no further step."""
        self._stop.ask(exit_code=_STOPPED)

    def limitations(self) -> list[str]:
        """Say nothing: what a report must know of the engine, others say."""
        return []

    def authorships(self) -> Mapping[str, Authorship]:
        """Return who answers for what no run of the engine carried out: nothing here."""
        return {}

    def approvals(self) -> list[dict[str, object]]:
        """Return every consent that was given in these runs."""
        return [one for plan, result, seen in self._ended for one in consents(plan, result, seen)]


class _NoOrders:
    """No standing order counts for what answers the fault: this drill is about consent by persons."""

    def covering(self, plan: Plan, step: Step) -> NotCovered:
        """Cover nothing."""
        return NotCovered(reasons=(f"this drill has persons consent to {step.name} of {plan.runbook}",))


@dataclass(kw_only=True)
class Watch:
    """Turns what the engine reports into events of the drill and lines for a person."""

    plan: Plan
    records: Records
    view: View
    seen: list[Transition]
    reached: set[str]

    def __call__(self, transition: Transition, /) -> None:
        """Take note of it."""
        self.seen.append(transition)
        title = next((step.title for step in self.plan.steps if step.name == transition.step), transition.step)
        if transition.state in _ENDED_WELL:
            self._mark(transition)
            self.view.say(f"{self.plan.runbook}: {title}")
        elif transition.state.ended_badly:
            if transition.step == "confirm-fencing":
                self._event(transition, "fenced", {"fencing": _refuted(transition), "observations": []})
            self.view.say(f"{self.plan.runbook}: {transition.state.value.upper()}: {title} {_reasons(transition)}")

    def _mark(self, transition: Transition) -> None:
        event = mark_of(transition.step)
        if event is None or self.plan.runbook == "provision":
            return
        details: dict[str, object] = {"step": transition.step}
        if event == "fenced":
            details |= {
                "fencing": "confirmed",
                "rule": "; and ".join(_rules(self.plan, transition.step, self.seen)),
                "observations": [dict(one.detail) for one in self.seen if _observes_fencing(one)],
            }
        if event == "approved":
            consents = [one.detail for one in self.seen if one.step == transition.step and one.detail.get("granted")]
            by_order = any(consent.get("standing_order") for consent in consents)
            details["by"] = "standing-order" if by_order else "persons"
        self._event(transition, event, details)
        self.reached.add(event)

    def _event(self, transition: Transition, event: str, details: Mapping[str, object]) -> None:
        self.records.append("events", {"t": transition.t, "event": event, "detail": dict(details)})


def step_lines(plan: Plan, result: RunResult, seen: list[Transition]) -> Iterator[dict[str, object]]:
    """Yield one record per step of the plan, those that were never executed included."""
    for step in plan.steps:
        record = result.steps[step.name]
        begun = [one.t for one in seen if one.step == step.name and one.state is StepState.INTENDED]
        ended = [one.t for one in seen if one.step == step.name and one.state not in _UNDER_WAY]
        yield {
            "step": f"{plan.runbook}/{step.name}",
            "title": step.title,
            "hosts": list(step.hosts),
            "attempt": max(1, record.attempts),
            "t0": begun[0] if begun else None,
            "t1": ended[-1] if begun and ended else None,
            "outcome": _OUTCOMES[record.state],
            "after": [f"{plan.runbook}/{name}" for name in step.after],
            "runbook": plan.runbook,
            "waited_on_people_s": _waited_on_people(step, record),
            "detail": _told(record)[:500],
        }


def consents(plan: Plan, result: RunResult, seen: list[Transition]) -> Iterator[dict[str, object]]:
    """Yield one record per consent: who gave it to which step, when it was asked for and when it was given."""
    for name, record in result.steps.items():
        answered = [one.t for one in seen if one.step == name and "granted" in one.detail]
        if record.consent is not None and answered:
            yield {
                "gate": f"{plan.runbook}/{name}",
                "by": "standing-order" if record.consent.standing_order else "persons",
                "persons": list(record.consent.by),
                "asked": answered[-1] - record.consent.waited_ms / 1000,
                "answered": answered[-1],
            }


_UNDER_WAY = frozenset({StepState.PLANNED, StepState.WAITING, StepState.INTENDED, StepState.IN_DOUBT})


def _waited_on_people(step: Step, record: StepRecord) -> float:
    if step.gate is None or record.consent is None or record.consent.standing_order:
        return 0.0
    return record.consent.waited_ms / 1000


def _told(record: StepRecord) -> str:
    if record.result is None:
        return "; ".join(record.reasons)
    return record.result.error or "; ".join(record.reasons) or str(dict(record.result.detail))


def end_of(folder: RunFolder, runbook: str, result: RunResult) -> RunEnd:
    """Say how a run ended, in the drill room's words."""
    why = "; ".join([*result.reasons, *_troubles(result)])
    return RunEnd(number=folder.number, name=runbook, state=result.state.value, why=why)


def _troubles(result: RunResult) -> Iterator[str]:
    for name, record in result.steps.items():
        if record.state.ended_badly:
            yield f"{name} {record.state.value}: {_told(record)}"


def _observes_fencing(transition: Transition) -> bool:
    return transition.state in _ENDED_WELL and bool({"dropping", "customers", "outlets"} & set(transition.detail))


def _rules(plan: Plan, step: str, seen: list[Transition]) -> tuple[str, ...]:
    """Name the rules that confirmed the fencing, by what the steps found that the step's guard reads."""
    found = {one.step: one.detail for one in seen if one.state in _ENDED_WELL}
    guards = next(one.guards for one in plan.steps if one.name == step)
    return tuple(
        rule
        for guard in guards
        if guard.name == "fencing-confirmed"
        for rule in confirming_rules({name: found.get(name, {}) for name in guard.on}, guard.arguments)
    )


def _refuted(transition: Transition) -> str:
    return "failed" if "fencing of the old primary is failed" in _reasons(transition) else "unknown"


def _reasons(transition: Transition) -> str:
    told = transition.detail.get("reasons") or transition.detail.get("error") or ""
    return "; ".join(str(one) for one in told) if isinstance(told, list | tuple) else str(told)
