"""From a runbook to a plan: frozen data with a digest. Performs nothing.

This is all that files in ``runbooks/`` may import.
"""

from __future__ import annotations

from ..estate.model import (
    Estate,
    FencingKind,
    Host,
    HostName,
    Service,
    Site,
    SiteKind,
    SiteName,
    Workload,
    WorkloadName,
)
from .access import refuse_old_keys
from .builder import PlanBuilder, Runbook, call, gate, guard, result_of, runbook, seconds
from .erasing import replay_erasures
from .founding import (
    ask_keepers,
    escrow_hosts,
    first_backups,
    first_contact,
    first_verifications,
    hand_over_escrow,
    hand_over_keys,
    keep_kit,
    keeping_hosts,
    kit_hosts,
    note_machines,
    open_escrow,
)
from .losing import (
    customers_of,
    declare_lost,
    fence,
    fencing_confirmed,
    fencing_observers,
    isolating_carriers,
    switched_outlets,
)
from .manual import (
    catch_up_by_hand,
    promote_by_hand,
    read_lease_by_hand,
    read_writability_by_hand,
    rebuild_by_hand,
    switch_by_hand,
    verify_by_hand,
)
from .manual_services import close_by_hand, journey_by_hand, open_by_hand
from .manual_sites import (
    isolate_by_hand,
    keep_isolation_by_hand,
    lift_by_hand,
    listen_by_hand,
    reach_by_hand,
    read_isolation_by_hand,
    try_silence_by_hand,
)
from .model import Call, Command, Gate, Guard, Intent, Plan, Step
from .naming import point_name, visit_name
from .outlets import outlet_by_hand

__all__ = [
    "Call",
    "Command",
    "Estate",
    "FencingKind",
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
    "ask_keepers",
    "call",
    "catch_up_by_hand",
    "close_by_hand",
    "customers_of",
    "declare_lost",
    "escrow_hosts",
    "fence",
    "fencing_confirmed",
    "fencing_observers",
    "first_backups",
    "first_contact",
    "first_verifications",
    "gate",
    "guard",
    "hand_over_escrow",
    "hand_over_keys",
    "isolate_by_hand",
    "isolating_carriers",
    "journey_by_hand",
    "keep_isolation_by_hand",
    "keep_kit",
    "keeping_hosts",
    "kit_hosts",
    "lift_by_hand",
    "listen_by_hand",
    "note_machines",
    "open_by_hand",
    "open_escrow",
    "outlet_by_hand",
    "point_name",
    "promote_by_hand",
    "reach_by_hand",
    "read_isolation_by_hand",
    "read_lease_by_hand",
    "read_writability_by_hand",
    "rebuild_by_hand",
    "refuse_old_keys",
    "replay_erasures",
    "result_of",
    "runbook",
    "seconds",
    "switch_by_hand",
    "switched_outlets",
    "try_silence_by_hand",
    "verify_by_hand",
    "visit_name",
]
