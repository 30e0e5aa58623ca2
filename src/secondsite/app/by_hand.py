"""Runs of a drill in which one runbook is carried out by hand: from the page kept at the surviving site, over ssh.

Nothing of the engine takes part in that one. What the walk reports becomes the same records as a run's, on the same
clock, so that it is measured like any other.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..drill.ports import RunEnd
from ..drill.rules import mark_of
from ..errors import Refused
from ..estate.model import SiteName
from ..hands.walking import PrintedWalk
from ..plan.document import plan_document
from ..plan.model import Plan
from ..probes.remote.collectors.procedures import PLACE
from ..run.model import Authorship
from .places import PROJECT
from .runs import DrillRuns

WALK = PROJECT / "drtests" / "by_hand" / "walk.py"
_TIMEOUT = dt.timedelta(seconds=10)


@dataclass(kw_only=True)
class RunsByHand:
    """Carries ``runbook`` out by hand, and every other one as the engine does."""

    runbook: str
    engine: DrillRuns
    _walk: PrintedWalk | None = field(default=None, init=False)
    _seen: list[Mapping[str, object]] = field(default_factory=list, init=False)
    _kept_at: str = field(default="", init=False)
    _digest: str = field(default="", init=False)
    _authorships: dict[str, Authorship] = field(default_factory=dict, init=False)

    def run(self, runbook: str, *, origin: SiteName, target: SiteName) -> RunEnd:
        """Carry a run to its end, record its steps, and say how it ended."""
        if runbook != self.runbook:
            return self.engine.run(runbook, origin=origin, target=target)
        plan = self.engine.plan_for(runbook, origin, target)
        self._walk = PrintedWalk(
            script=WALK,
            page=self._page(plan, target),
            ssh_config=self.engine.bench.trust.ssh_config,
            persons=self._persons(origin),
            mark=self.engine.bench.trust.mark,
        )
        titles = {step.name: step.title for step in plan.steps}
        for event in self._walk.events():
            self._seen.append(event)
            self._tell(event, plan, titles)
        state = self._walk.ended()
        for line in _step_lines(plan, self._seen):
            self.engine.records.append("steps", line)
        return RunEnd(number=0, name=f"{runbook} by hand", state=state, why=_why(self._seen) if state != "done" else "")

    def move(self, runbook: str, *, origin: SiteName, target: SiteName) -> RunEnd:
        """Carry a run to its end that is no part of what is measured; the engine does."""
        return self.engine.move(runbook, origin=origin, target=target)

    def number(self) -> int:
        """Return the number of the engine's run begun last."""
        return self.engine.number()

    def reached(self, event: str) -> bool:
        """Say whether the run in flight has come to where this instant of the disruption is marked."""
        done = (str(one.get("step")) for one in list(self._seen) if one["event"] == "step-done")
        return event in map(mark_of, done) or self.engine.reached(event)

    def waits_at(self) -> str | None:
        """Name the gate at which the engine waits; by hand, nobody waits for a signature."""
        return self.engine.waits_at()

    def stop(self) -> None:
        """End the walk, and ask a run of the engine to start no further step."""
        if self._walk is not None:
            self._walk.stop()
        self.engine.stop()

    def approvals(self) -> list[dict[str, object]]:
        """Return every consent: by hand it was written down, and nobody could check a signature."""
        return [*_consents(self.runbook, self._seen), *self.engine.approvals()]

    def authorships(self) -> Mapping[str, Authorship]:
        """Return who answers for the runbook whose page was carried out, by the name of its plan in the evidence."""
        return self._authorships

    def limitations(self) -> list[str]:
        """Say what a report must know of who carried it out."""
        if not self._digest:
            return []
        page = f"the printed procedure kept at {self._kept_at}, digest {self._digest}"
        return [
            f"the {self.runbook} was carried out by hand from {page}: a program read it, typed its commands over ssh"
            " and compared the answers, with nothing of the engine; a person types slower, and makes mistakes",
            "consent by hand is a name on paper: nobody signed, and nothing checked who it was",
        ]

    def _page(self, plan: Plan, target: SiteName) -> Path:
        """Fetch the page that is kept at the site which takes over, and keep it and its plan with the drill's evidence.

        Raises:
            Refused: it was printed from another plan.
        """
        self._kept_at = str(self.engine.bench.estate.procedure_hosts()[target])
        name = f"{plan.runbook}-{plan.origin}-{plan.target}.md"
        text = self.engine.bench.hands.run(self._kept_at, ["cat", f"{PLACE}/{name}"], timeout=_TIMEOUT).stdout
        if f"`{plan.digest}`" not in text:
            what = f"the {name} kept at {self._kept_at} is not of today's plan"
            raise Refused(what, next_step="secondsite run provision")
        self._digest = plan.digest
        self.engine.plans.mkdir(exist_ok=True)
        page = self.engine.plans / name
        page.write_text(text, encoding="utf-8")
        page.with_suffix(".json").write_text(json.dumps(plan_document(plan)), encoding="utf-8")
        self._authorships[page.stem] = self.engine.bench.authors.answering_for(plan)
        return page

    def _persons(self, lost: SiteName) -> list[str]:
        return [one.name for one in self.engine.bench.estate.persons if one.approves and one.site != lost][:2]

    def _tell(self, event: Mapping[str, object], plan: Plan, titles: Mapping[str, str]) -> None:
        step = str(event.get("step", ""))
        if event["event"] == "answered" and event.get("good") is not True:
            self.engine.view.say(f"by hand: {event.get('command')} on {event.get('host')}: no good answer")
        if event["event"] != "step-done":
            return
        self.engine.view.say(f"by hand: {titles.get(step, step)}")
        mark = mark_of(step)
        if mark is None:
            return
        details: dict[str, object] = {"step": step}
        if mark == "fenced":
            details |= {"fencing": "confirmed", "rule": _RULE, "observations": list(_observations(plan, self._seen))}
        if mark == "approved":
            details["by"] = "persons"
        self.engine.records.append("events", {"t": event["t"], "event": mark, "detail": details})


