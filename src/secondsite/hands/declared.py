"""What the roles are told that an estate declares: its names, addresses, homes and clusters. Roles know no estate."""

from __future__ import annotations

from collections.abc import Mapping

from ..checks.freshness import OLDEST, OLDEST_FULL, OLDEST_PRUNE, UNITS, expected_jobs, wanted_snapshots
from ..errors import ConfigError, Problem
from ..estate.model import Estate, Paging, Service, SiteKind, Workload

# Patroni's own port lies this far above its cluster's, unless `rest_port` is declared: 8008 beside 5432
_REST_ABOVE = 8008 - 5432
_BUFFERS = {"shop": "64MB", "control": "32MB"}


def declared_variables(estate: Estate) -> Mapping[str, object]:
    """Return every variable of the roles that follows from ``estate.yml``.

    Raises:
        ConfigError: the estate declares no firewall, so nobody knows who manages it.
    """
    workloads = _clusters(estate)
    clusters = [_cluster(one) for one in workloads]
    return {
        "estate_controller_address": _controller(estate),
        "etcd_preferred_leader": _preferred_leader(estate),
        "pgbouncer_databases": {
            one["database"]: {"port": one["port"], "login": one["application"]} for one in clusters
        },
        "postgresql_clusters": clusters,
        "postgresql_home": str(workloads[0].members[workloads[0].home]) if workloads else "",
        **(_of_service(estate, estate.services[0]) if estate.services else {}),
        **({"paging": _paging(estate, estate.paging)} if estate.paging is not None else {}),
    }


def _controller(estate: Estate) -> str:
    if estate.firewall is None:
        what = "is missing: nobody knows who manages the hosts"
        raise ConfigError([Problem(file=estate.directory, line=None, pointer="/firewall", what=what)])
    return str(estate.firewall.management.control)


def _clusters(estate: Estate) -> list[Workload]:
    """Return the workloads that are PostgreSQL clusters, as declared."""
    return [workload for workload in estate.workloads.values() if workload.adapter == "patroni"]


def _cluster(workload: Workload) -> Mapping[str, str | int | bool]:
    """Return a cluster as role postgresql takes it. Its schema is the control arm's marks, or the shop's books."""
    kind = "control" if workload.is_control_arm else "shop"
    port = int(workload.settings["port"])
    return {
        "scope": workload.settings["scope"],
        "port": port,
        "rest_port": int(workload.settings.get("rest_port", port + _REST_ABOVE)),
        "database": workload.settings["database"],
        "application": kind,
        "synchronous": not workload.objectives.rpo,
        "shared_buffers": workload.settings.get("shared_buffers", _BUFFERS[kind]),
    }


def _preferred_leader(estate: Estate) -> str:
    """Return the voter in no datacenter: leadership there outlives the loss of either."""
    voters = estate.quorum.members if estate.quorum is not None else ()
    sites = {voter: estate.sites[estate.hosts[voter].site].kind for voter in voters}
    return next((str(voter) for voter in voters if sites[voter] is not SiteKind.DATACENTER), "")


def _of_service(estate: Estate, service: Service) -> Mapping[str, object]:
    home = estate.workloads[service.workloads[0]].home
    return {
        "service_name": service.dns_name,
        "service_zone": service.zone,
        "service_ttl": int(service.ttl.total_seconds()),
        "service_home": str(home),
        "service_website_name": _website(estate) or f"www.{service.zone}",
        "service_home_address": str(estate.hosts[service.members[home]].address or ""),
        "service_published": [
            {
                "name": one.dns_name,
                "address": str(estate.hosts[one.members[estate.workloads[one.workloads[0]].home]].address or ""),
            }
            for one in estate.published
        ],
        "service_tenant": estate.drills.tenant if estate.drills is not None else "",
    }


def _paging(estate: Estate, paging: Paging) -> Mapping[str, object]:
    """Return who is told of trouble and how, and the promised ages by which roles and checks judge alike."""
    mailboxes = {person.name: person.mail for person in estate.persons}
    producers = [host.name for host in estate.hosts.values() if "producer" in host.groups]
    return {
        "persons": [mailboxes[name] for name in paging.on_call],
        "mail": str(paging.mail),
        "webhook": str(paging.webhook),
        "relays": [str(name) for name in paging.relays],
        "port": paging.port,
        "seconds": {
            "look": int(paging.look.total_seconds()),
            "silence": int(paging.silence.total_seconds()),
            "repeat": int(paging.repeat.total_seconds()),
        },
        "oldest": {
            job: int(age.total_seconds()) for job, age in {**OLDEST, "full": OLDEST_FULL, "prune": OLDEST_PRUNE}.items()
        },
        "jobs": {
            str(name): [job for job in expected_jobs(estate.hosts[name]) if job not in UNITS] for name in producers
        },
        "wanted": [list(one) for one in wanted_snapshots(estate, producers)],
    }


def _website(estate: Estate) -> str:
    """Return the name under which the stores serve a workload to everybody."""
    named = (one.settings.get("dns_name", "") for one in estate.workloads.values() if one.takes_markers)
    return next((name for name in named if name), "")
