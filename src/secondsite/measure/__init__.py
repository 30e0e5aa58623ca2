"""Raw records in; RTA, RPA, lost writes, gaps and verdict out. Pure, standard library only."""

from __future__ import annotations

from .document import EXIT_CODES, SCHEMA_VERSION, exit_code, to_document
from .model import DrillResult, Records, Status, Verdict
from .recompute import recompute
from .records import FILES, read_records

__all__ = [
    "EXIT_CODES",
    "FILES",
    "SCHEMA_VERSION",
    "DrillResult",
    "Records",
    "Status",
    "Verdict",
    "exit_code",
    "read_records",
    "recompute",
    "to_document",
]
