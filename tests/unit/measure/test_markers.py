"""What planted markers show of the workloads that customers do not write to."""

from __future__ import annotations

import json
from importlib import resources

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.measure.story import FAULT, OPENED, Story, finding, keep_markers, marked_story, thin_story

from secondsite.measure import DrillResult, Verdict, to_document
from secondsite.measure.model import ObjectiveResult


def documents(result: DrillResult) -> ObjectiveResult:
    return next(one for one in result.objectives if one.workload == "documents")


def test_markers_lost_within_the_rpo_are_counted_and_allowed() -> None:
    result = marked_story().result()
    assert result.verdict is Verdict.PASSED, [rule for rule in result.rules if rule.status.value != "satisfied"]
    (counts,) = result.markers
    assert counts.lost == 4
    assert documents(result).rpa == pytest.approx(2.0, abs=0.5)
    assert finding(result, "rpo:documents") == "satisfied"


def test_the_rta_is_the_first_marker_kept_for_good_by_the_new_site() -> None:
    found = documents(marked_story().result())
    assert found.rta == pytest.approx(OPENED - FAULT, abs=0.6)


@pytest.mark.parametrize(("rpo", "status"), [(15.0, "satisfied"), (1.0, "not-satisfied"), (0.0, "not-satisfied")])
def test_the_same_loss_is_judged_by_the_declared_rpo(rpo: float, status: str) -> None:
    told = marked_story()
    told.promised["workloads"][-1]["rpo_s"] = rpo
    assert finding(told.result(), "rpo:documents") == status


def test_a_marker_lost_long_before_the_fault_makes_the_loss_as_old_as_it_is() -> None:
    told = marked_story()
    first = told.markers[0]["id"]
    keep_markers(told, lambda line: line["outcome"] == "ok" and line["id"] != first)
    result = told.result()
    assert documents(result).rpa == pytest.approx(FAULT - told.markers[0]["t1"])
    assert finding(result, "rpo:documents") in ("satisfied", "not-satisfied")
    assert result.markers[0].lost == 1


def drop_a_marker(told: Story) -> None:
    told.markers.pop(3)


def drop_the_final_read(told: Story) -> None:
    told.kept.clear()


def read_on_the_other_node(told: Story) -> None:
    for line in told.kept:
        line["node"] = "store-dc2"


def state_fewer_rows(told: Story) -> None:
    told.kept[-1]["rows"] -= 1


def read_before_the_last_answer(told: Story) -> None:
    told.kept[-1]["read_at"] = told.markers[-1]["t0"]


@pytest.mark.parametrize(
    "bend",
    [drop_a_marker, drop_the_final_read, read_on_the_other_node, state_fewer_rows, read_before_the_last_answer],
)
def test_records_that_cannot_be_trusted_are_never_passed(bend: object) -> None:
    told = marked_story()
    assert callable(bend)
    bend(told)
    result = told.result()
    assert result.verdict is Verdict.INCONCLUSIVE
    assert finding(result, "rto:billing") == "satisfied"


def test_two_writers_of_documents_are_split_brain() -> None:
    told = marked_story()
    for sample in told.writability:
        if sample["node"] == "store-dc1" and FAULT + 4 < sample["t"] < FAULT + 6:
            sample["state"] = "writable"
    assert finding(told.result(), "one-writer") == "not-satisfied"


def test_a_target_that_keeps_no_marker_has_not_restored_them() -> None:
    told = marked_story()
    for line in told.markers:
        if line["node"] == "store-dc2":
            line |= {"outcome": "failed", "node": None}
    keep_markers(told, lambda line: line["outcome"] == "ok" and not FAULT - 2 <= line["t1"] < FAULT)
    assert finding(told.result(), "rto:documents") != "satisfied"
    assert documents(told.result()).rta is None


def test_an_estate_without_such_workloads_has_no_markers_in_its_result() -> None:
    files = thin_story().files()
    del files["markers.jsonl"], files["kept.jsonl"]
    assert "markers" not in to_document(thin_story().result())


def test_the_document_with_markers_keeps_its_schema() -> None:
    schema = json.loads(resources.files("secondsite.measure").joinpath("drill_result.schema.json").read_text())
    document = to_document(marked_story().result())
    jsonschema.validate(document, schema)
    assert document["markers"]


@given(lost=st.sets(st.integers(min_value=0, max_value=80)))
@settings(max_examples=30, deadline=None)
def test_the_loss_counted_is_exactly_what_was_acknowledged_and_is_not_there(lost: set[int]) -> None:
    told = marked_story()
    gone = {f"m-{number}" for number in lost}
    acknowledged = {line["id"] for line in told.markers if line["outcome"] == "ok"}
    keep_markers(told, lambda line: line["outcome"] == "ok" and line["id"] not in gone)
    result = told.result()
    assert result.markers[0].lost == len(acknowledged & gone)
    assert documents(result).rpo_status.value != "satisfied" or (documents(result).rpa or 0) <= 15
