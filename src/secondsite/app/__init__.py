"""The composition root: the one room that names concrete adapters."""

from .approvals import give_answer
from .authors import sign_runbook
from .bench import PROJECT, RUNBOOKS, Bench, estate, login, open_bench, run_store
from .crew import crew
from .procedures import printed_procedure
from .readiness import overrides_in, require_ready

__all__ = [
    "PROJECT",
    "RUNBOOKS",
    "Bench",
    "crew",
    "estate",
    "give_answer",
    "login",
    "open_bench",
    "overrides_in",
    "printed_procedure",
    "require_ready",
    "run_store",
    "sign_runbook",
]
