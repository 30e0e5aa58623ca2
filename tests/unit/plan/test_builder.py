from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest

from secondsite.errors import ConfigError, StepMismatch, UsageError
from secondsite.plan import Estate, Intent, PlanBuilder, Runbook, call, gate, guard, result_of, seconds
from secondsite.plan.builder import build_plan
from secondsite.plan.document import plan_document, plan_from_document, sealed
from secondsite.plan.model import Plan, Step
from secondsite.sim.estate import two_site_estate

Fill = Callable[[PlanBuilder], object]


def no_pins(_used: Sequence[str]) -> Mapping[str, str]:
    return {}


def built(
    fill: Fill, *, intent: Intent = Intent.FAILOVER, origin: str | None = "dc1", target: str | None = "dc2"
) -> Plan:
    def build(_estate: Estate, plan: PlanBuilder) -> None:
        fill(plan)

    book = Runbook(name="example", title="An example", intent=intent, build=build)
    return build_plan(book, two_site_estate(), origin=origin, target=target, pinning=no_pins)


def one_step(plan: PlanBuilder) -> str:
    return plan.step("one", title="One", call=call("act", n=1), hosts=("db-dc1",), repeatable=True)


def test_a_plan_has_its_steps_in_dependency_order_whatever_order_they_were_written_in() -> None:
    def fill(plan: PlanBuilder) -> None:
        plan.step("last", title="L", call=call("act"), after=("middle",))
        plan.step("middle", title="M", call=call("act"), after=("first",))
        plan.step("first", title="F", call=call("act"))

    assert [step.name for step in built(fill).steps] == ["first", "middle", "last"]


@pytest.mark.parametrize(
    ("origin", "target", "told"),
    [
        pytest.param("dc1", "dc1", "both dc1", id="same-site"),
        pytest.param("dc1", None, "needs --from SITE and --to SITE", id="no-target"),
        pytest.param("dc9", "dc2", "'dc9' is not a site", id="unknown-site"),
        pytest.param("carrier-a", "dc2", "'carrier-a' is not a site that can hold workloads", id="no-datacenter"),
    ],
)
def test_a_direction_that_is_none_is_refused_and_the_known_sites_are_named(
    origin: str, target: str | None, told: str
) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        built(one_step, origin=origin, target=target)
    assert "dc1, dc2" in caught.value.next_step


def test_a_runbook_that_moves_nothing_takes_no_direction() -> None:
    with pytest.raises(UsageError, match="moves nothing"):
        built(one_step, intent=Intent.PROVISION)
    assert built(one_step, intent=Intent.PROVISION, origin=None, target=None).origin is None


@pytest.mark.parametrize(
    ("fill", "told"),
    [
        pytest.param(lambda p: [one_step(p), one_step(p)], "two steps have this name", id="twice"),
        pytest.param(lambda p: p.step("a", title="", call=call("x"), after=("b",)), "b, which is no step", id="edge"),
        pytest.param(lambda p: p.step("a", title="", call=call("x"), hosts=("z",)), "z is no host", id="host"),
        pytest.param(lambda p: p.step("a b", title="", call=call("x")), "a name must be printable", id="name"),
        pytest.param(lambda p: p.step("a", title="", call=call("x"), verify=True), "has no probe", id="verify"),
        pytest.param(lambda p: p.step("a", title="", call=call("x"), timeout=seconds(0)), "timeout", id="timeout"),
        pytest.param(lambda p: p.step("a", title="", call=call("x"), guards=(guard("hm"),)), "no rule", id="guard"),
        pytest.param(
            lambda p: p.step("a", title="", call=call("x"), reads_only=True, gate=gate()), "only reads", id="gate"
        ),
        pytest.param(
            lambda p: [
                p.step("a", title="", call=call("x"), after=("b",)),
                p.step("b", title="", call=call("x"), after=("a",)),
            ],
            "wait for each other",
            id="cycle",
        ),
        pytest.param(
            lambda p: [one_step(p), p.step("a", title="", call=call("x", y=[result_of("one", "n")]))],
            "reads the result of one and does not follow it",
            id="reads-ahead",
        ),
        pytest.param(lambda _plan: None, "no steps", id="empty"),
    ],
)
def test_a_plan_that_cannot_be_meant_is_refused(fill: Fill, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        built(fill)


def test_every_problem_is_reported_at_once() -> None:
    def fill(plan: PlanBuilder) -> None:
        plan.step("a", title="", call=call("x"), hosts=("nowhere",), after=("nothing",))
        plan.step("b", title="", call=call("x"), hosts=("neither",))

    with pytest.raises(ConfigError) as caught:
        built(fill)
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("value", [0.5, {1: 2}, b"bytes", dt.timedelta(1)])
def test_an_argument_that_cannot_be_written_down_exactly_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="act"):
        call("act", value=value)


@pytest.mark.parametrize(
    "change",
    [
        lambda step: replace(step, title="Other"),
        lambda step: replace(step, call=call("act", n=2)),
        lambda step: replace(step, hosts=()),
        lambda step: replace(step, gate=gate(persons=1)),
        lambda step: replace(step, guards=(guard("site-lost", on=("one",)),)),
        lambda step: replace(step, repeatable=False),
        lambda step: replace(step, timeout=seconds(1)),
        lambda step: replace(step, by_hand="otherwise"),
    ],
)
def test_the_digest_covers_every_property_of_a_step(change: Callable[[Step], Step]) -> None:
    plan = built(one_step)
    changed = sealed(replace(plan, steps=tuple(change(step) for step in plan.steps)))
    assert changed.digest != plan.digest


def test_the_digest_covers_the_estate_the_direction_and_the_files() -> None:
    plan = built(one_step)
    others = [
        replace(plan, estate_digest="1" * 64),
        replace(plan, origin="dc2", target="dc1"),
        replace(plan, pins={"roles/x": "0"}),
    ]
    assert len({plan.digest, *(sealed(other).digest for other in others)}) == 4


def test_a_plan_survives_being_written_and_read() -> None:
    def fill(plan: PlanBuilder) -> None:
        one_step(plan)
        plan.step(
            "two",
            title="Two",
            call=call("act", of=result_of("one", "n")),
            after=("one",),
            guards=(guard("found-ok", on=("one",)),),
            gate=gate(persons=2, standing_order=True),
            probe=call("look"),
            undo=call("back"),
            timeout=seconds(1.5),
        )

    plan = built(fill)
    assert plan_from_document(json.loads(json.dumps(plan_document(plan)))) == plan


def test_a_plan_that_was_edited_on_disk_is_refused() -> None:
    document = plan_document(built(one_step))
    document["steps"][0]["hosts"] = ["db-dc2"]
    with pytest.raises(StepMismatch, match="does not have the digest"):
        plan_from_document(document)
