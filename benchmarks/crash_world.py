"""What became of a lab, seen on its hosts and not asked of the engine: counters of effects, and the state at the end.

A carrier's kernel tells of every network that is really added to its filter or deleted (``nft monitor``; what is asked
for again changes nothing and is told by nobody). A promotion of a database is a line of its timelines' history, one of
a storekeeper's workload is an epoch, and a change of a name is a serial number of its zone.
"""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from secondsite.app.workloads import voters_of
from secondsite.estate.model import Estate, Service, SiteKind, SiteName, Workload

_WITNESS = "/run/crash-witness"
_WATCH = f"""
systemctl stop crash-witness 2>/dev/null
rm -f {_WITNESS}
exec systemd-run --quiet --collect --unit=crash-witness sh -c 'exec stdbuf -oL nft monitor > {_WITNESS}'
"""
_CARRIER = f"""
cat {_WITNESS} 2>/dev/null; echo ==
nft -j list set inet secondsite_isolation fenced; echo ==
cat /var/lib/secondsite/fenced.nft 2>/dev/null; true
"""
_QUORUM = "secondsite-etcdctl get --prefix / -w json"
_WRITE = "BEGIN; INSERT INTO secondsite.writability (node) VALUES ('crash'); ROLLBACK;"
_AGAIN_S = 0.5
Look = Callable[[Counter[str], dict[str, object]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One look: how often each thing has happened so far, and how things stand."""

    counts: Mapping[str, int]
    state: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The hosts of a lab, reached as root behind the product's back."""

    estate: Estate
    state: Path
    instance: str
    dead: set[str] = field(default_factory=set)
    """Hosts that have no power now, which nobody asks."""

    def on(self, host: str, script: str) -> str:
        """Run a shell script as root.

        Raises:
            RuntimeError: it could not be run; the message says what was said.
        """
        argv = ["ip", "netns", "exec", f"{self.instance}-control", "ssh", "-F", str(self.state / "keys" / "ssh_config")]
        done = subprocess.run(
            [*argv, "--", host, "sudo -n sh -s"], input=script, capture_output=True, text=True, timeout=30, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{host}: {script.strip()[:80]}: {done.stderr.strip()[-300:]}")
        return done.stdout

    @property
    def carriers(self) -> list[str]:
        sites, hosts = self.estate.sites, self.estate.hosts.values()
        return [str(host.name) for host in hosts if sites[host.site].kind is SiteKind.CARRIER]

    def watch(self) -> None:
        """Have the carriers write down what their kernels tell, from now on."""
        for carrier in self.carriers:
            self.on(carrier, _WATCH)

    def look(self) -> Seen:
        """Look at everything, everywhere at once."""
        counts: Counter[str] = Counter()
        state: dict[str, object] = {}
        looks: list[Look] = [self._look_at_leases]
        looks += [partial(self._look_at_carrier, carrier) for carrier in self.carriers]
        looks += [partial(self._look_at_name, service) for service in self.estate.published]
        looks += [
            partial(self._look_at_door, service.name, host)
            for service in self.estate.services
            for host in sorted(set(map(str, service.members.values())) - self.dead)
        ]
        looks += [
            partial(self._look_at_database, workload, node)
            for workload in self.estate.workloads.values()
            for node in sorted(set(map(str, workload.members.values())) - self.dead)
            if workload.adapter == "patroni"
        ]
        with ThreadPoolExecutor(max_workers=16) as pool:
            for looked in [pool.submit(look, counts, state) for look in looks]:
                looked.result()
        return Seen(counts=dict(counts), state=dict(sorted(state.items())))

    def _look_at_carrier(self, carrier: str, counts: Counter[str], state: dict[str, object]) -> None:
        told, fenced, kept = self.on(carrier, _CARRIER).split("==\n")
        for line in told.splitlines():
            if "element inet secondsite_isolation fenced" in line:
                counts[f"{line.split(' ', 1)[0]} at {carrier}"] += 1
        state[f"fenced at {carrier}"] = _elements(fenced)
        state[f"kept at {carrier}"] = kept.strip()

    def _look_at_leases(self, counts: Counter[str], state: dict[str, object]) -> None:
        voter = next(str(host) for host in voters_of(self.estate) if host not in self.dead)
        pairs = {
            base64.b64decode(one["key"]).decode(): base64.b64decode(one.get("value", "")).decode()
            for one in json.loads(self.on(voter, _QUORUM))["kvs"]
        }
        for workload in self.estate.workloads.values():
            if workload.adapter != "patroni":
                lease = json.loads(pairs[f"/secondsite/workloads/{workload.name}"])
                counts[f"promotions of {workload.name}"] = int(lease["epoch"])
                state[f"leader of {workload.name}"] = lease["primary"]
                state[f"in sync of {workload.name}"] = sorted(lease["in_sync"])
                continue
            scope = f"/service/{workload.settings['scope']}"
            counts[f"promotions of {workload.name}"] = len(json.loads(pairs.get(f"{scope}/history", "[]")))
            state[f"leader of {workload.name}"] = pairs.get(f"{scope}/leader")
            sync = json.loads(pairs.get(f"{scope}/sync") or "{}")
            state[f"in sync of {workload.name}"] = [sync.get("leader"), sync.get("sync_standby") or None]
            for node in sorted(set(map(str, workload.members.values())) - self.dead):
                member = json.loads(pairs.get(f"{scope}/members/{node}", "{}"))
                told = member.get("replication_state") or member.get("state")
                state[f"{workload.name} on {node}"] = f"{member.get('role')}, {told}"

    def _look_at_database(self, workload: Workload, node: str, _counts: Counter[str], state: dict[str, object]) -> None:
        port, database = workload.settings["port"], workload.settings["database"]
        psql = f"runuser -u postgres -- psql -X -q -v ON_ERROR_STOP=1 -p {port} -d {database}"
        said = self.on(node, f'if {psql} -c "{_WRITE}" >&2; then echo yes; else echo no; fi').strip()
        state[f"writable {workload.name} on {node}"] = said == "yes"

    def _look_at_name(self, service: Service, counts: Counter[str], state: dict[str, object]) -> None:
        ask = f"kdig +short @127.0.0.1 {service.zone} SOA | cut -d' ' -f3; kdig +short @127.0.0.1 {service.dns_name} A"
        serial, *addresses = self.on(str(service.name_server), ask).split()
        counts[f"changes of {service.zone}"] = int(serial)
        state[f"address of {service.dns_name}"] = addresses

    def _look_at_door(self, service: str, host: str, _counts: Counter[str], state: dict[str, object]) -> None:
        state[f"{service} at {host}"] = "open" if self.on(host, "shopctl status") == "open\n" else "closed"

    def await_steady(self, *, leading: SiteName, standby: SiteName | None, within_s: float = 90.0) -> Seen:
        """Return the first of two looks that are the same, once a site leads everything and the other follows.

        Raises:
            RuntimeError: it was not so in time; the last look is told.
        """
        until, before, why = time.monotonic() + within_s, Seen(counts={}, state={}), "nobody answered"
        while time.monotonic() < until:
            try:
                now = self.look()
            except (RuntimeError, ValueError, KeyError) as error:  # hosts that still start answer this or that
                why = str(error)
            else:
                missing = list(self._missing(now, leading, standby))
                if not missing and now == before:
                    return now
                before, why = now, "; ".join(missing) or "it still changes"
            time.sleep(_AGAIN_S)
        raise RuntimeError(f"the lab was not steady within {within_s:.0f} s: {why}")

    def _missing(self, seen: Seen, leading: SiteName, standby: SiteName | None) -> Iterator[str]:
        for workload in self.estate.workloads.values():
            leader = str(workload.members[leading])
            if seen.state[f"leader of {workload.name}"] != leader:
                yield f"{workload.name} is not led by {leader}"
            if workload.adapter != "patroni":
                continue
            if seen.state[f"writable {workload.name} on {leader}"] is not True:
                yield f"{workload.name} is not writable on {leader}"
            if standby is None:
                continue
            follower = str(workload.members[standby])
            if seen.state[f"{workload.name} on {follower}"] != "replica, streaming":
                yield f"{workload.name} is not followed by {follower}"
            if not workload.objectives.rpo and seen.state[f"in sync of {workload.name}"] != [leader, follower]:
                yield f"{workload.name}: {follower} is not in sync"


def differences(wanted: Mapping[str, object], found: Mapping[str, object]) -> list[str]:
    """Say in what a state is not the one wanted."""
    names = sorted({*wanted, *found})
    return [f"{n}: {found.get(n)}, not {wanted.get(n)}" for n in names if wanted.get(n) != found.get(n)]


def _elements(listing: str) -> list[str]:
    items: list[dict[str, Any]] = json.loads(listing)["nftables"]
    elements = [one for item in items for one in item.get("set", {}).get("elem", [])]
    return sorted(json.dumps(one, sort_keys=True) for one in elements)
