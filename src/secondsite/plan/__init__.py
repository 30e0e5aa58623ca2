"""From a runbook to a plan: frozen data with a digest. Performs nothing.

This is all that files in ``runbooks/`` may import.
"""

from __future__ import annotations

from ..estate.model import Estate, Host, HostName, Service, Site, SiteKind, SiteName, Workload, WorkloadName
from .builder import PlanBuilder, Runbook, call, gate, guard, result_of, runbook, seconds
from .model import Call, Gate, Guard, Intent, Plan, Step

__all__ = [
    "Call",
    "Estate",
    "Gate",
    "Guard",
    "Host",
    "HostName",
    "Intent",
    "Plan",
    "PlanBuilder",
    "Runbook",
    "Service",
    "Site",
    "SiteKind",
    "SiteName",
    "Step",
    "Workload",
    "WorkloadName",
    "call",
    "gate",
    "guard",
    "result_of",
    "runbook",
    "seconds",
]
