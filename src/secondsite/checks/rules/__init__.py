"""Every check there is. A new module of checks is named here."""

from __future__ import annotations

from ..model import Check
from . import (
    backups,
    clock,
    database,
    differences,
    erasures,
    escrow,
    fencing,
    firewall,
    flows,
    kept,
    names,
    paging,
    parity,
    placement,
    procedures,
    routing,
    services,
    standby,
    tls,
    verified,
)

_MODULES = (
    services,
    parity,
    differences,
    firewall,
    flows,
    tls,
    database,
    names,
    clock,
    placement,
    routing,
    backups,
    kept,
    verified,
    erasures,
    paging,
    procedures,
    fencing,
    standby,
    escrow,
)
CHECKS: tuple[Check, ...] = tuple(check for module in _MODULES for check in module.CHECKS)
