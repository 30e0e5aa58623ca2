"""The numbers themselves, against stories whose answer is known."""

from __future__ import annotations

import pytest
from tests.unit.measure.story import FAILBACK, FAULT, HANDED_BACK, HELD_BACK, NODES, OPENED, Story, finding, traffic

from secondsite.measure import Verdict, read_records
from secondsite.measure.model import Instant, Writability, WritabilitySample
from secondsite.measure.series import over_time, percentile, stretches


def test_the_restoration_is_the_first_sustained_answer_of_the_new_site() -> None:
    told = Story()
    first = min(r["t1"] for r in told.requests if r["outcome"] == "ok" and r["web"] == "web-dc2" and r["t0"] > OPENED)
    rta = told.result().objectives[0].rta
    assert rta is not None
    assert FAULT + rta == pytest.approx(first, abs=0.1)


def test_an_early_answer_of_the_dead_site_is_no_restoration() -> None:
    told = Story()
    early = next(r for r in told.requests if FAULT < r["t0"] < FAULT + 0.3 and r["kind"] == "read")
    early |= {"t1": early["t0"] + 0.002, "outcome": "ok", "web": "web-dc1", "db": "db-dc1", "error": None}
    rta = told.result().objectives[0].rta
    assert rta is not None
    assert rta > 2.9


def test_one_answer_of_the_new_site_that_does_not_last_is_no_restoration() -> None:
    told = Story()
    early = next(r for r in told.requests if FAULT + 1 < r["t0"] < FAULT + 1.3 and r["kind"] == "write")
    early |= {"t1": early["t0"] + 0.002, "outcome": "ok", "web": "web-dc2", "db": "db-dc2", "error": None}
    told.final.insert(0, {"arm": "main", "node": "db-dc1", "id": early["id"]})
    rta = told.result().objectives[0].rta
    assert rta is not None
    assert rta > 2.9


def test_an_answer_of_a_new_web_server_with_the_old_database_is_not_the_new_site() -> None:
    told = Story()
    for request in told.requests:
        if OPENED <= request["t0"] < FAILBACK and request["web"]:
            request["db"] = "db-dc1"
    result = told.result()
    assert result.objectives[0].rta is None
    assert result.verdict is Verdict.FAILED


def test_reads_alone_are_no_restoration_while_writes_still_fail() -> None:
    told = Story()
    for request in told.requests:
        if request["arm"] == "main" and request["kind"] == "write" and FAULT + 1 < request["t0"] < FAULT + 6:
            request |= {"outcome": "failed", "web": None, "db": None}
    asked = {r["id"] for r in told.requests if r["outcome"] == "failed"}
    told.final = [line for line in told.final if line.get("id") not in asked]
    head = next(line for line in told.final if "rows" in line)
    head["rows"] = sum("id" in line and line["arm"] == "main" for line in told.final)
    result = told.result()
    rta = result.objectives[0].rta
    assert rta is not None
    assert 5 < rta < 6.2
    assert result.gaps.write is not None
    assert result.gaps.read is not None
    assert result.gaps.write > 5 > result.gaps.read


def test_slow_answers_do_not_count_as_service() -> None:
    told = Story()
    for request in told.requests:
        if OPENED <= request["t0"] < OPENED + 2 and request["outcome"] == "ok":
            request["t1"] = request["t0"] + 1.2
    rta = told.result().objectives[0].rta
    assert rta is not None
    assert rta > 4.5


def test_service_that_never_comes_back_misses_the_rto_when_looked_at_for_long_enough() -> None:
    told = Story()
    for request in told.requests:
        if request["t0"] >= FAULT:
            request |= {"outcome": "failed", "web": None, "db": None}
    told.events = [line for line in told.events if "failback" not in line["event"]]
    result = told.result()
    assert result.objectives[0].rta is None
    assert finding(result, "rto:billing") == "not-satisfied"


def test_service_not_looked_at_for_long_enough_is_not_measured() -> None:
    told = Story(requests=[line for line in traffic() if line["t1"] < FAULT + 6])
    told.event("traffic-stopped")["t"] = FAULT + 6
    told.events = [line for line in told.events if "failback" not in line["event"]]
    assert finding(told.result(), "rto:billing") == "not-measured"


def test_the_longest_gap_runs_from_the_last_to_the_next_success_whoever_served_it() -> None:
    told = Story()
    ends = sorted(r["t1"] for r in told.requests if r["outcome"] == "ok" and r["arm"] == "main")
    before = max(t for t in ends if t < FAULT + 0.05)
    after = min(t for t in ends if t > FAULT + 1)
    assert told.result().gaps.client == pytest.approx(after - before)


