"""A control group for each guest where the machine's own process 1 is not systemd; elsewhere systemd makes them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from .model import LabSettings

_ROOT = Path("/sys/fs/cgroup")
_LEGACY = ("systemd", "unified", "memory", "pids", "freezer")


def systemd_rules_here() -> bool:
    """Say whether the machine was booted with systemd (what ``sd_booted`` asks)."""
    return Path("/run/systemd/system").is_dir()


def make_groups(settings: LabSettings, host: str) -> list[Path]:
    """Make the host's groups and return the files a process joins them through; none where systemd rules.

    Guests sharing one group would see each other's processes as their own services' and wait for them to end.
    """
    if systemd_rules_here():
        return []
    joins = []
    for hierarchy in _hierarchies():
        group = hierarchy / _name(settings) / host
        group.mkdir(parents=True, exist_ok=True)
        joins.append(group / "cgroup.procs")
    return joins


def remove_groups(settings: LabSettings, host: str | None = None) -> None:
    """Remove the groups of one guest, or all of the lab's, with those the guests made inside."""
    for group in groups(settings):
        top = group if host is None else group / host
        if top.is_dir():
            for inner in sorted((path for path in top.rglob("*") if path.is_dir()), key=_depth, reverse=True):
                with contextlib.suppress(OSError):
                    inner.rmdir()
            with contextlib.suppress(OSError):
                top.rmdir()


def groups(settings: LabSettings) -> list[Path]:
    """Return the lab's groups that exist."""
    return [path for hierarchy in _hierarchies() if (path := hierarchy / _name(settings)).is_dir()]


def _name(settings: LabSettings) -> str:
    return f"secondsite-{settings.instance}"


def _depth(path: Path) -> int:
    return len(path.parts)


def _hierarchies() -> Iterator[Path]:
    if (_ROOT / "cgroup.controllers").exists():
        yield _ROOT
        return
    for name in _LEGACY:
        if (_ROOT / name / "cgroup.procs").exists():
            yield _ROOT / name
