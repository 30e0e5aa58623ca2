"""How new what lies in a repository must be, and which jobs a host must have: what was promised, in one place.

The check of freshness judges by it, and so does whatever pages a person on the hosts where backups lie.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator

from ..estate.model import Estate, Host, HostName

# How old the newest may be: a run may be missed, a second one may not.
OLDEST = {
    "files": dt.timedelta(hours=2, minutes=30),
    "agreement": dt.timedelta(hours=2, minutes=30),
    "names": dt.timedelta(hours=2, minutes=30),
    "databases": dt.timedelta(hours=9),
    "backup": dt.timedelta(hours=9),
}
OLDEST_FULL = dt.timedelta(days=8)
OLDEST_PRUNE = dt.timedelta(hours=36)
"""How long ago the vault may have pruned a producer's repository last: it does every night."""
KEPT_AT_MOST = dt.timedelta(days=92)
"""How long after the live database any backup may hold what was erased there: three months."""
UNITS = dict.fromkeys(("full", "diff", "incr", "prune"), "keep") | dict.fromkeys(
    ("newest", "older", "packs", "snapshots", "tally"), "verify"
)
"""What a job's unit begins with, where that is not "backup"."""


def expected_jobs(host: Host) -> tuple[str, ...]:
    """Return the jobs a host must have, by what the estate makes of it and not by what is found there."""
    groups = set(host.groups)
    by_group = {
        "files": {"producer"},
        "databases": {"producer", "database"},
        "agreement": {"producer", "etcd"},
        "names": {"producer", "ops"},
        "full": {"repository"},
        "diff": {"repository"},
        "incr": {"repository"},
        "prune": {"append_only"},
        "newest": {"repository"},
        "older": {"repository"},
        "packs": {"append_only"},
        "snapshots": {"producer"},
        "tally": {"database", "producer"},
    }
    return tuple(job for job, needed in by_group.items() if needed <= groups)


def wanted_snapshots(estate: Estate, hosts: Iterable[HostName]) -> Iterator[tuple[str, str]]:
    """Yield each job with what its newest snapshot must be of: its host, and for dumps each cluster."""
    for name in hosts:
        for job in expected_jobs(estate.hosts[name]):
            if job in OLDEST and job != "databases":
                yield job, str(name)
    for workload in estate.workloads.values():
        if workload.adapter == "patroni":
            yield "databases", workload.settings["scope"]
