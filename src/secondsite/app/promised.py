"""What a drill is judged by, pinned before it starts."""

from __future__ import annotations

from collections.abc import Mapping

from ..drill.model import Scenario
from ..drill.rules import names_to_prove
from ..errors import ConfigError, Problem
from ..estate.model import Estate

RETURN_SUSTAINED_S = 5

OUT_OF_SCOPE = (
    "other estates: a lab's result proves nothing about them",
    "backups and restore from them",
    "power feeds and batteries",
)


def promised(
    estate: Estate,
    scenario: Scenario,
    *,
    drill: str,
    plan_digest: str,
    versions: Mapping[str, str],
    started_by: str = "",
) -> dict[str, object]:
    """Return the objectives and terms of one drill as a document.

    Raises:
        ConfigError: the estate declares no service level, so nothing could be judged.
    """
    level = estate.service_level
    if level is None:
        raise ConfigError([Problem(file=estate.directory, line=None, pointer="/service_level", what="is missing")])
    return {
        "schema_version": 1,
        "drill": drill,
        "scenario": scenario.name,
        "estate": estate.name,
        "anchored": False,
        "origin": scenario.origin,
        "target": scenario.target,
        "fault_hosts": list(names_to_prove(scenario, estate)),
        "returns": not scenario.endured and not scenario.refused,
        **_how_it_ends(scenario),
        "nodes": {
            host.name: host.site for host in estate.hosts.values() if host.site in (scenario.origin, scenario.target)
        },
        "workloads": [
            {
                "name": workload.name,
                "arm": "marker" if workload.takes_markers else "control" if workload.is_control_arm else "main",
                "rto_s": workload.objectives.rto.total_seconds(),
                "rpo_s": workload.objectives.rpo.total_seconds(),
                "mtpd_s": workload.objectives.mtpd.total_seconds(),
                "writers": list(workload.members.values()),
            }
            for workload in estate.workloads.values()
        ],
        "service_level": {
            "ratio": level.success_ratio,
            "latency_s": level.latency.total_seconds(),
            "sustained_s": level.sustained.total_seconds(),
            "return_sustained_s": RETURN_SUSTAINED_S,
            "served_before_s": scenario.warm_up.total_seconds(),
        },
        "estate_digest": estate.digest,
        "plan_digest": plan_digest,
        "runbook": scenario.runbook,
        "kind": scenario.kind.value,
        "why": scenario.title,
        **({"started_by": started_by} if started_by else {}),
        "success_criteria": [
            "every objective below is met, as customers saw it",
            "no acknowledged write of a workload with an RPO of zero is missing",
            "never more than one writer of a workload",
            "the estate is in steady state again and nothing injected is left",
        ],
        "out_of_scope": [*OUT_OF_SCOPE, *_also_out_of_scope(estate, scenario)],
        "commitments": [{"id": one.id, "kept_by": one.kept_by} for one in estate.commitments],
        "versions": dict(versions),
    }


def _how_it_ends(scenario: Scenario) -> dict[str, object]:
    if scenario.refused:
        return {"refused": True}
    if scenario.resumes_within is None:
        return {"comes_back": scenario.comes_back.value}
    more = {"writers_may_stop": True} if scenario.writers_may_stop else {}
    return {"endured": True, "resumes_within_s": scenario.resumes_within.total_seconds(), **more}


def _also_out_of_scope(estate: Estate, scenario: Scenario) -> list[str]:
    kept = [] if scenario.also_lost is not None else ["the loss of headquarters"]
    if scenario.endured or scenario.refused:
        kept.append(
            "that a lost write would be seen: no write was made to be lost here, as one is where a site fails over"
        )
    if any(workload.takes_markers for workload in estate.workloads.values()):
        return [*kept, "that a notice arrives only once: one sent in the moment of a failover may be sent again"]
    return [*kept, "mail, files, git repositories and documents: this estate holds a shop and its databases"]
