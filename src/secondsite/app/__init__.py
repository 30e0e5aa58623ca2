"""The composition root: the one room that names concrete adapters."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .approvals import give_answer
    from .authors import sign_runbook
    from .bench import Bench, open_bench, run_store
    from .crews import crew
    from .places import PROJECT, RUNBOOKS, estate, login
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

_MODULES = {
    "PROJECT": "places",
    "RUNBOOKS": "places",
    "Bench": "bench",
    "crew": "crews",
    "estate": "places",
    "give_answer": "approvals",
    "login": "places",
    "open_bench": "bench",
    "overrides_in": "readiness",
    "printed_procedure": "procedures",
    "require_ready": "readiness",
    "run_store": "bench",
    "sign_runbook": "authors",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for, and nothing else: a command waits only for what it uses (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
