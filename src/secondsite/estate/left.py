"""The estate that is left when a site is gone for good: what stands elsewhere, with every workload at home there."""

from __future__ import annotations

from dataclasses import replace

from ..errors import UsageError
from .model import Estate, SiteName


def left_after(estate: Estate, lost: SiteName, *, home: SiteName) -> Estate:
    """Return the estate without the hosts of the site that was lost, and with ``home`` where its workloads are at home.

    Roles and rules take it as they take any estate of one datacenter: nothing waits for a host that is not there.

    Raises:
        UsageError: a workload or a service has no member at the new home, so that it could not be restarted there.
    """
    hosts = {name: host for name, host in estate.hosts.items() if host.site != lost}
    homeless = [str(name) for name, one in estate.workloads.items() if home not in one.members]
    homeless += [one.name for one in estate.services if home not in one.members]
    if homeless:
        raise UsageError(f"{', '.join(homeless)} has no host at {home}", not_done="nothing was attempted")
    workloads = {
        name: replace(one, home=home, members={site: host for site, host in one.members.items() if site != lost})
        for name, one in estate.workloads.items()
    }
    services = tuple(
        replace(one, members={site: host for site, host in one.members.items() if site != lost})
        for one in estate.services
    )
    quorum = estate.quorum
    if quorum is not None:
        quorum = replace(quorum, members=tuple(voter for voter in quorum.members if voter in hosts))
    paging = estate.paging
    if paging is not None:
        paging = replace(paging, relays=tuple(relay for relay in paging.relays if relay in hosts))
    return replace(estate, hosts=hosts, workloads=workloads, services=services, quorum=quorum, paging=paging)
