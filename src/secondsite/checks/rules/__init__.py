"""Every check there is. A new module of checks is named here."""

from __future__ import annotations

from ..model import Check
from . import firewall, flows, parity, services, tls

CHECKS: tuple[Check, ...] = (*services.CHECKS, *parity.CHECKS, *firewall.CHECKS, *flows.CHECKS, *tls.CHECKS)
