"""Two persons may let pass what a guard refuses, each reason by itself, and nobody overlooks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from secondsite.app.readiness import overrides_in
from secondsite.checks.readiness import Override
from secondsite.errors import Refused, UsageError
from secondsite.estate.load import load_estate
from secondsite.plan.load import load_plan
from secondsite.run.model import Json, NoteKind, RunState, StepState, Transition
from secondsite.run.overrides import OVERRIDABLE
from secondsite.run.rules import remarks_in
from secondsite.run.service import answer_for, answer_gate, resume_run, start_run
from secondsite.run.stop import Stop
from secondsite.sim.facts import favourable_facts
from secondsite.sim.world import (
    OrdersFor,
    SimulatedApprovers,
    SimulatedEngine,
    SimulatedWorld,
    at_once,
    sign_in_simulation,
)

ROOT = Path(__file__).resolve().parents[3]
PLAN = load_plan(
    "failover",
    directory=ROOT / "runbooks",
    root=ROOT,
    estate=load_estate(ROOT / "inventories" / "small"),
    origin="dc1",
    target="dc2",
)
LACKS = "db-dc2 lacks at least 4096 bytes of db-dc1's log"
BAD: dict[str, dict[str, Json]] = {
    "fencing-confirmed": {"read-back-carrier-a": {"dropping": {"carrier-a": False}}},
    "in-sync": {"read-lease-billing": {"loses_nothing": False, "lacks": LACKS}},
}
STANDS_BEFORE = {"fencing-confirmed": "confirm-fencing", "in-sync": "promote-billing"}


def engine_with(*bad: str, **more: Json) -> SimulatedEngine:
    finds = {name: dict(found) for name, found in favourable_facts(PLAN).items()}
    for one in bad:
        for step, found in BAD[one].items():
            finds[step].update(found)
    for step, found in more.items():
        finds[step.replace("_", "-")].update(found)
    world = SimulatedWorld(finds=finds)
    return SimulatedEngine(plan=PLAN, world=world, orders=OrdersFor(signers=("ana", "bo")), launch=at_once)


def begin(engine: SimulatedEngine, *guards: str, hears: Callable[[Transition], None]) -> RunState:
    given = [Override(check=one, why="asked", who="ana", reason="both carriers burn") for one in guards]
    kit = replace(engine.kit(), observers=(hears,))
    return start_run(PLAN, run=engine.run, kit=kit, stop=Stop(), overrides=given).state


def says(engine: SimulatedEngine, gates: list[str], *who: str, granted: bool = True) -> Callable[[Transition], None]:
    """Have these persons answer whatever is to be overridden."""

    def answer(transition: Transition, /) -> None:
        if "to_override" not in transition.detail:
            return
        gate = str(transition.detail["gate"])
        gates.append(gate)
        for one in who:
            now = engine.clock.now()
            asked = answer_for(PLAN, run=engine.run, gate=gate, who=one, granted=granted, at=now)
            signed, approvers = sign_in_simulation(asked), SimulatedApprovers()
            answer_gate(signed, run=engine.run, plan=PLAN, journal=engine.journal, approvers=approvers, now=now)

    return answer


@pytest.mark.parametrize("guard", sorted(OVERRIDABLE))
def test_without_the_word_for_it_a_refused_guard_ends_the_run_and_nobody_is_asked(guard: str) -> None:
    engine, gates = engine_with(guard), list[str]()
    assert begin(engine, hears=says(engine, gates, "ana", "bo")) is RunState.REFUSED
    assert gates == []
    assert not any(effect.endswith("/promote-billing") for effect in engine.world.effects)


@pytest.mark.parametrize("guard", sorted(OVERRIDABLE))
def test_two_persons_let_pass_what_was_named_beforehand_once_and_it_is_told(guard: str) -> None:
    engine, gates = engine_with(guard), list[str]()

    assert begin(engine, guard, hears=says(engine, gates, "ana", "bo")) is RunState.DONE

    (gate,) = gates  # five steps read the fencing: whoever consented once to this is not asked again
    assert gate.startswith(f"override:{STANDS_BEFORE[guard]}#{guard}.")
    told = " ".join(remarks_in(engine.journal.notes(engine.run)))
    assert f"ana asked that two persons may override {guard}" in told
    assert f"ana, bo consented to {OVERRIDABLE[guard]}" in told
    assert (LACKS in told) is (guard == "in-sync")


@pytest.mark.parametrize("guard", sorted(OVERRIDABLE))
def test_one_no_refuses(guard: str) -> None:
    engine, gates = engine_with(guard), list[str]()
    assert begin(engine, guard, hears=says(engine, gates, "bo", granted=False)) is RunState.REFUSED
    (refused,) = [note for note in engine.journal.notes(engine.run) if note.kind is NoteKind.REFUSED]
    assert f"bo said no to overriding {guard}" in str(refused.body)
    assert not any(effect.endswith("/promote-billing") for effect in engine.world.effects)


def test_the_word_for_one_guard_is_none_for_another() -> None:
    engine, gates = engine_with("fencing-confirmed", "in-sync"), list[str]()
    assert begin(engine, "fencing-confirmed", hears=says(engine, gates, "ana", "bo")) is RunState.REFUSED
    assert [gate.partition("#")[2].partition(".")[0] for gate in gates] == ["fencing-confirmed"]
    assert not any(effect.endswith("/promote-billing") for effect in engine.world.effects)


def test_who_holds_the_lease_can_t_be_overridden() -> None:
    engine = engine_with("in-sync", read_lease_billing={"ok": False, "saw": "leader db-dc9"})
    gates: list[str] = []
    assert begin(engine, *OVERRIDABLE, hears=says(engine, gates, "ana", "bo")) is RunState.REFUSED
    assert gates == []


def test_consent_to_one_finding_is_none_to_the_next() -> None:
    """The run stops while it waits; when it is resumed, the carrier answers something else."""
    engine, gates = engine_with("fencing-confirmed"), list[str]()
    stop = Stop()

    def interrupt(transition: Transition, /) -> None:
        says(engine, gates, "ana")(transition)
        if transition.state is StepState.WAITING and "to_override" in transition.detail:
            stop.ask(exit_code=75)

    observed = replace(engine.kit(), observers=(interrupt,))
    given = [Override(check="fencing-confirmed", why="asked", who="ana", reason="fire")]
    assert start_run(PLAN, run=engine.run, kit=observed, stop=stop, overrides=given).state is RunState.INTERRUPTED
    assert "TWO PERSONS ARE ASKED" in " ".join(remarks_in(engine.journal.notes(engine.run)))
    read = "read-back-carrier-a"  # first it does not drop, then nobody knows whether it does
    engine.world.finds = {**engine.world.finds, read: {**engine.world.finds[read], "dropping": {}}}

    observed = replace(engine.kit(), observers=(says(engine, gates, "ana", "bo"),))
    assert resume_run(PLAN, run=engine.run, kit=observed, stop=Stop()).state is RunState.DONE
    first, second = gates
    assert first != second
    closed = [note.name for note in engine.journal.notes(engine.run) if note.name.startswith("override:")]
    assert closed.count(second) == 2  # opened and closed; the first was opened only
    assert closed.count(first) == 1


def test_the_same_person_twice_lets_nothing_pass() -> None:
    engine, gates = engine_with("fencing-confirmed"), list[str]()
    with pytest.raises(Refused, match="has answered"):
        begin(engine, "fencing-confirmed", hears=says(engine, gates, "ana", "ana"))
    assert not any(effect.endswith("/promote-billing") for effect in engine.world.effects)


def test_the_words_are_checked_before_anything_is_begun() -> None:
    assert overrides_in(["in-sync=the primary burned"]) == {"in-sync": "the primary burned"}
    with pytest.raises(UsageError, match="names no check and no guard that may be overridden"):
        overrides_in(["site-lost=I am sure"])
    with pytest.raises(UsageError, match="gives no reason"):
        overrides_in(["fencing-confirmed="])
