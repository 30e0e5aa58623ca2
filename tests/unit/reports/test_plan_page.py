from __future__ import annotations

import datetime as dt
from html.parser import HTMLParser

import pytest

from secondsite.plan.builder import call, gate, guard
from secondsite.plan.document import sealed
from secondsite.plan.model import Intent, Plan, Step
from secondsite.reports.plan_page import plan_html, plan_markdown

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
    by_hand="nft add element\nnft list table",
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
    page = str(render(plan_of(FENCE, PROMOTE), {}))
    for told in (
        "nft add element\n",
        "nft list table",
        "2 persons must consent, or a standing order",
        "carrier-a",
        "isolated()",
        "lift()",
        "irreversible",
        "fencing-confirmed",
        "fence → promote",
        "Predicted 4 s",
        "Look at this twice",
        "does not say how",
    ):
        assert told in page.replace("\\", ""), told


def test_nothing_an_inventory_says_becomes_markup() -> None:
    hostile = Step(name="s", title=HOSTILE, call=call("x", y=HOSTILE), hosts=(HOSTILE,), by_hand=HOSTILE)
    page = plan_html(plan_of(hostile, title=HOSTILE), {})
    tags = Tags()
    tags.feed(page)
    assert "script" not in tags.seen
    assert "\x1b" not in page
    assert "{{ 7*7 }}" in page
    text = plan_markdown(plan_of(hostile, title=HOSTILE), {})
    outside_code = [line for line in text.splitlines() if not line.startswith("    ")]
    assert not any("<script>" in line.replace("\\<", "") or "](" in line for line in outside_code)
