"""What makes a drill passed, failed, inconclusive or aborted."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.measure.story import FAILBACK, FAULT, OPENED, READ, Line, Story, finding, marked_story, thin_story

import secondsite.measure
from secondsite.measure import FILES, Verdict, exit_code, read_records, recompute, to_document

THIN, MARKED = thin_story(), marked_story()
BACK = FAILBACK + 3  # from here on the returned node answers


def story() -> Story:
    return copy.deepcopy(THIN)


def no_promise(told: Story) -> None:
    told.promised["workloads"][0]["rto_s"] = 1.0


def lose_one(told: Story) -> None:
    row = next(line for line in told.final if line["arm"] == "main" and "id" in line)
    told.final.remove(row)
    head = next(line for line in told.final if line["arm"] == "main" and "rows" in line)
    head["rows"] -= 1


def add_row(told: Story, identity: str) -> None:
    told.final.insert(0, {"arm": "main", "node": "db-dc1", "id": identity})
    next(line for line in told.final if line["arm"] == "main" and "rows" in line)["rows"] += 1


def duplicate_a_row(told: Story) -> None:
    add_row(told, next(line["id"] for line in told.final if line["arm"] == "main"))


def keep_a_failed_write(told: Story) -> None:
    add_row(told, next(r["id"] for r in told.requests if r["outcome"] == "failed" and r["kind"] == "write"))


def two_nodes_writable(told: Story) -> None:
    for sample in told.writability:
        if sample["node"] == "db-dc1" and FAULT + 3 < sample["t"] < FAULT + 4:
            sample["state"] = "writable"


def fence_that_lies(told: Story) -> None:
    late = next(r for r in told.requests if r["t0"] > OPENED + 2 and r["kind"] == "read")
    late["web"] = "web-dc1"
    late["db"] = "db-dc1"


def fence_after_promotion(told: Story) -> None:
    told.event("fenced")["t"] = told.event("writable")["t"] + 0.01


def fence_failed(told: Story) -> None:
    told.event("fenced")["detail"] = {"fencing": "failed"}


def something_left(told: Story) -> None:
    told.event("cleanup-proven")["detail"] = {"left": ["isolation of dc1 at carrier-a"]}


def red_check_after(told: Story) -> None:
    told.steady[-1]["state"] = "failed"


def step_failed(told: Story) -> None:
    told.steps[4]["outcome"] = "failed"


def cut_host_heard(told: Story) -> None:
    told.silence["packets_heard"] = 1


def served_badly_later(told: Story) -> None:
    for request in told.requests:
        if OPENED + 12 < request["t0"] < FAILBACK:
            request |= {"outcome": "failed", "error": "500"}


@pytest.mark.parametrize(
    ("bend", "rule"),
    [
        (no_promise, "rto:billing"),
        (lose_one, "rpo:billing"),
        (duplicate_a_row, "no-false-words"),
        (keep_a_failed_write, "no-false-words"),
        (two_nodes_writable, "one-writer"),
        (fence_that_lies, "fencing-confirmed"),
        (fence_after_promotion, "fencing-confirmed"),
        (fence_failed, "fencing-confirmed"),
        (something_left, "cleanup-empty"),
        (red_check_after, "steady-after"),
        (step_failed, "steps-completed"),
        (cut_host_heard, "fault-proven"),
        (served_badly_later, "service-held"),
    ],
)
def test_a_planted_fault_fails_the_drill_and_is_named(bend: Callable[[Story], None], rule: str) -> None:
    told = story()
    bend(told)
    result = told.result()
    assert result.verdict is Verdict.FAILED
    assert exit_code(result) == 3
    assert finding(result, rule) == "not-satisfied"


def forget(name: str) -> Callable[[Story], None]:
    def bend(told: Story) -> None:
        told.events = [line for line in told.events if line["event"] != name]

    return bend


def control_kept(told: Story) -> None:
    present = {line.get("id") for line in told.final}
    for request in told.requests:
        if request["arm"] == "control" and request["outcome"] == "ok" and request["id"] not in present:
            told.final.insert(0, {"arm": "control", "node": "db-dc1", "id": request["id"]})
    rows = sum(line["arm"] == "control" and "id" in line for line in told.final)
    next(line for line in told.final if line["arm"] == "control" and "rows" in line)["rows"] = rows


def polling_gap(told: Story) -> None:
    told.writability = [s for s in told.writability if s["node"] != "db-dc1" or not BACK + 1 < s["t"] < BACK + 3]


def nobody_polled(told: Story) -> None:
    told.writability = [s for s in told.writability if not BACK + 1 < s["t"] < BACK + 3]


def returned_host_unpolled(told: Story) -> None:
    told.writability = [s for s in told.writability if s["node"] != "db-dc1" or not FAILBACK < s["t"] < FAILBACK + 6]


def silence_of_half(told: Story) -> None:
    told.silence["hosts"] = ["web-dc1"]


def two_clocks(told: Story) -> None:
    told.clocks["hosts"]["customers"] = "another kernel"


def read_on_a_replica(told: Story) -> None:
    for line in told.final:
        line["node"] = "db-dc2"


def row_nobody_asked_for(told: Story) -> None:
    add_row(told, "mw-999999")


def unknown_check_before(told: Story) -> None:
    told.steady[0]["state"] = "unknown"


def no_checks_after(told: Story) -> None:
    told.steady = [line for line in told.steady if line["phase"] == "before"]


def unpinned(told: Story) -> None:
    told.promised["service_level"]["ratio"] = 0.5
    told.events = [line for line in told.events if line["event"] != "drill-started"]


def fewer_requests_than_made(told: Story) -> None:
    told.event("traffic-stopped")["detail"] = {"requests": len(told.requests) + 1}


def nobody_answers_for_the_wait(told: Story) -> None:
    told.approvals["approvals"] = []
    told.event("approved")["detail"] = None


def steps_unknown(told: Story) -> None:
    told.steps[-1]["outcome"] = "unknown"


@pytest.mark.parametrize(
    ("bend", "rule"),
    [
        (forget("fenced"), "fencing-confirmed"),
        (forget("detected"), "times-known"),
        (forget("writable"), "times-known"),
        (forget("cleanup-proven"), "cleanup-empty"),
        (forget("held-back"), "control-loss-seen"),
        (forget("fault-begun"), "rto:billing"),
        (forget("failback-done"), "returned"),
        (forget("traffic-stopped"), "one-writer"),
        (control_kept, "control-loss-seen"),
        (polling_gap, "one-writer"),
        (nobody_polled, "one-writer"),
        (returned_host_unpolled, "one-writer"),
        (silence_of_half, "fault-proven"),
        (two_clocks, "one-clock"),
        (read_on_a_replica, "rpo:billing"),
        (row_nobody_asked_for, "every-row-explained"),
        (unknown_check_before, "steady-before"),
        (no_checks_after, "steady-after"),
        (fewer_requests_than_made, "records-readable"),
        (nobody_answers_for_the_wait, "times-known"),
        (steps_unknown, "steps-completed"),
    ],
)
def test_what_nobody_measured_is_inconclusive_and_named(bend: Callable[[Story], None], rule: str) -> None:
    told = story()
    bend(told)
    result = told.result()
    assert result.verdict is Verdict.INCONCLUSIVE
    assert exit_code(result) == 8
    assert finding(result, rule) == "not-measured"


def test_objectives_changed_after_the_start_fail_the_drill() -> None:
    files = story().files()
    promised = json.loads(files["promised.json"])
    promised["workloads"][0]["rto_s"] = 3600.0
    result = recompute(read_records({**files, "promised.json": json.dumps(promised).encode()}))
    assert finding(result, "promised-before-start") == "not-satisfied"
    assert result.verdict is Verdict.FAILED


def test_the_whole_story_passes() -> None:
    result = story().result()
    assert [rule.id for rule in result.rules if rule.status.value != "satisfied"] == []
    assert result.verdict is Verdict.PASSED
    assert exit_code(result) == 0


def test_an_abort_is_called_aborted_and_hides_no_failure() -> None:
    told = story()
    told.events.append({"t": READ, "event": "aborted", "step": None, "detail": {"reason": "Ctrl-C"}})
    assert told.result().verdict is Verdict.ABORTED
    assert exit_code(told.result()) == 5
    two_nodes_writable(told)
    assert told.result().verdict is Verdict.FAILED


OF_A_COLD_RESTART = {"restores.jsonl", "attempts.jsonl"}


@pytest.mark.parametrize("name", [name for name in FILES if name not in OF_A_COLD_RESTART])
def test_a_drill_without_one_kind_of_record_never_passes(name: str) -> None:
    files = MARKED.files()
    for instead in (None, b"", b"{}\n", b"[]\n"):
        kept = {key: content for key, content in files.items() if key != name}
        result = recompute(read_records(kept if instead is None else {**kept, name: instead}))
        if name == "limitations.json" and instead == b"[]\n":
            assert result.verdict is Verdict.PASSED  # no limitation is a thing one can say
        else:
            assert result.verdict is not Verdict.PASSED, instead


def test_no_records_at_all_are_inconclusive() -> None:
    result = recompute(read_records({}))
    assert result.verdict is Verdict.INCONCLUSIVE
    only_where_promised = {"markers.jsonl", "kept.jsonl"} | OF_A_COLD_RESTART
    assert {problem.file for problem in result.problems} == set(FILES) - only_where_promised


SCHEMA = json.loads((Path(secondsite.measure.__file__).parent / "drill_result.schema.json").read_text())


@pytest.mark.parametrize("told", [story(), None], ids=["a whole drill", "no records"])
def test_the_document_keeps_its_schema_and_prints_null_for_what_is_not_measured(told: Story | None) -> None:
    result = told.result() if told else recompute(read_records({}))
    document = to_document(result, report="report.html", evidence="evidence.tar.gz")
    jsonschema.validate(document, SCHEMA)
    assert set(SCHEMA["required"]) == set(document)
    if told is None:
        times = document["times"]
        assert isinstance(times, dict)
        assert set(times.values()) == {None}


@given(st.data())
@settings(max_examples=15, deadline=None)
def test_an_acknowledged_write_that_is_missing_is_always_counted(data: st.DataObject) -> None:
    told = story()
    acked = [r["id"] for r in told.requests if r["arm"] == "main" and r["kind"] == "write" and r["outcome"] == "ok"]
    gone = set(data.draw(st.lists(st.sampled_from(acked), min_size=1, max_size=20)))
    told.final = [line for line in told.final if line.get("id") not in gone]
    head = next(line for line in told.final if line["arm"] == "main" and "rows" in line)
    head["rows"] = sum(line["arm"] == "main" and "id" in line for line in told.final)
    result = told.result()
    assert result.writes.lost == len(gone)
    assert result.verdict is Verdict.FAILED
    earliest = min(r["t1"] for r in told.requests if r["id"] in gone)
    rpa = result.objectives[0].rpa
    assert rpa is not None
    if earliest <= FAULT:
        assert rpa >= FAULT - earliest - 1e-9


@given(begin=st.floats(1023.0, 1043.0), length=st.floats(0.5, 10.0))
@settings(max_examples=15, deadline=None)
def test_two_writers_never_pass(begin: float, length: float) -> None:
    told = story()
    seen = [s for s in told.writability if s["node"] == "db-dc1" and begin <= s["t"] <= min(begin + length, 1043.5)]
    for sample in seen:
        sample["state"] = "writable"
    result = told.result()
    if seen:
        assert result.max_writers == 2
        assert result.verdict is Verdict.FAILED


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_leaving_out_polls_never_makes_one_writer_of_two(data: st.DataObject) -> None:
    told = story()
    for sample in told.writability:
        if sample["node"] == "db-dc1" and BACK + 1 < sample["t"] < BACK + 3:
            sample["state"] = "writable"
    lines = told.writability
    for _ in range(data.draw(st.integers(1, 6))):
        begin = data.draw(st.floats(FAULT, READ))
        end = begin + data.draw(st.floats(0.0, 30.0))
        node = data.draw(st.sampled_from(["db-dc1", "db-dc2"]))
        lines = [line for line in lines if line["node"] != node or not begin < line["t"] < end]
    told.writability = lines
    assert told.result().max_writers in {None, 2}


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_leaving_out_events_and_lines_never_turns_a_verdict_into_passed(data: st.DataObject) -> None:
    told = story()
    lose_one(told)
    kinds = data.draw(st.sets(st.sampled_from(["requests", "writability", "events", "steps", "steady"])))
    for kind in kinds:
        lines: list[Line] = getattr(told, kind)
        first = data.draw(st.integers(0, len(lines)))
        setattr(told, kind, lines[:first] + lines[data.draw(st.integers(first, len(lines))) :])
    assert told.result().verdict is not Verdict.PASSED


def test_bad_answers_count_before_the_fault_only_in_the_seconds_that_were_promised() -> None:
    for bad_until, asked, found in ((4.0, 5.0, "satisfied"), (6.0, 5.0, "not-measured"), (4.0, None, "not-measured")):
        told = Story()
        told.promised["service_level"]["served_before_s"] = asked
        for request in told.requests:
            if request["arm"] == "main" and request["t0"] < FAULT - 10 + bad_until:
                request |= {"outcome": "failed", "web": None, "db": None}
        assert finding(told.result(), "served-before") == found, (bad_until, asked)
