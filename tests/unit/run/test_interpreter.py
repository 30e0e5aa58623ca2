"""Runs in the simulated world."""

from __future__ import annotations

import datetime as dt
import errno
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secondsite.errors import (
    ActionError,
    ActionTimeout,
    Effect,
    JournalError,
    Refused,
    StepMismatch,
    Unreachable,
    UsageError,
)
from secondsite.plan.builder import call, gate, guard, result_of
from secondsite.plan.model import Plan, Step
from secondsite.run.kit import Kit, in_thread
from secondsite.run.model import Answer, Json, NoteKind, RunState, StepState, Transition
from secondsite.run.ports import Outcome, Registry, StepContext
from secondsite.run.rules import answer_body, answer_name, interruptions, run_state
from secondsite.run.service import abort_run, answer_for, answer_gate, resume_run, start_run
from secondsite.run.stop import Stop
from secondsite.sim.crash import Crash, CrashPoint
from secondsite.sim.plans import example_plan
from secondsite.sim.world import (
    Behaviour,
    OrdersFor,
    SimulatedApprovers,
    SimulatedEngine,
    SimulatedWorld,
    at_once,
    sign_in_simulation,
)

ONE = Step(name="one", title="", call=call("act"), hosts=(), probe=call("look"))
TWO = Step(name="two", title="", call=call("act"), hosts=(), after=("one",), probe=call("look"))


def raising(error: Exception) -> Behaviour:
    def behave(_arguments: Json, _context: StepContext) -> Outcome:
        raise error

    return behave


def engine_for(plan: Plan, **world: object) -> SimulatedEngine:
    return SimulatedEngine(plan=plan, world=SimulatedWorld(**world), launch=at_once)  # type: ignore[arg-type]


def word_of(engine: SimulatedEngine, gate: str, who: str, *, granted: bool = True) -> Answer:
    return answer_for(engine.plan, run=engine.run, gate=gate, who=who, granted=granted, at=engine.clock.now())


def hear(engine: SimulatedEngine, word: Answer) -> None:
    answer_gate(
        word,
        run=engine.run,
        plan=engine.plan,
        journal=engine.journal,
        approvers=SimulatedApprovers(),
        now=engine.clock.now(),
    )


def say(engine: SimulatedEngine, gate: str, who: str, *, granted: bool = True, digest: str = "") -> None:
    word = word_of(engine, gate, who, granted=granted)
    hear(engine, sign_in_simulation(replace(word, plan_digest=digest or word.plan_digest)))


@pytest.mark.parametrize(
    ("error", "state", "exit_code"),
    [
        pytest.param(ActionError("no", effect=Effect.NONE), StepState.FAILED, 3, id="failed"),
        pytest.param(ActionError("half", effect=Effect.APPLIED), StepState.FAILED, 3, id="failed-after-applying"),
        pytest.param(Unreachable("silent"), StepState.FAILED, 4, id="unreachable"),
        pytest.param(Refused("the lease is held"), StepState.FAILED, 5, id="refused-by-the-action"),
        pytest.param(ActionTimeout("no answer"), StepState.NOT_VERIFIED, 3, id="timeout-and-the-probe-denies"),
        pytest.param(ZeroDivisionError("bug"), StepState.NOT_VERIFIED, 1, id="a-defect"),
        pytest.param(OSError(errno.EIO, "bad"), StepState.NOT_VERIFIED, 1, id="an-os-error"),
    ],
)
def test_a_step_that_fails_is_tried_once_and_nothing_follows(
    error: Exception, state: StepState, exit_code: int
) -> None:
    engine = engine_for(example_plan(ONE, TWO), behaves={"one": raising(error)})

    result = engine.drive()

    assert result.steps["one"].state is state
    assert (result.state, result.exit_code) == (RunState.FAILED, exit_code)
    assert engine.world.asked == ["one"]
    assert result.steps["two"].state is StepState.PLANNED


def test_an_effect_that_came_about_although_the_answer_did_not_is_found_by_the_probe() -> None:
    world = SimulatedWorld()

    def late(_arguments: Json, context: StepContext) -> Outcome:
        world.effects.append(f"{context.run}/{context.step}")
        raise ActionTimeout("no answer in 5 s")

    world.behaves = {"one": late}
    result = SimulatedEngine(plan=example_plan(ONE, TWO), world=world, launch=at_once).drive()
    assert result.steps["one"].state is StepState.VERIFIED
    assert result.state is RunState.DONE
    assert world.asked == ["one", "two"]


