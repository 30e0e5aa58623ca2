"""A report says what the records say, in one page that needs nothing else, whatever the records contain."""

from __future__ import annotations

import copy
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.measure.story import OPENED, Story, marked_story, thin_story
from tests.unit.measure.test_anew import cold

from secondsite.measure import FILES, read_records, recompute
from secondsite.measure.facts import gather
from secondsite.reports import Seal, render_html, render_junit, render_markdown
from secondsite.reports.svg import Scale, stagger, text_width
from secondsite.reports.text import clean
from secondsite.reports.timeline import critical_path, failover_steps

THIN = thin_story()
MARKED = marked_story()
SEAL = Seal(
    manifest_sha256="ab" * 32,
    signed_by=("lab identity 1", "lab identity 2"),
    verify_command="./secondsite evidence verify 7-site-loss/evidence.tar.gz",
)
VOID = {"meta", "br", "link", "img", "input", "hr"}
HOSTILE = (
    "</td><script>alert(1)</script>\x1b[2J\x1b]0;owned\x07\u202etxt.exe`|<img src=http://198.51.100.1/x>" + "A" * 9000
)


def story() -> Story:
    return copy.deepcopy(THIN)


class Shape(HTMLParser):
    """Collects tags, attributes and text, and insists that what is opened is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += " " + data


def page_of(told: Story, seal: Seal | None = SEAL) -> str:
    return render_html(told.files(), seal=seal)


def test_the_page_needs_no_script_and_nothing_from_elsewhere() -> None:
    page = page_of(story())
    shape = Shape(page)
    assert not {"script", "link", "img", "iframe", "object", "form"} & {tag for tag, _ in shape.tags}
    assert re.findall(r"https?://[^\s\"<]+", page) == ["http://www.w3.org/2000/svg"] * page.count("<svg ")
    for _, attributes in shape.tags:
        assert not [name for name in attributes if name.startswith("on") or name in {"src", "srcset"}]
        assert (attributes.get("href") or "#").startswith("#")
    assert "url(" not in page


def test_the_page_says_verdict_promise_figures_and_how_to_verify() -> None:
    text = " ".join(Shape(page_of(story())).text.split())
    for said in (
        "Passed",
        "Customers were served again from dc2 after",
        "8 s were promised",
        "acknowledged writes was lost",
        "sha256:" + "ab" * 32,
        "./secondsite evidence verify 7-site-loss/evidence.tar.gz",
        "signed by lab identity 1 and lab identity 2",
        "two lab identities made at lab up",
        "makes nobody compliant",
        "this kernel has no netem",
        "the loss of both sites at once",
        "C12",
        "nobody was waited for: the standing order gave consent",
    ):
        assert said in text, said


def test_a_place_that_was_lost_meanwhile_and_who_consented_are_on_the_page() -> None:
    told = story()
    lost = {"t": told.event("declared")["t"] + 0.01, "event": "also-lost", "detail": "console"}
    told.events.insert(told.events.index(told.event("declared")) + 1, lost)
    told.approvals["approvals"][0] |= {"by": "persons", "persons": ["lab-deputy-1", "lab-deputy-2"]}
    text = " ".join(Shape(page_of(told)).text.split())
    assert "headquarters lost" in text
    assert "lab-deputy-1, lab-deputy-2" in text


def test_every_rule_and_every_step_is_on_the_page() -> None:
    told = story()
    told.steps.append({"step": "late", "title": "Tell it", "attempt": 1, "t0": None, "t1": None, "outcome": "skipped"})
    text = " ".join(Shape(page_of(told)).text.split())
    for rule in told.result().rules:
        assert rule.claim in text
    for step in told.steps:
        assert step["title"] in text
    assert "never executed" in text


def test_every_link_inside_the_page_has_its_target_and_ids_stand_once() -> None:
    shape = Shape(page_of(story()))
    ids = [attributes["id"] for _, attributes in shape.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {(a.get("href") or "")[1:] for tag, a in shape.tags if tag == "a"} <= set(ids)


def test_every_picture_is_well_formed_and_has_a_name_for_those_who_do_not_see_it() -> None:
    pictures = re.findall(r"<svg .*?</svg>", page_of(story()), flags=re.DOTALL)
    assert len(pictures) == 5
    for picture in pictures:
        root = Xml.fromstring(picture)  # noqa: S314  made by us, above
        assert root.get("role") == "img"
        assert root[0].tag.endswith("title")
        assert root[0].text


@pytest.mark.parametrize("name", [name for name in FILES if name in marked_story().files()])
def test_a_missing_record_is_printed_as_not_measured_and_never_as_zero(name: str) -> None:
    files = {key: content for key, content in marked_story().files().items() if key != name}
    text = " ".join(Shape(render_html(files)).text.split())
    assert "Passed" not in text
    assert f"{name} the file is missing" in text.replace(" : ", " ")
    if name == "requests.jsonl":
        assert "Fault to service restored not measured" in text


def test_a_page_without_any_record_says_that_there_is_nothing_to_judge_by() -> None:
    text = " ".join(Shape(render_html({})).text.split())
    assert "Inconclusive" in text
    assert "There is nothing to judge by" in text
    assert "not sealed" in text


@pytest.mark.parametrize("render", [page_of, lambda told: render_markdown(told.files())])
def test_hostile_values_are_shown_as_harmless_text(render: object) -> None:
    told = story()
    told.promised |= {"drill": HOSTILE, "estate": HOSTILE, "why": HOSTILE, "out_of_scope": [HOSTILE]}
    told.promised["commitments"] = [{"id": HOSTILE, "kept_by": HOSTILE}]
    told.limitations = [HOSTILE]
    told.steps[0] |= {"title": HOSTILE, "hosts": [HOSTILE], "detail": HOSTILE}
    told.steady[0] |= {"check": HOSTILE, "state": "failed"}
    told.silence["hosts"].append(HOSTILE)
    told.requests[5]["error"] = HOSTILE
    told.requests[6]["web"] = HOSTILE
    told.writability[0] |= {"node": HOSTILE, "workload": HOSTILE}
    told.approvals["standing_order"] = {"signed_by": [HOSTILE], "made": HOSTILE, "expires": {"a": HOSTILE}}
    told.approvals["approvals"][0] |= {"gate": HOSTILE, "persons": [HOSTILE]}
    assert callable(render)
    page = render(told)
    assert "<script" not in page
    assert "<img" not in page
    assert "A" * 1300 not in page
    for character in "\x1b\x07\u202e":
        assert character not in page


def test_a_cell_of_markdown_cannot_be_left() -> None:
    told = story()
    told.limitations = ["a | b\n# big\n<b>[x](http://198.51.100.1)`"]
    page = render_markdown(told.files())
    assert r"- a \| b \# big &lt;b&gt;\[x\](http://198.51.100.1)\`" in page


@given(st.text(max_size=400))
def test_cleaned_text_is_printable_and_short(raw: str) -> None:
    shown = clean(raw, longest=50)
    assert len(shown) <= 50
    assert shown.isprintable() or not shown or all(c.isprintable() or c.isspace() for c in shown)


@given(st.lists(st.tuples(st.floats(0, 1000), st.text("abcdefg ", min_size=1, max_size=24)), max_size=12).map(sorted))
def test_labels_never_overlap_and_never_leave_the_picture(marks: list[tuple[float, str]]) -> None:
    placed = stagger(marks, right=1036)
    spans = [(row, left, left + text_width(label)) for (left, row), (_, label) in zip(placed, marks, strict=True)]
    for index, (row, left, right) in enumerate(spans):
        assert left >= 0
        assert right <= 1036.01
        assert not any(r == row and left < b and a < right for r, a, b in spans[:index])


@given(low=st.floats(-1e5, 1e5), width=st.floats(1e-3, 1e5), about=st.integers(2, 20))
def test_axes_have_a_bounded_number_of_round_ticks(low: float, width: float, about: int) -> None:
    ticks = Scale(low=low, high=low + width, left=0, right=100).ticks(about)
    assert len(ticks) <= about + 2


def test_the_critical_path_is_the_chain_that_decided_the_end() -> None:
    records = read_records(story().files())
    assert records.promised is not None
    steps = failover_steps(gather(records, records.promised))
    expected = {"detect", "declare", "fence-carrier-b", "confirm-fencing", "promote-billing", "open", "use"}
    assert critical_path(steps) == expected


def test_steps_that_wait_for_each_other_in_a_circle_are_still_drawn() -> None:
    told = story()
    for step in told.steps:
        step["after"] = [other["step"] for other in told.steps]
    assert "<svg" in page_of(told)


def test_junit_counts_what_nobody_measured_as_an_error_and_never_as_a_pass() -> None:
    told = story()
    told.events = [line for line in told.events if line["event"] not in {"fenced", "cleanup-proven"}]
    told.final = [line for line in told.final if line["arm"] != "main" or "rows" in line]
    told.final[0]["rows"] = 0
    root = Xml.fromstring(render_junit(told.files()))  # noqa: S314  made by us, above
    result = told.result()
    by_status = dict.fromkeys(("satisfied", "not-satisfied", "not-measured"), 0)
    for rule in result.rules:
        by_status[rule.status.value] += 1
    cases = root.findall(".//testcase")
    assert len(cases) == len(result.rules) == int(root.get("tests", ""))
    assert sum(case.find("failure") is not None for case in cases) == by_status["not-satisfied"] > 0
    assert sum(case.find("error") is not None for case in cases) == by_status["not-measured"] > 0
    assert int(root.get("errors", "")) == by_status["not-measured"]


def test_an_aborted_drill_is_no_green_junit() -> None:
    told = story()
    told.events.append({"t": OPENED, "event": "aborted", "detail": {"reason": "Ctrl-C"}})
    root = Xml.fromstring(render_junit(told.files()))  # noqa: S314  made by us, above
    assert root.find(".//testcase[@name='drill-not-aborted: The drill ran to its end']/error") is not None


def test_junit_is_xml_whatever_the_records_say() -> None:
    told = story()
    told.promised |= {"drill": HOSTILE, "scenario": HOSTILE}
    told.steady[0] |= {"check": HOSTILE + "\x00\ufffe", "state": "failed"}
    Xml.fromstring(render_junit(told.files()))  # noqa: S314  made by us, above


@given(file=st.sampled_from(FILES), start=st.integers(min_value=0), length=st.integers(1, 2000))
@settings(max_examples=12, deadline=None)
def test_whatever_is_missing_in_the_records_every_report_is_rendered(file: str, start: int, length: int) -> None:
    files = MARKED.files() if file in MARKED.files() else cold().files()
    start %= len(files[file])
    files[file] = files[file][:start] + files[file][start + length :]
    Shape(render_html(files))
    render_markdown(files)
    assert (recompute(read_records(files)).verdict.value == "passed") == ("<h1>Passed" in render_html(files))


def test_a_cold_restart_is_reported_with_what_came_back_and_what_production_would_take() -> None:
    files = cold().files()
    text = " ".join(Shape(render_html(files)).text.split())

    for told in ("What came back", "Projected to production", "It rests on", "the capacity report of the quarter"):
        assert told in text
    assert "95 % upper bound" in text
    assert "4 attempts, 4 refused" not in text
    assert "2 attempts, 2 refused" in text
    assert "databases" in render_markdown(files)


def test_a_cold_restart_without_its_restores_gives_no_number() -> None:
    files = {name: content for name, content in cold().files().items() if name != "restores.jsonl"}
    text = " ".join(Shape(render_html(files)).text.split())

    assert "No number can be given" in text
    assert "not measured: nothing that was restored is recorded" in text
