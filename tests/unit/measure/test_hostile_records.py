"""Records come from hosts that may lie: what can't be read is named by file and line, and never becomes a number."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.measure.story import thin_story
from tests.unit.measure.test_anew import cold

from secondsite.measure import FILES, Verdict, read_records, recompute

FILES_OF_A_DRILL, FILES_OF_A_COLD_RESTART = thin_story().files(), cold().files()
LINE = json.loads(FILES_OF_A_DRILL["requests.jsonl"].splitlines()[0])


def with_line(file: str, line: bytes) -> dict[str, bytes]:
    return {**FILES_OF_A_DRILL, file: line + b"\n" + FILES_OF_A_DRILL[file]}


def bent(**changes: object) -> bytes:
    return json.dumps({**LINE, **changes}).encode()


@pytest.mark.parametrize(
    ("file", "line", "said"),
    [
        pytest.param("requests.jsonl", b"{not json", "not JSON", id="no JSON"),
        pytest.param("requests.jsonl", b"\xff\xfe", "not JSON", id="no UTF-8"),
        pytest.param("requests.jsonl", b"[1]", "expected an object", id="a list"),
        pytest.param("requests.jsonl", b"[" * 100_000, "not JSON", id="deep nesting"),
        pytest.param("requests.jsonl", b'{"t0": ' + b"9" * 5000 + b"}", "not JSON", id="endless integer"),
        pytest.param("requests.jsonl", b'{"t0": NaN}', "NaN is not a number", id="NaN"),
        pytest.param("requests.jsonl", b'{"t0": -Infinity}', "-Infinity is not", id="infinity"),
        pytest.param("requests.jsonl", bent(t0=1e400), "Infinity is not", id="overflow"),
        pytest.param("requests.jsonl", b'{"t0": 1e400}', "must be finite", id="overflow as written"),
        pytest.param("requests.jsonl", b'{"t0": 1, "t0": 2}', "stands twice", id="duplicate key"),
        pytest.param("requests.jsonl", b'{"t0": 1}', "'t1' is missing", id="missing field"),
        pytest.param("requests.jsonl", bent(t0=True), "must be a number", id="truth as number"),
        pytest.param("requests.jsonl", bent(t0="1000"), "must be a number", id="text as number"),
        pytest.param("requests.jsonl", bent(t0=-1), "must be finite", id="negative instant"),
        pytest.param("requests.jsonl", bent(t1=1.0), "before it was due", id="answered before asked"),
        pytest.param("requests.jsonl", bent(outcome="okay"), "one of ok, failed, unknown", id="unknown word"),
        pytest.param("requests.jsonl", bent(id=""), "not empty", id="empty id"),
        pytest.param("requests.jsonl", bent(web=7), "must be a string", id="tag of the wrong kind"),
        pytest.param("requests.jsonl", b'{"x": "' + b"a" * (1 << 20) + b'"}', "longer than", id="endless line"),
        pytest.param("events.jsonl", b'{"t": 1.0, "event": "fault-begun"}', "more than once", id="second fault"),
        pytest.param("final.jsonl", b'{"arm":"main","node":"db-dc1","id":"mw-1"}', "rows stated", id="row too many"),
        pytest.param("final.jsonl", b'{"arm":"main","node":"db-dc2","id":"mw-1"}', "several nodes", id="two nodes"),
        pytest.param(
            "writability.jsonl",
            b'{"t": 2000.0, "node": "db-dc1", "workload": "billing", "state": "writable"}',
            "back in time",
            id="sample from the future",
        ),
        pytest.param("steps.jsonl", b'{"step":"x","attempt":1,"t0":2,"t1":1,"outcome":"done"}', "before", id="step"),
    ],
)
def test_a_line_that_cannot_be_meant_is_named_and_makes_a_pass_impossible(file: str, line: bytes, said: str) -> None:
    result = recompute(read_records(with_line(file, line)))
    found = [problem for problem in result.problems if problem.file == file]
    assert any(said in problem.what for problem in found), found
    assert all(problem.line for problem in found)
    assert result.verdict in {Verdict.INCONCLUSIVE, Verdict.FAILED}


def test_answers_read_late_after_the_node_was_called_unreachable_are_kept() -> None:
    late = b'{"t": 1034.0, "node": "db-dc2", "workload": "billing", "state": "unreachable"}'
    before = recompute(read_records(FILES_OF_A_DRILL))
    result = recompute(read_records(with_line("writability.jsonl", late)))
    assert result.problems == before.problems == ()
    assert result.max_writers == before.max_writers


def test_a_request_recorded_twice_counts_once_and_is_named() -> None:
    first = FILES_OF_A_DRILL["requests.jsonl"].splitlines()[0]
    result = recompute(read_records(with_line("requests.jsonl", first)))
    assert result.requests_total == FILES_OF_A_DRILL["requests.jsonl"].count(b"\n")
    assert str(result.problems[0]) == "requests.jsonl:2: /: repeats line 1"
    assert result.verdict is Verdict.INCONCLUSIVE


def test_a_file_cut_in_the_middle_of_a_line_is_named() -> None:
    files = {**FILES_OF_A_DRILL, "requests.jsonl": FILES_OF_A_DRILL["requests.jsonl"][:-20]}
    named = "\n".join(str(problem) for problem in recompute(read_records(files)).problems)
    assert "the last line has no end" in named


def test_instants_in_an_order_that_cannot_be_are_named_and_no_time_is_made_from_them() -> None:
    told = thin_story()
    told.event("detected")["t"] = told.event("fault-begun")["t"] - 1
    result = told.result()
    assert "detected at 1019.000000 comes before fault-begun" in result.problems[0].what
    assert result.problems[0].line
    assert result.times.fault_to_detected is None
    assert result.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    "bend",
    [
        {"workloads": []},
        {"workloads": [{"name": "x", "arm": "main", "rto_s": 0, "rpo_s": 0, "mtpd_s": 1, "writers": []}]},
        {"workloads": [{"name": "x", "arm": "main", "rto_s": 9, "rpo_s": 0, "mtpd_s": 1, "writers": []}]},
        {"origin": "dc2"},
        {"service_level": {"ratio": 0, "latency_s": 1, "sustained_s": 10}},
        {"service_level": {"ratio": 0.9, "latency_s": 1, "sustained_s": 0}},
        {"service_level": {"ratio": 0.9, "latency_s": 1, "sustained_s": 1e9}},
        {"service_level": None},
        {"anchored": "yes"},
        {"nodes": {"web-dc1": 1}},
    ],
)
def test_a_promise_that_cannot_be_meant_is_refused(bend: dict[str, object]) -> None:
    told = thin_story()
    told.promised |= bend
    result = told.result()
    assert [problem.file for problem in result.problems] == ["promised.json"]
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.objectives == ()


@given(file=st.sampled_from(FILES), junk=st.binary(max_size=60), place=st.integers(min_value=0))
@settings(max_examples=40, deadline=None)
def test_no_bytes_anywhere_raise_anything(file: str, junk: bytes, place: int) -> None:
    files = FILES_OF_A_DRILL if file in FILES_OF_A_DRILL else FILES_OF_A_COLD_RESTART
    content = files[file]
    place %= len(content) + 1
    recompute(read_records({**files, file: content[:place] + junk + content[place:]}))


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@given(file=st.sampled_from([name for name in FILES if name.endswith(".json")]), data=st.data())
@settings(max_examples=40, deadline=None)
def test_no_value_of_any_field_of_a_document_raises_anything(file: str, data: st.DataObject) -> None:
    document = json.loads(FILES_OF_A_DRILL[file])
    if isinstance(document, dict):
        document[data.draw(st.sampled_from(sorted(document)))] = data.draw(JSON)
    else:
        document = data.draw(JSON)
    recompute(read_records({**FILES_OF_A_DRILL, file: json.dumps(document).encode()}))
