"""What persons type in place of the engine: part of the plan, complete, and typeable as it stands."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from secondsite.estate.load import load_estate
from secondsite.estate.model import Estate
from secondsite.plan.builder import PlanBuilder, call, problems_of
from secondsite.plan.document import plan_document, plan_from_document, sealed
from secondsite.plan.load import load_plan
from secondsite.plan.model import Command, Plan, Step
from secondsite.plan.rules import awaited, rounds

ROOT = Path(__file__).resolve().parents[3]
ESTATES = {name: load_estate(ROOT / "inventories" / name) for name in ("lab", "small")}
WIDTH = 104
SAID = Command(host="vault", text="uptime", good=(("*up*",),))


def plan_of(runbook: str, estate: Estate, origin: str = "dc1", target: str = "dc2") -> Plan:
    return load_plan(runbook, directory=ROOT / "runbooks", root=ROOT, estate=estate, origin=origin, target=target)


MOVES = [
    pytest.param(plan_of(runbook, estate, *direction), id=f"{runbook} {'-'.join(direction)} {name}")
    for name, estate in ESTATES.items()
    for runbook in ("failover", "failback")
    for direction in (("dc1", "dc2"), ("dc2", "dc1"))
]


@pytest.mark.parametrize("plan", MOVES)
def test_every_step_of_a_move_says_what_to_type_or_that_persons_decide(plan: Plan) -> None:
    persons_decide = {"declare", "confirm-fencing"} | {step.name for step in plan.steps if step.gate is not None}
    assert {step.name for step in plan.steps if not step.commands} <= persons_decide
    assert all(step.by_hand for step in plan.steps if not step.commands)
    assert all(step.undo_commands for step in plan.steps if step.undo is not None)


@pytest.mark.parametrize("plan", MOVES)
def test_a_shell_understands_every_command(plan: Plan) -> None:
    commands = [command.text for step in plan.steps for command in (*step.commands, *step.undo_commands)]
    text = "\n".join(f"(\n{text}\n)" for text in dict.fromkeys(commands))  # none may lean on what follows it
    read = subprocess.run(["sh", "-n"], input=text, capture_output=True, text=True, check=False)
    assert read.returncode == 0, (text, read.stderr)


@pytest.mark.parametrize("plan", MOVES)
def test_no_line_is_longer_than_paper_is_wide(plan: Plan) -> None:
    commands = [command for step in plan.steps for command in (*step.commands, *step.undo_commands)]
    assert max(len(line) for command in commands for line in command.text.splitlines()) <= WIDTH


def test_a_failover_asks_nothing_of_the_site_that_is_lost() -> None:
    for origin, target in (("dc1", "dc2"), ("dc2", "dc1")):
        plan = plan_of("failover", ESTATES["lab"], origin, target)
        hosts = {command.host for step in plan.steps for command in (*step.commands, *step.undo_commands)}
        assert not {host for host in hosts if host.endswith(origin)}


def test_what_may_lose_nothing_is_taken_only_by_who_is_in_sync() -> None:
    plan = plan_of("failover", ESTATES["lab"])
    taken = {step.name: step.commands[0].text for step in plan.steps if step.name.startswith("promote-")}
    assert {name for name, text in taken.items() if "--in-sync" in text} == {"promote-billing", "promote-mail"}
    assert all("secondsite-lease take" in text for text in taken.values())


def test_commands_are_covered_by_the_digest_and_come_back_from_the_document() -> None:
    plan = plan_of("failover", ESTATES["small"])
    assert plan_from_document(json.loads(json.dumps(plan_document(plan)))) == plan
    first = plan.steps[0]
    other = replace(first, commands=(replace(first.commands[0], text="true"), *first.commands[1:]))
    assert sealed(replace(plan, steps=(other, *plan.steps[1:]))).digest != plan.digest


def test_a_plan_without_commands_has_the_digest_it_had_before_there_were_any() -> None:
    plan = plan_of("failover", ESTATES["small"])
    bare = sealed(replace(plan, steps=tuple(replace(step, commands=(), undo_commands=()) for step in plan.steps)))
    assert not {"commands", "undo_commands"} & {key for step in plan_document(bare)["steps"] for key in step}


@pytest.mark.parametrize(
    ("text", "good"),
    [
        pytest.param("", (("*up*",),), id="nothing to type"),
        pytest.param("one\n\ntwo", (("*up*",),), id="an empty line ends a block on paper"),
        pytest.param("true ", (("*up*",),), id="a space nobody sees"),
        pytest.param("printf '\x1b[2J'", (("*up*",),), id="a control character"),
        pytest.param("uptime", (), id="no good answer"),
        pytest.param("uptime", ((),), id="an answer that holds nothing is good whatever came"),
    ],
)
def test_what_can_not_be_printed_typed_and_judged_is_no_command(text: str, good: tuple[tuple[str, ...], ...]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Command(host="vault", text=text, good=good)


def test_a_command_on_a_host_that_is_not_there_and_an_undo_for_persons_alone_are_problems() -> None:
    builder = PlanBuilder(estate=ESTATES["small"], origin=None, target=None)
    undo = replace(SAID, host="vault")
    builder.step("one", title="One", call=call("act"), commands=[replace(SAID, host="nowhere")], undo_commands=[undo])
    told = [what for _, what in problems_of(builder.steps, ESTATES["small"])]
    assert any("nowhere" in what for what in told)
    assert any("the engine could not" in what for what in told)


@pytest.mark.parametrize("plan", MOVES)
def test_rounds_hold_every_step_once_and_none_that_waits_for_another_of_its_round(plan: Plan) -> None:
    seen: set[str] = set()
    for one in rounds(plan):
        names = {step.name for step in one}
        assert not names & seen
        assert all(awaited(step) <= seen for step in one)
        seen |= names
    assert seen == {step.name for step in plan.steps}


def test_a_host_at_each_datacenter_the_vault_and_headquarters_keeps_procedures() -> None:
    assert dict(ESTATES["lab"].procedure_hosts()) == {
        "dc1": "ops-dc1",
        "dc2": "ops-dc2",
        "vault": "vault",
        "hq": "console",
    }
    assert set(ESTATES["small"].procedure_hosts()) == {"dc1", "dc2", "vault", "hq"}


def test_a_step_without_commands_stays_one() -> None:
    assert Step(name="s", title="s", call=call("x"), hosts=()).commands == ()
