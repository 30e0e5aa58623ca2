"""The walk through a printed procedure: it reads what was printed, and nothing else makes it go on."""

from __future__ import annotations

import datetime as dt
import json
import stat
from pathlib import Path

import pytest
from drtests.by_hand.walk import Stopped, Unusable, Walk, is_good, read_page

from secondsite.estate.load import load_estate
from secondsite.plan.load import load_plan
from secondsite.plan.model import Plan
from secondsite.plan.rules import rounds
from secondsite.reports.plan_page import Printing, plan_markdown

ROOT = Path(__file__).resolve().parents[3]
NOW = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)


def printed(runbook: str, estate_name: str) -> tuple[Plan, str]:
    estate = load_estate(ROOT / "inventories" / estate_name)
    plan = load_plan(runbook, directory=ROOT / "runbooks", root=ROOT, estate=estate, origin="dc1", target="dc2")
    return plan, plan_markdown(plan, Printing(at=NOW, estate=estate))


@pytest.mark.parametrize("estate", ["lab", "small"])
@pytest.mark.parametrize("runbook", ["failover", "failback"])
def test_the_page_says_all_that_the_plan_says(runbook: str, estate: str) -> None:
    plan, page = printed(runbook, estate)
    digest, steps = read_page(page)
    in_order = [step for one in rounds(plan) for step in one]
    numbers = {step.name: number for number, step in enumerate(in_order, start=1)}

    assert digest == plan.digest
    assert [step.name for step in steps] == [step.name for step in in_order]
    for told, meant in zip(steps, in_order, strict=True):
        assert told.after == {numbers[name] for name in meant.after}
        assert told.consents == (meant.gate.persons if meant.gate else 0)
        assert [(one.host, one.account, one.text, one.good) for one in told.commands] == [
            (one.host, one.account, one.text, one.good) for one in meant.commands
        ]
        assert [one.otherwise for one in told.commands] == [one.otherwise for one in meant.commands]


@pytest.mark.parametrize(
    ("answer", "good"),
    [
        pytest.param("open\n", [["open"]], id="the line"),
        pytest.param("x\n  8 198.18.1.2: silent \n", [["8 198.18.1.2: silent"]], id="spaces at the ends"),
        pytest.param('{"writable": true, "why": ""}', [['{"writable": true*']], id="anything"),
        pytest.param("b\na", [["a", "b"]], id="all lines, whatever their order"),
        pytest.param("c", [["a", "b"], ["c"]], id="one of several"),
    ],
)
def test_a_good_answer_is_recognised(answer: str, good: list[list[str]]) -> None:
    assert is_good(answer, good)


@pytest.mark.parametrize(
    ("answer", "good"),
    [
        pytest.param("", [["*up*"]], id="silence"),
        pytest.param("opened", [["open"]], id="part of a line"),
        pytest.param("a", [["a", "b"]], id="one line of two"),
        pytest.param("198x18.1.2", [["198.18.1.2"]], id="a dot is a dot"),
        pytest.param("aa", [["[a-z]*"]], id="no other mark means anything"),
        pytest.param("a\nb", [["a*b"]], id="over two lines"),
    ],
)
def test_another_answer_is_not_good(answer: str, good: list[list[str]]) -> None:
    assert not is_good(answer, good)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda _: "", id="empty"),
        pytest.param(lambda page: page.replace("Plan digest", "Plan"), id="no digest"),
        pytest.param(lambda page: page.replace("A good answer holds:", "Fine:", 1), id="no good answer"),
        pytest.param(lambda page: page.replace("Otherwise:", "Else:", 1), id="nothing to do otherwise"),
        pytest.param(lambda page: page.replace("- After: 1 ", "- After: 99 ", 1), id="after a step that is not there"),
    ],
)
def test_a_page_with_a_part_missing_is_not_begun(damage: object) -> None:
    assert callable(damage)
    with pytest.raises(Unusable):
        read_page(damage(printed("failover", "small")[1]))


def test_what_is_told_in_words_alone_is_left_to_persons() -> None:
    with pytest.raises(Unusable, match="takes a person"):
        read_page(printed("failover", "powered")[1])


# A stand-in for ssh on this machine: it takes `ACCOUNT@HOST -- TEXT` and gives the text to a shell.
SSH = '#!/bin/sh\ncd "$(dirname "$0")"\nexec env HOST="${1#*@}" sh -c "$3"\n'
STEP = """
### {number}. Step {number}

- Step: step-{number}
{after}
**{number}.1** On here as ops, type:

    {text}

A good answer holds:

    {good}

Otherwise: Stop.
"""


def page_of(*steps: tuple[str, str, str]) -> str:
    told = [
        STEP.format(number=number, after=after, text=text, good=good)
        for number, (after, text, good) in enumerate(steps, start=1)
    ]
    return f"Plan digest `{'0' * 64}`\n" + "".join(told)


def walk(folder: Path, page: str, *persons: str) -> Walk:
    ssh = folder / "ssh"
    ssh.write_text(SSH)
    ssh.chmod(ssh.stat().st_mode | stat.S_IXUSR)
    return Walk(steps=read_page(page)[1], ssh=[str(ssh)], persons=list(persons), log=folder / "log")


def events(folder: Path) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
    return [(line["event"], line.get("step", "")) for line in lines]


def test_steps_are_done_in_the_printed_order_and_those_of_one_round_at_once(tmp_path: Path) -> None:
    meet = "until [ -e {0} ]; do sleep 0.05; done; echo met"  # each waits for the other: done in turn, neither ends
    page = page_of(
        ("", f"touch a; {meet.format('b')}", "met"),
        ("", f"touch b; {meet.format('a')}", "met"),
        ("- After: 1 \\(step-1\\), 2 \\(step-2\\)\n", "echo $HOST", "here"),
    )
    walk(tmp_path, page).go()
    assert events(tmp_path)[-2:] == [("answered", "step-3"), ("step-done", "step-3")]


def test_nothing_that_comes_after_a_bad_answer_is_begun(tmp_path: Path) -> None:
    page = page_of(("", "echo no", "yes"), ("- After: 1 \\(step-1\\)\n", "touch done", "done"))
    with pytest.raises(Stopped, match=r"1\.1.*no good answer"):
        walk(tmp_path, page).go()
    assert ("step-begun", "step-2") not in events(tmp_path)
    assert not (tmp_path / "done").exists()


@pytest.mark.parametrize("persons", [(), ("one",), ("one", "one")])
def test_a_step_that_needs_two_persons_waits_for_two(tmp_path: Path, persons: tuple[str, ...]) -> None:
    page = page_of(("", "echo yes", "yes")) + "\nConsent 1: name ___\n\nConsent 2: name ___\n"
    with pytest.raises(Stopped, match="consent of 2 persons"):
        walk(tmp_path, page, *persons).go()
    walk(tmp_path, page, "one", "other").go()
