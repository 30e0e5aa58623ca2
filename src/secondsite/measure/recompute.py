"""One verb: records in, result out."""

from __future__ import annotations

from .facts import gather
from .markers import count_markers
from .model import Arm, DrillResult, Gaps, Outcome, Records, RuleResult, Status, Times, Verdict, Writes
from .phases import projection_of
from .rules import apply_rules, verdict_of


def _without_promise(records: Records) -> DrillResult:
    """Return a result in which nothing is measured: without what was promised there is nothing to judge by."""
    rule = RuleResult(
        id="records-readable",
        claim="Every record file is there, every line can be read, and no two contradict each other",
        status=Status.NOT_MEASURED,
        saw="; ".join(str(problem) for problem in records.problems[:3]),
        expected="promised.json, readable",
    )
    aborted = any(event.event == "aborted" for event in records.events or ())
    nothing = Gaps(client=None, read=None, write=None)
    return DrillResult(
        drill="unknown",
        scenario="unknown",
        estate="unknown",
        anchored=False,
        verdict=Verdict.ABORTED if aborted else Verdict.INCONCLUSIVE,
        objectives=(),
        writes=Writes(**dict.fromkeys(Writes.__dataclass_fields__)),
        requests_total=None,
        requests_failed=None,
        times=Times(**dict.fromkeys(Times.__dataclass_fields__)),
        gaps=nothing,
        return_gaps=nothing,
        fault_proven=None,
        fencing="unknown",
        max_writers=None,
        cleanup=None,
        limitations=records.limitations or (),
        rules=(rule,),
        problems=records.problems,
    )


def recompute(records: Records) -> DrillResult:
    """Return every number, rule and the verdict of one drill, from its records and nothing else."""
    if records.promised is None:
        return _without_promise(records)
    facts = gather(records, records.promised)
    rules = apply_rules(facts)
    requests = records.requests
    return DrillResult(
        drill=records.promised.drill,
        scenario=records.promised.scenario,
        estate=records.promised.estate,
        anchored=records.promised.anchored,
        verdict=verdict_of(rules, aborted=facts.milestones.aborted is not None),
        objectives=facts.objectives,
        writes=facts.writes,
        requests_total=None if requests is None else len(requests),
        requests_failed=None if requests is None else sum(r.outcome is Outcome.FAILED for r in requests),
        times=facts.times,
        gaps=facts.gaps,
        return_gaps=facts.return_gaps,
        fault_proven=facts.fault_proven,
        fencing=facts.fencing,
        max_writers=facts.max_writers,
        cleanup=facts.cleanup,
        limitations=records.limitations or (),
        rules=rules,
        problems=facts.problems,
        projection=projection_of(records, records.promised),
        restored=tuple(one for one in records.restores or () if one.verified_by and not one.is_trial),
        markers=tuple(
            count_markers(records, workload) for workload in records.promised.workloads if workload.arm is Arm.MARKER
        ),
    )
