"""Which writers a drill on this estate saw give up by themselves, not longer ago than a quarter."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

from ..estate.model import Estate, HostName, WorkloadName
from ..measure import FILES, Verdict, read_records
from ..measure.demotion import demoted_themselves
from ..store.runs import RunStore

LASTS = dt.timedelta(days=92)
_RESULT = Path("evidence") / "result.json"


def was_rehearsed(store: RunStore, estate: Estate, workload: WorkloadName, node: HostName) -> bool:
    """Say whether a drill that passed saw this node of the workload demote itself while it was cut off alive."""
    now = store.clock.now().timestamp()
    for folder in reversed(store.folders.all()):
        result = folder.path / _RESULT
        if not result.exists() or now - result.stat().st_mtime > LASTS.total_seconds():
            continue
        files = {name: (folder.records / name).read_bytes() for name in FILES if (folder.records / name).exists()}
        records = read_records(files)
        same = records.promised is not None and _estate_in(files) == estate.name
        if same and _passed(result) and (workload, node) in demoted_themselves(records):
            return True
    return False


def _passed(result: Path) -> bool:
    document = json.loads(result.read_text(encoding="utf-8"))
    return isinstance(document, dict) and document.get("verdict") == Verdict.PASSED.value


def _estate_in(files: dict[str, bytes]) -> str:
    document = json.loads(files["promised.json"])
    return str(document.get("estate")) if isinstance(document, dict) else ""