_RULE = "by hand: the good answers were printed, and they came, from every step that the confirmation reads (ADR 0005)"


def _observations(plan: Plan, seen: list[Mapping[str, object]]) -> Iterator[dict[str, object]]:
    """Yield what the hosts answered to the commands of the steps that confirm the fencing."""
    read = {name for guard in plan.step("confirm-fencing").guards for name in guard.on}
    for event in seen:
        if event["event"] == "answered" and event.get("step") in read and event.get("good") is True:
            yield {name: event.get(name) for name in ("step", "host", "answer")}


def _step_lines(plan: Plan, seen: list[Mapping[str, object]]) -> Iterator[dict[str, object]]:
    """Yield one record per step of the plan, those that were never begun included."""
    begun, done = (
        {str(one["step"]): one["t"] for one in seen if one["event"] == event} for event in ("step-begun", "step-done")
    )
    for step in plan.steps:
        answers = [one for one in seen if one["event"] == "answered" and one.get("step") == step.name]
        ended = done.get(step.name, answers[-1]["t"] if answers else None)
        yield {
            "step": f"{plan.runbook}/{step.name}",
            "title": step.title,
            "hosts": list(step.hosts),
            "attempt": max([1, *(int(str(one["try"])) for one in answers)]),
            "t0": begun.get(step.name),
            "t1": ended if step.name in begun else None,
            "outcome": "done" if step.name in done else "failed" if step.name in begun else "never-executed",
            "after": [f"{plan.runbook}/{name}" for name in step.after],
            "runbook": plan.runbook,
            "waited_on_people_s": 0.0,
            "detail": f"by hand: {len(answers)} answers"[:500],
        }


def _consents(runbook: str, seen: list[Mapping[str, object]]) -> Iterator[dict[str, object]]:
    for event in seen:
        if event["event"] == "consented":
            gate = f"{runbook}/{event['step']}"
            at = event["t"]
            yield {"gate": gate, "by": "persons", "persons": event["persons"], "asked": at, "answered": at}


def _why(seen: list[Mapping[str, object]]) -> str:
    return "; ".join(str(one.get("why"))[:400] for one in seen if one["event"] == "stopped") or "it did not say why"