def test_an_unknown_effect_that_no_probe_can_see_stays_unknown_and_is_not_tried_again() -> None:
    engine = engine_for(example_plan(replace(ONE, probe=None)), behaves={"one": raising(ActionTimeout("no answer"))})
    result = engine.drive()
    assert result.steps["one"].state is StepState.UNKNOWN
    assert (result.exit_code, engine.world.asked) == (3, ["one"])


@pytest.mark.parametrize("detail", [{"x": float("nan")}, {"x": object()}, {"x": "y" * 300_000}])
def test_a_result_that_cannot_be_recorded_leaves_the_effect_unknown_and_never_done(detail: Json) -> None:
    engine = engine_for(example_plan(ONE), behaves={"one": lambda _a, _c: Outcome(changed=True, detail=detail)})
    result = engine.drive()
    assert result.steps["one"].state is StepState.VERIFIED, "the probe saw it"
    assert StepState.UNKNOWN in [seen.state for seen in engine.seen]


def test_a_full_disk_under_an_action_ends_the_process_and_says_nothing_about_the_step() -> None:
    engine = engine_for(example_plan(ONE, TWO), behaves={"one": raising(OSError(errno.ENOSPC, "no space left"))})
    with pytest.raises(JournalError) as caught:
        engine.drive()
    assert caught.value.exit_code == 75
    assert engine.journal.attempts(engine.run)[0].result is None

    engine.world.behaves = {}
    assert engine.drive().state is RunState.DONE


def test_verification_is_asked_for_and_nothing_follows_before_it() -> None:
    def claims(_arguments: Json, _context: StepContext) -> Outcome:
        return Outcome(changed=True)

    engine = engine_for(example_plan(replace(ONE, verify=True), TWO), behaves={"one": claims}, blind=frozenset({"one"}))
    result = engine.drive()
    assert result.steps["one"].state is StepState.NOT_VERIFIED
    assert result.exit_code == 3
    assert engine.world.asked == ["one"]


def test_a_guard_that_yields_a_reason_refuses_the_step_and_the_run_says_why() -> None:
    promote = replace(TWO, guards=(guard("found-ok", on=("one",)),))
    engine = engine_for(example_plan(ONE, promote), finds={"one": {"ok": False, "saw": "no quorum"}})
    result = engine.drive()
    assert (result.state, result.exit_code) == (RunState.REFUSED, 5)
    assert result.steps["two"].reasons == ("step one did not find what it must: no quorum",)
    assert engine.world.asked == ["one"]


def test_what_a_step_found_reaches_the_steps_that_refer_to_it() -> None:
    heard: list[Json] = []

    def listen(arguments: Json, _context: StepContext) -> Outcome:
        heard.append(arguments)
        return Outcome(changed=False)

    asks = replace(TWO, call=call("act", upto=[result_of("one", "lsn")]))
    engine = engine_for(example_plan(ONE, asks), finds={"one": {"lsn": "0/16"}}, behaves={"two": listen})
    assert engine.drive().state is RunState.DONE
    assert heard == [{"upto": ["0/16"]}]


def test_a_step_whose_argument_nobody_found_is_refused() -> None:
    asks = replace(TWO, call=call("act", upto=result_of("one", "lsn")))
    result = engine_for(example_plan(ONE, asks)).drive()
    assert result.steps["two"].state is StepState.REFUSED
    assert result.exit_code == 5


GATED = replace(ONE, gate=gate(persons=2, standing_order=True))


def test_a_standing_order_opens_the_gate_it_covers_and_is_recorded_as_such() -> None:
    result = engine_for(example_plan(GATED)).drive()
    consent = result.steps["one"].consent
    assert consent is not None
    assert (consent.by, consent.standing_order) == (("ana", "bo"), example_plan(GATED).digest)


def test_without_a_standing_order_the_run_waits_and_the_waiting_is_measured() -> None:
    engine = engine_for(example_plan(GATED))
    engine.orders = OrdersFor()

    def answer(transition: Transition, /) -> None:
        if transition.state is StepState.WAITING:
            engine.clock.sleep(42)
            say(engine, "one", "ana")
            say(engine, "one", "bo")

    result = engine.drive(observers=(answer,))
    consent = result.steps["one"].consent
    assert consent is not None
    assert (consent.by, consent.standing_order, consent.waited_ms) == (("ana", "bo"), "", 42_000)


