"""What came of the verifications that this host made of backups: read back, restored, compared."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from .common import Settings, Unreadable

_KEPT = Path("/var/lib/secondsite-verify")
_KINDS = ("stanzas", "packs", "snapshots")
_LARGEST = 1 << 20


def verified(_: Settings, kept: Path = _KEPT) -> dict[str, Any]:
    """Return what each verification wrote down when it last ended, by kind and name, and what time it is here."""
    return {"now": time.time(), **{kind: _told(kept / kind) for kind in _KINDS}}


def _told(folder: Path) -> dict[str, Any]:
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            if path.stat().st_size > _LARGEST:
                raise Unreadable(f"{path} is too large")
            found[path.stem] = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise Unreadable(f"{path} can't be read: {error}") from error
    return found


SECTIONS = {"verified": verified}
