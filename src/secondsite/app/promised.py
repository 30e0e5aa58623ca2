"""What a drill is judged by, pinned before it starts."""

from __future__ import annotations

from collections.abc import Mapping

from ..drill.model import Scenario
from ..drill.rules import OPERATING_SYSTEM, names_to_prove
from ..errors import ConfigError, Problem
from ..estate.model import Estate, SiteName, Workload

RETURN_SUSTAINED_S = 5

OUT_OF_SCOPE = (
    "other estates: a lab's result proves nothing about them",
    "power feeds and batteries",
)
_NO_BACKUPS = "backups and restore from them"


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
        "returns": scenario.returns,
        **_how_it_ends(scenario, estate),
        "nodes": {
            host.name: host.site for host in estate.hosts.values() if host.site in (scenario.origin, scenario.target)
        },
        "workloads": [
            {
                "name": workload.name,
                "arm": "marker" if workload.takes_markers else "control" if workload.is_control_arm else "main",
                **_objectives(workload, scenario),
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
            *_also_judged(scenario),
        ],
        "out_of_scope": [
            *OUT_OF_SCOPE,
            *([] if scenario.begins_anew else [_NO_BACKUPS]),
            *_also_out_of_scope(estate, scenario),
        ],
        "commitments": [{"id": one.id, "kept_by": one.kept_by} for one in estate.commitments],
        "versions": dict(versions),
    }


def _objectives(workload: Workload, scenario: Scenario) -> dict[str, object]:
    """Return what was agreed for this kind of loss: more may be lost where only the vault's copy is left."""
    agreed = workload.from_vault if scenario.begins_anew and workload.from_vault is not None else workload.objectives
    return {
        "rto_s": agreed.rto.total_seconds(),
        "rpo_s": agreed.rpo.total_seconds(),
        "mtpd_s": agreed.mtpd.total_seconds(),
    }


def _production(estate: Estate) -> dict[str, object] | None:
    production = estate.production
    if production is None:
        return None
    return {
        "target_s": production.target.total_seconds(),
        "amounts": {name: {"value": one.value, "source": one.source} for name, one in production.amounts.items()},
        "rates": {name: {"value": one.value, "source": one.source} for name, one in production.rates.items()},
        "waits": {
            name: {
                "expected_s": one.expected.total_seconds(),
                "at_most_s": one.at_most.total_seconds(),
                "source": one.source,
                "after": list(one.after),
            }
            for name, one in production.waits.items()
        },
    }


def _stores(estate: Estate, target: SiteName) -> list[str]:
    """Name what must come back from the vault, as the runbook's steps call it: databases, and each store's host."""
    workloads = estate.workloads.values()
    hosts = {str(one.members[target]) for one in workloads if one.takes_markers}
    return [OPERATING_SYSTEM, *(str(one.name) for one in workloads if not one.takes_markers), *sorted(hosts)]


def _how_it_ends(scenario: Scenario, estate: Estate) -> dict[str, object]:
    if scenario.begins_anew:
        stores = _stores(estate, scenario.target)
        producers = [str(host.name) for host in estate.hosts.values() if "producer" in host.groups]
        return {
            "begins_anew": True,
            "stores": stores,
            "producers": producers,
            "erases": any("erasures" in host.groups for host in estate.hosts.values()),
            "production": _production(estate),
        }
    if scenario.refused:
        return {"refused": True}
    if scenario.resumes_within is None:
        return {"comes_back": scenario.comes_back.value}
    more = {"writers_may_stop": True} if scenario.writers_may_stop else {}
    return {"endured": True, "resumes_within_s": scenario.resumes_within.total_seconds(), **more}


def _also_judged(scenario: Scenario) -> list[str]:
    if not scenario.begins_anew:
        return []
    return [
        "everything came from the vault onto new machines, by another controller, and was verified",
        "projected to production's sizes, the upper bound stays within what was promised",
    ]


def _also_out_of_scope(estate: Estate, scenario: Scenario) -> list[str]:
    kept = [] if scenario.also_lost is not None else ["the loss of headquarters"]
    if scenario.begins_anew:
        kept.append("the return to the lost site")
    if scenario.endured or scenario.refused:
        kept.append(
            "that a lost write would be seen: no write was made to be lost here, as one is where a site fails over"
        )
    if any(workload.takes_markers for workload in estate.workloads.values()):
        return [*kept, "that a notice arrives only once: one sent in the moment of a failover may be sent again"]
    return [*kept, "mail, files, git repositories and documents: this estate holds a shop and its databases"]