@pytest.mark.parametrize("stepped", [-dt.timedelta(days=400), -dt.timedelta(hours=1), dt.timedelta(hours=1)])
def test_a_clock_that_is_stepped_while_a_run_waits_bends_neither_its_waiting_nor_its_gates(
    stepped: dt.timedelta,
) -> None:
    engine = engine_for(example_plan(GATED, TWO))
    engine.orders = OrdersFor()

    def step_the_clock_and_answer(transition: Transition, /) -> None:
        if transition.state is StepState.WAITING:
            engine.clock.sleep(42)
            engine.clock.began += stepped
            say(engine, "one", "ana")
            say(engine, "one", "bo")

    result = engine.drive(observers=(step_the_clock_and_answer,))

    assert (result.state, engine.world.asked) == (RunState.DONE, ["one", "two"])
    consent = result.steps["one"].consent
    assert consent is not None
    assert (consent.by, consent.waited_ms) == (("ana", "bo"), 42_000)


@pytest.mark.parametrize("stepped", [-dt.timedelta(days=2), dt.timedelta(days=2)])
def test_a_clock_that_was_stepped_over_a_restart_lets_no_earlier_word_count_and_none_begin_early(
    stepped: dt.timedelta,
) -> None:
    engine = waiting_engine()
    say(engine, "one", "ana")
    engine.clock.began += stepped
    stop = Stop()

    def give_up(transition: Transition, /) -> None:
        if "answer_refused" in transition.detail:
            stop.ask(exit_code=130)

    halted = engine.drive(stop, observers=(give_up,))
    assert (halted.state, engine.world.asked) == (RunState.INTERRUPTED, [])
    say(engine, "one", "bo")
    say(engine, "one", "cy")
    ended = engine.drive()
    consent = ended.steps["one"].consent
    assert consent is not None
    assert (ended.state, consent.by) == (RunState.DONE, ("bo", "cy"))
    assert consent.waited_ms >= 0


def waiting_engine() -> SimulatedEngine:
    """Return an engine that was stopped while its gate waits."""
    engine = engine_for(example_plan(GATED))
    engine.orders = OrdersFor()
    stop = Stop()

    def leave(transition: Transition, /) -> None:
        if transition.state is StepState.WAITING:
            stop.ask(exit_code=130)

    result = engine.drive(stop, observers=(leave,))
    assert (result.state, result.exit_code) == (RunState.INTERRUPTED, 130)
    return engine


def test_the_same_person_cannot_answer_twice_and_a_wrong_digest_is_refused() -> None:
    engine = waiting_engine()
    say(engine, "one", "ana")
    with pytest.raises(Refused, match="has answered"):
        say(engine, "one", "ana")
    with pytest.raises(Refused, match="the answer is for plan"):
        say(engine, "one", "bo", digest="f" * 64)
    with pytest.raises(Refused, match="no open gate"):
        say(engine, "two", "bo")


def test_an_answer_smuggled_into_the_journal_is_refused_again_on_replay() -> None:
    engine = waiting_engine()
    for who, forged in (("ana", {"plan_digest": "f" * 64}), ("bo", {"run": "000009-other"}), ("eve", {"who": "cy"})):
        word = sign_in_simulation(word_of(engine, "one", who))
        body = {**answer_body(word), **forged}
        engine.journal.note(engine.run, NoteKind.ANSWER, answer_name(word), body)
    stop = Stop()
    refused: list[object] = []

    def watch(transition: Transition, /) -> None:
        if "answer_refused" in transition.detail:
            refused.append(transition.detail["answer_refused"])
            if len(refused) == 3:
                stop.ask(exit_code=130)

    result = engine.drive(stop, observers=(watch,))
    assert result.state is RunState.INTERRUPTED
    assert engine.world.asked == []


@pytest.mark.parametrize(
    ("bend", "told"),
    [
        pytest.param({"expires": "2026-01-01T00:00:00+00:00"}, "expired", id="expired"),
        pytest.param({"expires": "2026-02-01T00:00:00+00:00"}, "is the longest", id="for-ever"),
        pytest.param({"at": "2026-01-01T01:00:00+00:00"}, "not yet", id="from-the-future"),
        pytest.param({"at": "soon"}, "does not say from when", id="no-instant"),
        pytest.param({"targets": ("web-dc1", "vault")}, "the answer is for web-dc1, vault", id="extra-target"),
        pytest.param({"run": "000009-other"}, "for run 000009-other", id="another-run"),
    ],
)
def test_a_signed_answer_to_something_else_is_refused(bend: Mapping[str, Any], told: str) -> None:
    engine = waiting_engine()
    with pytest.raises(Refused, match=told):
        hear(engine, sign_in_simulation(replace(word_of(engine, "one", "ana"), **bend)))
    assert not [note for note in engine.journal.notes(engine.run) if note.kind is NoteKind.ANSWER]


