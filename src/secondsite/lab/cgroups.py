"""A control group for each guest where the machine's own process 1 is not systemd; elsewhere systemd makes them.

Real hosts have processors of their own. Guests share this machine's, and the kernel shares them out by session: a host
that starts a hundred services would take a hundred parts from one that serves customers with five. By groups each host
has one part, and one that boots a small one, so that a site that returns takes little from the site that serves.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from .model import LabSettings

_ROOT = Path("/sys/fs/cgroup")
_LEGACY = ("systemd", "unified", "memory", "pids", "freezer", "cpu")
_UNIT = {"cpu.shares": 1024, "cpu.weight": 100}
"""The files of both versions of control groups that hold a group's part, and what they hold for one part."""
_OF_LAB, _OF_HOST, _STEPPING_BACK = 2.0, 1.0, 1 / 16
"""The lab together has two parts: who conducts and measures has a third of the processors when all want them."""


def systemd_rules_here() -> bool:
    """Say whether the machine was booted with systemd (what ``sd_booted`` asks)."""
    return Path("/run/systemd/system").is_dir()


def make_groups(settings: LabSettings, host: str, *, stepping_back: bool = False) -> list[Path]:
    """Make the host's groups and return the files a process joins them through; none where systemd rules.

    Guests sharing one group would see each other's processes as their own services' and wait for them to end. With
    ``stepping_back`` the host has a small part of the processors until ``step_forward``.
    """
    if systemd_rules_here():
        return []
    joins = []
    for hierarchy in _hierarchies():
        group = hierarchy / _name(settings) / host
        group.mkdir(parents=True, exist_ok=True)
        _weigh(group.parent, _OF_LAB)
        _weigh(group, _STEPPING_BACK if stepping_back else _OF_HOST)
        joins.append(group / "cgroup.procs")
    return joins


def step_forward(settings: LabSettings, hosts: Iterable[str]) -> None:
    """Give the hosts the same part of the processors as every other has."""
    for group in groups(settings):
        for host in hosts:
            _weigh(group / host, _OF_HOST)


def _weigh(group: Path, part: float) -> None:
    """Set the group's part of the processors where this hierarchy shares them out."""
    for name, unit in _UNIT.items():
        if (group / name).exists():
            with contextlib.suppress(OSError):  # the host's processes then share as those of any other group
                (group / name).write_text(f"{int(part * unit)}\n", encoding="ascii")


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