def test_a_gap_that_no_success_ends_is_not_cut_off_at_the_last_success() -> None:
    told = Story()
    for request in told.requests:
        if request["t0"] >= FAULT:
            request |= {"outcome": "failed", "web": None, "db": None}
    gap = told.result().gaps.client
    assert gap is not None
    assert gap > FAILBACK - FAULT


def test_the_loss_of_the_control_arm_is_counted_and_dated() -> None:
    result = Story().result()
    control = next(item for item in result.objectives if item.workload == "control")
    assert result.writes.control_lost == 5 * (FAULT - HELD_BACK)
    assert control.rpa == pytest.approx(FAULT - HELD_BACK, abs=0.3)


def test_losses_of_writes_acknowledged_after_the_fault_are_counted_too() -> None:
    told = Story()
    late = next(r["id"] for r in told.requests if r["t0"] > OPENED + 5 and r["kind"] == "write" and r["arm"] == "main")
    told.final = [line for line in told.final if line.get("id") != late]
    next(line for line in told.final if "rows" in line)["rows"] -= 1
    result = told.result()
    assert result.writes.lost == 1
    assert finding(result, "rpo:billing") == "not-satisfied"


def test_unknown_writes_are_neither_lost_nor_phantom() -> None:
    writes = Story().result().writes
    assert (writes.unknown, writes.recovered, writes.lost, writes.phantom) == (2, 1, 0, 0)


def test_the_parts_of_the_time_add_up_to_the_whole() -> None:
    times = Story().result().times
    parts = (
        times.fault_to_detected,
        times.detected_to_declared,
        times.declared_to_approved,
        times.approved_to_restored,
    )
    assert sum(part or 0.0 for part in parts) == pytest.approx(times.fault_to_restored)
    assert times.waited_on_people == 0.0


def test_waits_on_people_are_counted_apart() -> None:
    told = Story()
    told.approvals["approvals"] = [
        {"gate": "fence", "by": "persons", "persons": ["a", "b"], "asked": FAULT + 1.41, "answered": FAULT + 1.43},
        {"gate": "failback", "by": "persons", "persons": ["a"], "asked": FAILBACK + 1, "answered": FAILBACK + 3},
    ]
    assert told.result().times.waited_on_people == pytest.approx(0.02)


def test_databases_that_acknowledge_in_turns_are_two_writers_though_no_poll_saw_it() -> None:
    told = Story()
    writes = [r for r in told.requests if r["arm"] == "main" and r["kind"] == "write" and OPENED + 2 < r["t0"] < 1030]
    for request in writes[::3]:
        request["db"] = "db-dc1"
    result = told.result()
    assert result.max_writers == 2
    assert result.verdict is Verdict.FAILED


def test_a_cut_node_counts_as_watched_until_it_answers_again() -> None:
    assert Story().result().max_writers == 1


def unreachable(told: Story, node: str, begin: float, end: float) -> Story:
    for sample in told.writability:
        if sample["node"] == node and begin < sample["t"] < end:
            sample["state"] = "unreachable"
    return told


def test_an_unreachable_node_that_was_not_cut_is_not_watched() -> None:
    result = unreachable(Story(), "db-dc1", FAILBACK + 4, FAILBACK + 6).result()
    assert result.max_writers is None
    assert "db-dc1 for billing" in next(rule.saw for rule in result.rules if rule.id == "one-writer")


def test_the_writer_itself_unwatched_is_still_the_only_one_while_the_others_are_seen_not_to_be() -> None:
    assert unreachable(Story(), "db-dc2", FAULT + 4, FAULT + 7).result().max_writers == 1
    assert unreachable(Story(), "db-dc2", FAILBACK + 4, FAILBACK + 6).result().max_writers == 1


@pytest.mark.parametrize(("standby_s", "writers"), [(1.9, 1), (0.3, None), (None, None)])
def test_a_standby_says_that_it_was_one_since_its_server_started(standby_s: float | None, writers: int | None) -> None:
    told = unreachable(Story(), "db-dc1", FAILBACK + 4, FAILBACK + 6)
    for sample in told.writability:
        if sample["node"] == "db-dc1" and FAILBACK + 6 <= sample["t"] < FAILBACK + 6.3 and standby_s is not None:
            sample["standby_s"] = standby_s
    assert told.result().max_writers == writers