@pytest.mark.parametrize("bend", [{"signature": ""}, {"granted": False}, {"who": "bo"}])
def test_an_answer_changed_after_it_was_signed_is_refused(bend: Mapping[str, Any]) -> None:
    engine = waiting_engine()
    signed = sign_in_simulation(word_of(engine, "one", "ana"))
    with pytest.raises(Refused, match="did not sign"):
        hear(engine, replace(signed, **bend))


def test_who_consented_may_say_it_again_once_the_first_word_expired() -> None:
    engine = waiting_engine()
    say(engine, "one", "ana")
    engine.clock.sleep(5 * 3600)
    say(engine, "one", "ana")
    say(engine, "one", "bo")
    assert engine.drive().state is RunState.DONE


def test_an_answer_that_expired_before_the_run_went_on_counts_no_more() -> None:
    engine = waiting_engine()
    say(engine, "one", "ana")
    engine.clock.sleep(5 * 3600)
    say(engine, "one", "bo")
    stop, refused = Stop(), []

    def watch(transition: Transition, /) -> None:
        refused.extend([transition.detail["answer_refused"]] if "answer_refused" in transition.detail else [])
        stop.ask(exit_code=130)

    assert engine.drive(stop, observers=(watch,)).state is RunState.INTERRUPTED
    assert "expired" in str(refused)
    assert engine.world.asked == []


def break_glass(engine: SimulatedEngine, reason: str) -> None:
    word = replace(word_of(engine, "one", "break-glass"), reason=reason)
    hear(engine, sign_in_simulation(word))


def test_with_the_sealed_key_and_a_reason_one_person_does_what_takes_two_and_everybody_sees_it() -> None:
    engine = waiting_engine()
    say(engine, "one", "ana")
    with pytest.raises(Refused, match="break-glass is used with a reason"):
        break_glass(engine, " ")
    break_glass(engine, "nobody else answers")

    result = engine.drive()

    assert result.state is RunState.DONE
    assert result.remarks == ("THE GLASS WAS BROKEN at one, with ana: nobody else answers",)
    consent = result.steps["one"].consent
    assert consent is not None
    assert consent.by == ("ana", "break-glass")


def test_the_sealed_key_alone_opens_nothing_and_its_reason_is_signed() -> None:
    engine = waiting_engine()
    break_glass(engine, "nobody answers")
    signed = sign_in_simulation(replace(word_of(engine, "one", "break-glass"), reason="a drill"))
    with pytest.raises(Refused, match="did not sign"):
        hear(engine, replace(signed, reason="another"))
    stop = Stop()

    def give_up(transition: Transition, /) -> None:
        if transition.state is StepState.WAITING:
            stop.ask(exit_code=130)

    assert engine.drive(stop, observers=(give_up,)).state is RunState.INTERRUPTED
    assert engine.world.asked == []


def test_a_no_refuses_the_step_and_the_run_exits_with_5() -> None:
    engine = waiting_engine()
    say(engine, "one", "ana", granted=False)
    result = engine.drive()
    assert (result.state, result.exit_code, engine.world.asked) == (RunState.REFUSED, 5, [])


def test_a_run_stopped_in_the_middle_finishes_what_is_in_flight_and_can_be_resumed() -> None:
    engine, stop = engine_for(example_plan(ONE, TWO)), Stop()

    def leave(transition: Transition, /) -> None:
        if transition.state is StepState.INTENDED:
            stop.ask(exit_code=143)

    result = engine.drive(stop, observers=(leave,))
    assert (result.state, result.exit_code) == (RunState.INTERRUPTED, 143)
    assert result.steps["one"].state is StepState.DONE
    assert engine.drive().state is RunState.DONE
    assert engine.world.asked == ["one", "two"]


