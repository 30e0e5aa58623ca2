"""The result as the JSON document of ``drill run --json`` (schema: ``drill_result.schema.json``)."""

from __future__ import annotations

import math

from ..errors import Problem
from .model import DrillResult, Gaps, MarkerCounts, ObjectiveResult, Restore, RuleResult
from .projection.model import Projection

SCHEMA_VERSION = 1
EXIT_CODES = {"passed": 0, "failed": 3, "aborted": 5, "inconclusive": 8}
PLACES = 6


def _seconds(value: float | None) -> float | None:
    """Return seconds to the microsecond; None stays None, never 0."""
    return None if value is None else round(value, PLACES)


def _objective(result: ObjectiveResult) -> dict[str, object]:
    return {
        "workload": result.workload,
        "rto_s": _seconds(result.rto),
        "rta_s": _seconds(result.rta),
        "rpo_s": _seconds(result.rpo),
        "rpa_s": _seconds(result.rpa),
        "finding": result.finding.value,
    }


def _markers(counts: MarkerCounts) -> dict[str, object]:
    return {
        "workload": counts.workload,
        "acknowledged": counts.acknowledged,
        "lost": counts.lost,
        "unknown": counts.unknown,
        "unexplained": counts.unexplained,
    }


def _rule(rule: RuleResult) -> dict[str, object]:
    return {
        "id": rule.id,
        "claim": rule.claim,
        "finding": rule.status.value,
        "saw": rule.saw,
        "expected": rule.expected,
    }


def _restored(restore: Restore) -> dict[str, object]:
    return {
        "store": restore.store,
        "from": restore.source,
        "bytes": restore.amounts.get("bytes"),
        "seconds": _seconds(restore.t1 - restore.t0),
        "until": restore.until,
        "verified_by": restore.verified_by,
    }


def _hours(seconds: float | None) -> float | None:
    return None if seconds is None or math.isinf(seconds) else round(seconds / 3600, 4)


def _projection(found: Projection) -> dict[str, object]:
    return {
        "target_h": _hours(found.target_s),
        "expected_h": _hours(found.expected_s),
        "upper_95_h": _hours(found.upper_95_s),
        "margin_h": _hours(found.margin_s),
        "extrapolated": found.is_extrapolated,
        "phases": [
            {
                "name": one.name,
                "measured_s": _seconds(one.measured_s),
                "amount": one.amount,
                "expected_s": _seconds(one.expected_s),
                "upper_95_s": _seconds(one.upper_95_s),
                "starts_s": _seconds(one.starts_s),
                "scaled": one.scaled,
                "rests_on": list(one.rests_on),
                "extrapolated": one.is_extrapolated,
                "critical": one.is_critical,
            }
            for one in found.phases
        ],
        "assumptions": list(found.assumptions),
        "missing": list(found.missing),
        "buys_most": None
        if found.buys_most is None
        else {"what": found.buys_most.what, "upper_95_h": _hours(found.buys_most.upper_95_s)},
    }


def _problem(problem: Problem) -> dict[str, object]:
    return {"file": problem.file, "line": problem.line, "what": problem.what}


def _gaps(gaps: Gaps) -> dict[str, object]:
    return {
        "longest_client_gap_s": _seconds(gaps.client),
        "longest_read_gap_s": _seconds(gaps.read),
        "longest_write_gap_s": _seconds(gaps.write),
    }


def _times(result: DrillResult) -> dict[str, object]:
    times = result.times
    return {
        "fault_to_detected_s": _seconds(times.fault_to_detected),
        "detected_to_declared_s": _seconds(times.detected_to_declared),
        "declared_to_approved_s": _seconds(times.declared_to_approved),
        "approved_to_writable_s": _seconds(times.approved_to_writable),
        "approved_to_restored_s": _seconds(times.approved_to_restored),
        "fault_to_restored_s": _seconds(times.fault_to_restored),
        **_gaps(result.gaps),
        "waited_on_people_s": _seconds(times.waited_on_people),
    }


def to_document(result: DrillResult, *, report: str | None = None, evidence: str | None = None) -> dict[str, object]:
    """Return the document; ``report`` and ``evidence`` are paths. What was not measured is null, never 0."""
    writes = result.writes
    return {
        "schema_version": SCHEMA_VERSION,
        "drill": result.drill,
        "scenario": result.scenario,
        "estate": result.estate,
        "anchored": result.anchored,
        "verdict": result.verdict.value,
        "objectives": [_objective(objective) for objective in result.objectives],
        "writes": {
            "acknowledged": writes.acknowledged,
            "lost": writes.lost,
            "unknown": writes.unknown,
            "duplicated": writes.duplicated,
            "phantom": writes.phantom,
            "control_lost": writes.control_lost,
            "recovered": writes.recovered,
            "control_acknowledged": writes.control_acknowledged,
        },
        **({"markers": [_markers(counts) for counts in result.markers]} if result.markers else {}),
        **({"projection": _projection(result.projection)} if result.projection is not None else {}),
        **({"restored": [_restored(one) for one in result.restored]} if result.projection is not None else {}),
        "requests": {"total": result.requests_total, "failed": result.requests_failed},
        "times": _times(result),
        "return": _gaps(result.return_gaps),
        "fault_proven": result.fault_proven,
        "fencing": result.fencing,
        "max_writers": result.max_writers,
        "cleanup": result.cleanup,
        "limitations": list(result.limitations),
        "rules": [_rule(rule) for rule in result.rules],
        "problems": [_problem(problem) for problem in result.problems],
        "report": report,
        "evidence": evidence,
    }


def exit_code(result: DrillResult) -> int:
    """Return the command's exit code for a verdict (contracts: 0, 3, 5, 8)."""
    return EXIT_CODES[result.verdict.value]
