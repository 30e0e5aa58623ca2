"""A small estate, and worlds made of plain facts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from secondsite.checks.model import Result, Section, World
from secondsite.checks.rules import CHECKS
from secondsite.checks.rules.frame import judged
from secondsite.estate.load import load_estate
from secondsite.estate.model import Difference, Estate, HostName

ESTATE = load_estate(Path(__file__).parents[3] / "inventories" / "small")
NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
BY_ID = {check.id: check for check in CHECKS}
FIRST, SECOND = HostName("web-dc1"), HostName("web-dc2")


def world(
    section: str, same: Any, *, estate: Estate = ESTATE, now: dt.datetime = NOW, **different: Any
) -> World:  # fmt: skip
    """Every host tells the same in one section, but those named (with _ for -)."""
    hosts = {host: {section: Section(value=same)} for host in estate.hosts}
    for name, value in different.items():
        hosts[HostName(name.replace("_", "-"))] = {
            section: value if isinstance(value, Section) else Section(value=value)
        }
    return World(estate=estate, now=now, hosts=hosts)


def joined(*worlds: World) -> World:
    """All that several worlds told."""
    hosts = {host: {k: v for one in worlds for k, v in one.hosts[host].items()} for host in worlds[0].hosts}
    return replace(worlds[0], hosts=hosts)


def verdict(check: str, told: World) -> Result:
    """How one check comes out."""
    return judged(BY_ID[check], told)


def declaring(differences: Iterable[Difference]) -> Estate:
    """The estate, with differences declared."""
    return replace(ESTATE, differences=tuple(differences))


def changed(facts: Mapping[str, Any], **other: Any) -> dict[str, Any]:
    """The same facts, but for some."""
    return {**facts, **other}