def test_asked_twice_to_stop_a_run_waits_for_nothing_and_what_was_in_flight_is_in_doubt() -> None:
    release = threading.Event()

    def block(_arguments: Json, _context: StepContext) -> Outcome:
        release.wait(30)
        raise Crash

    engine, stop = engine_for(example_plan(ONE), behaves={"one": block}), Stop()
    engine.launch = in_thread

    def leave(transition: Transition, /) -> None:
        if transition.state is StepState.INTENDED:
            stop.ask(exit_code=130)
            stop.ask(exit_code=130)

    result = engine.drive(stop, observers=(leave,))
    release.set()
    assert (result.state, result.exit_code) == (RunState.INTERRUPTED, 130)
    assert result.steps["one"].state is StepState.INTENDED

    engine.world.behaves = {}
    resumed = engine.drive()
    assert resumed.state is RunState.DONE
    assert StepState.IN_DOUBT in [seen.state for seen in engine.seen]
    assert resumed.steps["one"].attempts == 2, "the probe saw that it had not come about"


def test_an_aborted_run_starts_nothing_more() -> None:
    engine = waiting_engine()
    abort_run(run=engine.run, who="ana", at=engine.clock.now(), journal=engine.journal, live=True)
    result = engine.drive()
    assert (result.state, result.exit_code, engine.world.asked) == (RunState.ABORTED, 5, [])


def kit_of(engine: SimulatedEngine, registry: Registry | None = None) -> Kit:
    kit = replace(engine.kit(), launch=at_once)
    return kit if registry is None else replace(kit, registry=registry)


def test_a_run_is_resumed_with_its_own_plan_only_and_not_once_it_ended() -> None:
    engine = engine_for(example_plan(ONE))
    start_run(engine.plan, run=engine.run, kit=kit_of(engine), stop=Stop())
    with pytest.raises(StepMismatch, match="was begun with plan"):
        resume_run(
            example_plan(ONE, TWO),
            run=engine.run,
            kit=replace(kit_of(engine), registry=engine.world.registry(example_plan(ONE, TWO))),
            stop=Stop(),
        )
    with pytest.raises(Refused, match="has ended: done"):
        resume_run(engine.plan, run=engine.run, kit=kit_of(engine), stop=Stop())


@pytest.mark.parametrize("moment", ["before", "after"])
def test_what_an_effect_in_doubt_relied_on_is_read_again_only_if_it_did_not_come_about(moment: str) -> None:
    caught_up = Step(name="caught-up", title="", call=call("act"), hosts=(), reads_only=True)
    switch = Step(
        name="switch",
        title="",
        call=call("act"),
        hosts=(),
        after=("caught-up",),
        guards=(guard("found-ok", on=("caught-up",)),),
        probe=call("look"),
    )
    world = SimulatedWorld(crash=CrashPoint(step="switch", moment=moment))

    def follows(_arguments: Json, _context: StepContext) -> Outcome:
        if any(key.endswith("/switch") for key in world.effects):
            raise ActionTimeout("a primary follows nobody")
        return Outcome(changed=False, detail={"ok": True})

    world.behaves = {"caught-up": follows}
    engine = SimulatedEngine(plan=example_plan(caught_up, switch), world=world, launch=at_once)
    with pytest.raises(Crash):
        engine.drive()
    world.crash = None

    result = engine.drive()

    assert result.state is RunState.DONE, result.reasons
    assert [key.rpartition("/")[2] for key in world.effects].count("switch") == 1
    again = 2 if moment == "before" else 1
    assert world.asked.count("caught-up") == again


def test_a_run_tells_of_every_interruption_and_is_open_again_once_it_is_resumed() -> None:
    engine = engine_for(example_plan(ONE, TWO), crash=CrashPoint(step="two", moment="before"))
    with pytest.raises(Crash):
        start_run(engine.plan, run=engine.run, kit=kit_of(engine), stop=Stop())
    engine.world.power.restore()
    engine.world.crash = None
    engine.clock.sleep(60)
    stop = Stop()
    stop.ask(exit_code=130)
    stopped_run = resume_run(engine.plan, run=engine.run, kit=kit_of(engine), stop=stop)
    assert stopped_run.state is RunState.INTERRUPTED
    engine.clock.sleep(60)
    seen: list[RunState] = []
    kit = replace(kit_of(engine), observers=(lambda _: seen.append(run_state(engine.journal.notes(engine.run))),))
    result = resume_run(engine.plan, run=engine.run, kit=kit, stop=Stop())
    assert result.state is RunState.DONE

    killed, stopped = interruptions(engine.journal.notes(engine.run))
    assert result.interruptions == (killed, stopped)
    assert (killed.was_asked, killed.in_doubt) == (False, ("two",))
    assert stopped.was_asked
    assert killed.last_heard < killed.resumed_at < stopped.resumed_at
    assert seen[0] is RunState.OPEN