def handed_back(told: Story, took_s: float | None) -> Story:
    """Have one more poll of dc2 find it writable, which ends when dc1 is, as on a machine that stood still."""
    late = {"t": HANDED_BACK + 0.7, "node": "db-dc2", "workload": "billing", "state": "writable"}
    told.writability = [
        s for s in told.writability if s["node"] != "db-dc2" or not HANDED_BACK <= s["t"] < HANDED_BACK + 0.7
    ]
    told.writability.append(late if took_s is None else late | {"took_s": took_s})
    told.writability.sort(key=lambda sample: sample["t"])
    return told


@pytest.mark.parametrize(("took_s", "writers"), [(None, 2), (0.05, 2), (0.9, 1)])
def test_a_poll_says_what_was_so_while_it_went_on_not_at_its_end(took_s: float | None, writers: int) -> None:
    assert handed_back(Story(), took_s).result().max_writers == writers


def test_a_poll_that_took_over_a_second_says_nothing_and_leaves_room_for_a_second_writer() -> None:
    told = handed_back(Story(), 1.2)
    told.writability = [
        s for s in told.writability if s["node"] != "db-dc2" or not HANDED_BACK + 0.7 < s["t"] < HANDED_BACK + 1
    ]
    assert told.result().max_writers is None


def test_one_long_poll_that_found_a_second_writer_within_the_firsts_time_is_two_writers() -> None:
    told = Story()
    (first,) = [
        s for s in told.writability if s["node"] == "db-dc1" and s["t"] == FAILBACK + 5 and s["workload"] == "billing"
    ]
    first |= {"state": "writable", "took_s": 0.9}
    assert told.result().max_writers == 2


def test_no_writable_node_has_been_a_standby() -> None:
    told = Story()
    told.writability[0] |= {"state": "writable", "standby_s": 3.0}
    result = told.result()
    assert [problem.file for problem in result.problems] == ["writability.jsonl"]
    assert result.verdict is Verdict.INCONCLUSIVE


def test_a_drill_without_a_return_needs_none() -> None:
    told = Story()
    told.promised["returns"] = False
    assert finding(told.result(), "returned") == "satisfied"


def test_percentiles_are_values_that_were_seen() -> None:
    ordered = [float(value) for value in range(1, 101)]
    assert percentile(ordered, 0.5) == 50.0
    assert percentile(ordered, 0.99) == 99.0
    assert percentile([7.0], 0.99) == 7.0
    assert percentile([], 0.5) is None


def test_the_series_counts_every_request_once() -> None:
    requests = read_records(Story().files()).requests or ()
    for width in (0.1, 1.0, 7.0):
        buckets = over_time(requests, NODES, zero=requests[0].t0, width=width)
        assert sum(bucket.total for bucket in buckets) == len(requests)


def test_samples_delivered_a_little_late_are_put_in_order_and_are_no_problem() -> None:
    told = Story()
    for index in range(0, len(told.writability) - 8, 40):
        told.writability[index : index + 8] = reversed(told.writability[index : index + 8])
    result = told.result()
    assert result.problems == ()
    assert result.verdict is Verdict.PASSED


def test_a_writer_that_missed_one_poll_is_still_one_run_of_writing() -> None:
    told = Story()
    for sample in told.writability:
        if sample["node"] == "db-dc2" and round(sample["t"], 1) == 1030.0:
            sample["state"] = "unreachable"
        if sample["node"] == "db-dc1" and round(sample["t"], 1) == 1030.0:
            sample["state"] = "writable"
    assert told.result().max_writers == 2


def test_a_host_whose_power_returned_must_be_asked_until_it_answers() -> None:
    told = Story()
    told.events.append({"t": FAILBACK - 8, "event": "power-restored", "step": None, "detail": None})
    assert told.result().max_writers == 1
    told.writability = [
        s for s in told.writability if s["node"] != "db-dc1" or not FAILBACK - 8 < s["t"] < FAILBACK - 1
    ]
    assert told.result().max_writers is None


def test_no_node_is_drawn_writing_while_nobody_polled_it() -> None:
    polled = [(0.0, "writable"), (0.2, "writable"), (1.2, "unreachable"), (1.5, "down"), (1.7, "read-only")]
    samples = [
        WritabilitySample(began=Instant(t), t=Instant(t), node="db-dc1", workload="billing", state=Writability(state))
        for t, state in polled
    ]
    drawn = [(run.state.value, run.begin, run.end) for run in stretches(samples)]
    assert drawn == [
        ("writable", 0.0, 0.2),
        ("unreachable", 1.2, 1.5),
        ("down", 1.5, 1.7),
        ("read-only", 1.7, 1.7),
    ]
