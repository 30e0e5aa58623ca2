"""Every check there is. A new module of checks is named here."""

from __future__ import annotations

from ..model import Check
from . import clock, firewall, flows, names, parity, services, tls

CHECKS: tuple[Check, ...] = (
    *clock.CHECKS,
    *services.CHECKS,
    *parity.CHECKS,
    *firewall.CHECKS,
    *flows.CHECKS,
    *names.CHECKS,
    *tls.CHECKS,
)
