from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from secondsite.estate.load import load_estate
from secondsite.plan.builder import call, gate, guard
from secondsite.plan.document import sealed
from secondsite.plan.model import Command, Intent, Plan, Step
from secondsite.probes.remote.collectors import procedures
from secondsite.reports.plan_page import PRINTED, Printing, plan_html, plan_markdown

LAB = load_estate(Path(__file__).parents[3] / "inventories" / "lab")
NOW = Printing(at=dt.datetime(2026, 11, 30, 3, 4, 5, tzinfo=dt.UTC))
HOSTILE = '<script>alert("x")</script>\x1b[2J{{ 7*7 }} **bold** [a](http://x)'


def plan_of(*steps: Step, title: str = "Restart at the other site") -> Plan:
    return sealed(
        Plan(
            runbook="example",
            title=title,
            intent=Intent.FAILOVER,
            estate="two-sites",
            estate_digest="",
            origin="dc1",
            target="dc2",
            steps=steps,
            pins={"roles/x.yml": "0" * 64},
            digest="",
        )
    )


FENCE = Step(
    name="fence",
    title="Fence it",
    call=call("isolate", network="198.18.1.0/24"),
    hosts=("carrier-a",),
    gate=gate(persons=2, standing_order=True),
    probe=call("isolated"),
    undo=call("lift"),
    by_hand="Ask the carrier's desk.",
    commands=(
        Command(
            host="carrier-a",
            text="nft add element\nnft list table",
            good=(("fenced", "both * ways"), ("fenced before",)),
        ),
    ),
    undo_commands=(Command(host="carrier-a", text="nft delete element", good=(("gone",),)),),
)
PROMOTE = Step(
    name="promote",
    title="Promote",
    call=call("promote"),
    hosts=("db-dc2",),
    after=("fence",),
    guards=(guard("fencing-confirmed", on=("fence",), carriers=["carrier-a"], addresses=["198.18.1.10"]),),
    expected=dt.timedelta(seconds=3),
)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self.seen.add(tag)


@pytest.mark.parametrize("render", [plan_html, plan_markdown])
def test_the_page_is_enough_to_do_it_by_hand(render: object) -> None:
    assert callable(render)
    page = str(render(plan_of(FENCE, PROMOTE), NOW))
    for told in (
        "nft add element\n",
        "nft list table",
        "2 persons must consent, or a standing order",
        "carrier-a",
        "isolated()",
        "lift()",
        "irreversible",
        "fencing-confirmed",
        "1 fence → 2 promote",
        "both * ways",
        "fenced before",
        "do nothing that comes after this step",
        "nft delete element",
        "Ask the carrier's desk",
        "Printed on 2026-11-30 at 03:04:05 UTC",
        "Predicted 4 s",
        "Look at this twice",
        "does not say how",
    ):
        assert told in page.replace("\\", "").replace("&#39;", "'"), told


def test_nothing_an_inventory_says_becomes_markup() -> None:
    hostile = Step(name="s", title=HOSTILE, call=call("x", y=HOSTILE), hosts=(HOSTILE,), by_hand=HOSTILE)
    page = plan_html(plan_of(hostile, title=HOSTILE), NOW)
    tags = Tags()
    tags.feed(page)
    assert "script" not in tags.seen
    assert "\x1b" not in page
    assert "{{ 7*7 }}" in page
    text = plan_markdown(plan_of(hostile, title=HOSTILE), NOW)
    outside_code = [line for line in text.splitlines() if not line.startswith("    ")]
    assert not any("<script>" in line.replace("\\<", "") or "](" in line for line in outside_code)


@pytest.mark.parametrize("render", [plan_html, plan_markdown])
def test_the_page_names_whom_to_call_who_may_consent_and_where_the_hosts_are(render: object) -> None:
    assert callable(render)
    page = str(render(plan_of(FENCE, PROMOTE), replace(NOW, estate=LAB))).replace("\\", "")
    for told in ("+49 30 23125 003", "fault desks of both carriers", "198.19.0.11"):
        assert told in page, told
    assert re.search(r"Who may: lab-approver-1 \(\+49 30 23125 001\).*lab-deputy-2", page)
    assert len(re.findall(r"Consent \d", page)) == 2


@pytest.mark.parametrize("render", [plan_html, plan_markdown])
def test_steps_that_can_be_done_at_once_stand_in_one_round(render: object) -> None:
    assert callable(render)
    steps = [replace(FENCE, name=f"fence-{one}", gate=None) for one in ("a", "b")]
    last = replace(PROMOTE, after=("fence-a", "fence-b"), guards=())
    page = str(render(plan_of(*steps, last), NOW))
    assert "Round 1" in page
    assert page.count("2 steps, at once") == 1
    assert "Round 3" not in page


@pytest.mark.parametrize("render", [plan_html, plan_markdown])
def test_only_what_can_not_be_taken_back_is_marked_irreversible(render: object) -> None:
    assert callable(render)
    marked = "Irreversible"
    assert marked in str(render(plan_of(FENCE, PROMOTE), NOW))
    assert marked not in str(render(plan_of(FENCE), NOW))
    assert marked not in str(render(plan_of(replace(PROMOTE, after=(), guards=(), repeatable=True)), NOW))


@pytest.mark.parametrize("render", [plan_html, plan_markdown])
def test_the_same_plan_printed_later_differs_in_one_line_that_does_not_count(render: object) -> None:
    assert callable(render)
    plan, later = plan_of(FENCE, PROMOTE), replace(NOW, at=NOW.at + dt.timedelta(days=3))
    first, second = str(render(plan, NOW)), str(render(plan, later))
    assert first != second
    assert procedures.digest_of(first) == procedures.digest_of(second)
    assert procedures.digest_of(first) != procedures.digest_of(first.replace("carrier-a", "carrier-b"))
    assert PRINTED == procedures.PRINTED
