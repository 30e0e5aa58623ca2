"""A lab of a test's own: what a command must know of it, and the lab itself, provisioned and taken down again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_LONGEST_S = 900


def lab_environment(state: Path, instance: str, inventory: str = "") -> dict[str, str]:
    """Return what is ours to say to a command, and nothing that this process was told of another lab."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("SECONDSITE_", "PYTHON"))}
    kept |= {"SECONDSITE_STATE": str(state), "SECONDSITE_LAB": instance}
    kept["SECONDSITE_CACHE"] = os.environ.get("SECONDSITE_CACHE", "/var/cache/secondsite")
    if inventory:
        kept["SECONDSITE_ESTATE"] = str(ROOT / "inventories" / inventory)
    return kept


@contextmanager
def provisioned(environment: Mapping[str, str], *, save: str = "") -> Iterator[None]:
    """Have the lab up and provisioned, saved under a name if one is given; take it down at the end."""
    try:
        for words in (("lab", "up"), ("run", "provision"), *([("lab", "save", save)] if save else [])):
            done = command(environment, *words)
            assert done.returncode == 0, f"{words}: {done.stderr[-3000:]}"
        yield
    finally:
        command(environment, "lab", "down")


def command(environment: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """Carry one command out, as anybody does."""
    return subprocess.run(
        [str(ROOT / "secondsite"), *words],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_LONGEST_S,
        check=False,
    )
