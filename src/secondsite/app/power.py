"""Who may switch outlets: sealed for each site; a lab tells its endpoints itself, and keeps what they prove."""

from __future__ import annotations

import json
import secrets as chance
from collections.abc import Callable
from pathlib import Path

from ..errors import SecondsiteError
from ..estate.model import Estate, SiteName
from ..hands.age import Safe
from ..hands.power import Login, OutletFence
from ..lab import endpoints
from ..lab.load import load_topology
from ..lab.model import LabSettings
from ..plan.outlets import sealed_as

_LAB_USER = "fence"


def outlet_fence(estate: Estate, *, lab: LabSettings | None, safe: Safe, state: Path) -> OutletFence:
    """Return the fencing by power of an estate; on a lab its endpoints learn who may use them."""
    if lab is not None:
        _introduce(estate, lab, safe)
    return OutletFence(estate, login=login_from(safe), certificates=state / "power")


def login_from(safe: Safe) -> Callable[[SiteName], Login]:
    """Return how the login at a site's power endpoint is opened."""

    def login(site: SiteName) -> Login:
        name = sealed_as(site)
        return Login.parsed(safe.open(name), where=str(safe.directory / f"{name}.age"))

    return login


def trouble_with_endpoints(estate: Estate, *, lab: LabSettings | None, safe: Safe, state: Path) -> str:
    """Say which declared power endpoint can't be used from here, and why; each is asked, and nothing is switched.

    A lab seals a login for its endpoints when it is first worked on, so there one that is missing is no trouble.
    """
    fence = OutletFence(estate, login=login_from(safe), certificates=state / "power")
    told = []
    for site, fencing in estate.fencing.items():
        if fencing.power is None or (lab is not None and not safe.holds(sealed_as(site))):
            continue
        try:
            why = fence.trouble_with(site)
        except SecondsiteError as error:
            why = error.what
        told += [f"the power endpoint of {site} can't be used: {why}"] if why else []
    return "; ".join(told)


def _introduce(estate: Estate, lab: LabSettings, safe: Safe) -> None:
    """Seal a login for each endpoint of the lab that the estate declares, and tell the endpoint of it."""
    switches = {site: one.power for site, one in estate.fencing.items() if one.power is not None}
    standing = load_topology(lab.topology).endpoints.values() if switches else ()
    at = {endpoint.management.ip: endpoint.name for endpoint in standing}
    for site, switch in switches.items():
        if switch.address not in at:
            continue
        name, endpoint = sealed_as(site), at[switch.address]
        safe.prepare()
        known = login_from(safe)(site) if safe.holds(name) else None
        password = known.password if known is not None else chance.token_urlsafe(24)
        certificate = endpoints.certificate(lab, endpoint)
        if known is None or known.certificate != certificate:
            told = {"username": _LAB_USER, "password": password, "certificate": certificate}
            safe.seal(name, json.dumps(told).encode())
        endpoints.admit(lab, endpoint, username=_LAB_USER, password=password)