def test_a_plan_that_names_what_nobody_provides_is_refused_before_anything_happens() -> None:
    engine = engine_for(example_plan(ONE))
    with pytest.raises(UsageError, match="action act, probe look"):
        start_run(engine.plan, run=engine.run, kit=kit_of(engine, Registry(actions={}, probes={})), stop=Stop())
    assert engine.journal.notes(engine.run) == []


def in_random_order(rng: random.Random) -> Callable[[str, Callable[[], None]], None]:
    """Keep work back and do it in an order of its own."""
    kept: list[Callable[[], None]] = []

    def launch(_name: str, work: Callable[[], None]) -> None:
        kept.append(work)
        if rng.random() < 0.7:
            kept.pop(rng.randrange(len(kept)))()
        for later in kept[:]:
            kept.remove(later)
            later()

    return launch


@settings(deadline=None, max_examples=100)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_whatever_the_plan_and_however_often_it_crashes_each_effect_comes_about_once(
    data: st.DataObject, seed: int
) -> None:
    crash_and_recover(data, seed)


@pytest.mark.nightly
@settings(deadline=None, max_examples=10_000)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_ten_thousand_schedules_of_crashes(data: st.DataObject, seed: int) -> None:
    crash_and_recover(data, seed)


def crash_and_recover(data: st.DataObject, seed: int) -> None:
    count = data.draw(st.integers(1, 6))
    steps = []
    for number in range(count):
        after = data.draw(st.sets(st.integers(0, number - 1))) if number else set()
        kind = data.draw(st.sampled_from(["probed", "verified", "gated"]))
        steps.append(
            Step(
                name=f"s{number}",
                title="",
                call=call("act"),
                hosts=(),
                after=tuple(f"s{one}" for one in sorted(after)),
                probe=call("look"),
                verify=kind == "verified",
                gate=gate(persons=2, standing_order=True) if kind == "gated" else None,
            )
        )
    plan = example_plan(*steps)
    world = SimulatedWorld()
    engine = SimulatedEngine(plan=plan, world=world, launch=in_random_order(random.Random(seed)))  # noqa: S311
    for _ in range(data.draw(st.integers(0, 4))):
        step = data.draw(st.sampled_from([one.name for one in steps]))
        world.crash = CrashPoint(step=step, moment=data.draw(st.sampled_from(["before", "after"])))
        try:
            engine.drive()
        except Crash:
            continue
        break
    world.crash = None
    result = engine.drive()
    assert result.state is RunState.DONE
    assert sorted(world.effects) == sorted(f"{engine.run}/{one.name}" for one in steps)


READ = Step(name="read", title="", call=call("act"), hosts=(), reads_only=True)
CONFIRM = Step(name="confirm", title="", call=call("act"), hosts=(), after=("read",), reads_only=True)
RELYING = Step(
    name="relying",
    title="",
    call=call("act"),
    hosts=(),
    after=("confirm",),
    guards=(guard("found-ok", on=("read",)),),
    probe=call("look"),
)


def test_what_a_guard_relies_on_is_read_again_after_an_interruption_and_may_refute_it() -> None:
    fenced = [True]

    def read(_arguments: Json, _context: StepContext) -> Outcome:
        return Outcome(changed=False, detail={"ok": fenced[0], "saw": "the fence" if fenced[0] else "no fence"})

    world = SimulatedWorld(behaves={"read": read}, crash=CrashPoint(step="relying", moment="before"))
    engine = SimulatedEngine(plan=example_plan(READ, CONFIRM, RELYING), world=world, launch=at_once)
    with pytest.raises(Crash):
        engine.drive()
    fenced[0] = False

    result = engine.drive()

    assert world.asked.count("read") == 2
    assert result.state is RunState.REFUSED
    assert f"{engine.run}/relying" not in world.effects
    assert "no fence" in "; ".join(result.reasons)


def test_a_reading_that_nothing_to_come_relies_on_is_not_made_again() -> None:
    last = replace(TWO, name="last", after=("one",))
    crash = CrashPoint(step="last", moment="before")
    plan = example_plan(READ, replace(ONE, after=("read",)), last)
    engine = SimulatedEngine(plan=plan, world=SimulatedWorld(crash=crash), launch=at_once)
    with pytest.raises(Crash):
        engine.drive()

    assert engine.drive().state is RunState.DONE
    assert engine.world.asked.count("read") == 1
