"""PostgreSQL under Patroni: lease, promotion, return. The lease lives in etcd; no protocol of ours.

Patroni's shortest lease (20 s) alone would decide the recovery time. Once fencing is confirmed, a promotion therefore
names its candidate in Patroni's own ``failover`` key and takes the dead leader's key away in one etcd transaction that
holds only if the leader is still the one the plan saw. Patroni does everything else, as in any failover.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import ActionError, Effect, MeasurementError, Unreachable
from ..run.ports import Hands
from .model import Lag, Lease, Role
from .patience import ELECTED_WITHIN_S, Patience

_SHORT = dt.timedelta(seconds=5)
_LONG = dt.timedelta(seconds=120)
_POLL_S = 0.05
_REFUSALS = (
    "read-only transaction",
    "Connection refused",
    "No such file or directory",
    "the database system is starting up",
    "the database system is shutting down",
    "the database system is not yet accepting connections",
)
_READ_LIMIT = 64 << 20
_TRY_TO_WRITE = "BEGIN; INSERT INTO secondsite.writability (node) VALUES ('probe'); ROLLBACK;"
_AWAIT_PROMOTION = (
    "DO $$ BEGIN FOR try IN 1..{tries} LOOP EXIT WHEN NOT pg_is_in_recovery(); PERFORM pg_sleep({pause});"
    " END LOOP; END $$;"
)
_GLANCE_S = 0.005
_ETCDCTL = ("sudo", "-n", "/usr/local/sbin/secondsite-etcdctl", "--command-timeout=3s")
_SWITCHED = "Successfully switched over"
_SWITCH_WITHIN_S = 45.0
_ENOUGH_WRITES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """One Patroni cluster. ``lease_hosts`` hold etcd members, asked in this order; ``members`` are its nodes."""

    scope: str
    port: int
    database: str
    table: str
    members: tuple[str, ...]
    lease_hosts: tuple[str, ...]
    synchronous: bool


def _in_writes(nbytes: int, lately: str, writes: str) -> str:
    """Say about how many writes so much of a log is, by what those since the node's last checkpoint took each."""
    known = lately.isdigit() and writes.isdigit() and int(writes) >= _ENOUGH_WRITES and int(lately) > 0
    if not known:
        return "how many writes that is can't be told: too few were made lately"
    each = int(lately) / int(writes)
    return f"about {round(nbytes / each)} writes, if each took {each:.0f} bytes as the newest {writes} did"


class PatroniCluster:
    """Verbs on one Patroni cluster."""

    def __init__(
        self, cluster: Cluster, *, hands: Hands, monotonic: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        """Connect to nothing yet."""
        self.cluster = cluster
        self._hands = hands
        self._monotonic = monotonic
        self._sleep = sleep
        self._patience = Patience(monotonic=monotonic, sleep=sleep)

    @property
    def nodes(self) -> tuple[str, ...]:
        """Every node of the cluster."""
        return self.cluster.members

    @property
    def loses_nothing(self) -> bool:
        """Say whether the cluster acknowledges only what a standby holds too."""
        return self.cluster.synchronous

    def lease(self, *, avoiding: Sequence[str] = ()) -> Lease:
        """Read leader and in-sync record linearizably, from a member that isn't on one of the hosts to avoid.

        Raises:
            Unreachable: no such member answers with a quorum behind it, also after an election.
        """
        return self._patience.answered(lambda: self._lease_now(avoiding), within=ELECTED_WITHIN_S)

    def _lease_now(self, avoiding: Sequence[str]) -> Lease:
        reasons = []
        for host in (host for host in self.cluster.lease_hosts if host not in avoiding):
            try:
                listing = self._etcdctl(host, ["get", "--prefix", self._key(""), "-w", "json"])
            except (ActionError, Unreachable) as error:
                reasons.append(error.what)
                continue
            return self._lease_from(host, listing)
        raise Unreachable(f"the lease of {self.cluster.scope} can't be read: {'; '.join(reasons) or 'no member left'}")

    def promote(self, *, old: str, new: str) -> None:
        """Take the lease from ``old`` and name ``new`` its successor; return when ``new`` accepts a write.

        Only after fencing of ``old`` is confirmed, and after ``new`` was seen to be in sync: named alone, the
        candidate is asked for neither. When the lease has expired meanwhile, Patroni elects by itself who is in sync,
        and who is not only when named: so the candidate is named then too.

        Raises:
            ActionError: the lease is held by somebody else (nothing was changed).
            ActionTimeout: the lease moved, and ``new`` accepted no write in time.
        """
        voter, transaction = self._voter(avoiding=old), self._take_over(old=old, new=new)
        # A second one after one that was carried out and never answered changes nothing: the lease is not old's then.
        answer = self._patience.answered(
            lambda: self._etcdctl(voter, ["txn"], stdin=transaction), within=ELECTED_WITHIN_S
        )
        if not answer.startswith("SUCCESS"):
            holder = self.lease(avoiding=(old,)).leader
            if holder not in (None, new):
                raise ActionError(
                    f"{self.cluster.scope}: the lease is held by {holder}, not by {old}; nothing was changed",
                    effect=Effect.NONE,
                    next_step="look at the cluster before anything else: patronictl list",
                )
            named = self._name_successor(new)
            self._patience.answered(lambda: self._etcdctl(voter, ["txn"], stdin=named), within=ELECTED_WITHIN_S)
        self._wait_promoted(new, within=dt.timedelta(seconds=30))

    def get_ready_to_promote(self, *, old: str, new: str) -> None:
        """Start what ``promote`` will need, and open its database session; both wait and change nothing."""
        self._hands.arm(self._voter(avoiding=old), [*_ETCDCTL, "txn"])
        self._hands.arm(new, self._psql_from_input())

    def _wait_promoted(self, node: str, *, within: dt.timedelta) -> None:
        """Wait inside the database, in a session that outlives the promotion; when that fails, from outside."""
        script = _AWAIT_PROMOTION.format(tries=int(within.total_seconds() / _GLANCE_S), pause=_GLANCE_S)
        seen = self._hands.run(
            node,
            self._psql_from_input(),
            stdin=f"{script}\n{_TRY_TO_WRITE}\n",
            timeout=within + _SHORT,
            accept=(0, 1, 2, 3),
        )
        if seen.exit_code != 0:
            self.wait_writable(node, within=within)

    def wait_writable(self, node: str, *, within: dt.timedelta) -> None:
        """Return when the node accepts a write.

        Raises:
            ActionTimeout: it did not in time.
        """
        self._patience.until(
            lambda: self.is_writable(node),
            otherwise=f"{node} accepts no write to {self.cluster.scope} after {within}",
            within=within.total_seconds(),
            pause=_POLL_S,
        )

    def is_writable(self, node: str) -> bool:
        """Try a real write and roll it back. False means that it was refused, or that no database runs there.

        Raises:
            MeasurementError: neither; what the node can do isn't known.
        """
        result = self._hands.run(node, self._psql(_TRY_TO_WRITE), timeout=_SHORT, accept=(0, 1, 2, 3))
        if result.exit_code == 0:
            return True
        if any(words in result.stderr for words in _REFUSALS):
            return False
        raise MeasurementError(f"{node}: whether it accepts writes is not known: {result.stderr.strip()[-300:]}")

    def role(self, node: str) -> Role:
        """Ask the node's own database.

        Raises:
            MeasurementError: it does not answer.
        """
        ended = self._hands.run(node, self._psql("SELECT pg_is_in_recovery()"), timeout=_SHORT, accept=(0, 1, 2, 3))
        if ended.stdout.strip() not in ("t", "f"):
            raise MeasurementError(
                f"{node}: what it is for {self.cluster.scope} is not known: {ended.stderr.strip()[-300:]}"
            )
        return Role.STANDBY if ended.stdout.strip() == "t" else Role.PRIMARY

    def lag(self, node: str, *, leader: str) -> Lag:
        """Compare both ends' positions: a standby that lost its leader believes that it is up to date.

        Raises:
            MeasurementError: the leader knows of no such standby.
        """
        sql = (
            "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint,"  # noqa: S608  node: a host name
            " coalesce(extract(epoch FROM replay_lag), 0) FROM pg_stat_replication"
            f" WHERE application_name = '{node}'"
        )
        found = self._hands.run(leader, self._psql(sql), timeout=_SHORT).stdout.strip().split("|")
        if len(found) != len(("bytes", "seconds")):
            raise MeasurementError(f"{leader} knows of no standby {node} of {self.cluster.scope}")
        return Lag(nbytes=int(found[0]), seconds=float(found[1]), observed_at=self._monotonic())

    def lacks(self, node: str, *, avoiding: str) -> str:
        """Compare what the leader last told the quorum of its position with what the node received.

        The leader tells it every few seconds, so the difference is at least that. How many writes that is can only be
        estimated, as long as the leader can't be read: by how much log the node's newest writes took each.

        Raises:
            Unreachable: no voter, or not the node.
            MeasurementError: what was answered makes no sense.
        """
        voter = self._voter(avoiding=avoiding)
        listing = self._etcdctl(voter, ["get", "--prefix", self._key(""), "-w", "json"])
        sql = (
            "SELECT pg_wal_lsn_diff(coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), '0/0')::bigint,"
            " pg_last_xact_replay_timestamp() AT TIME ZONE 'UTC',"
            " pg_wal_lsn_diff(pg_last_wal_replay_lsn(), redo_lsn)::bigint,"
            " pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
            " - (split_part(next_xid, ':', 1)::bigint << 32) - split_part(next_xid, ':', 2)::bigint"
            " FROM pg_control_checkpoint()"
        )
        told = self._hands.run(node, self._psql(sql), timeout=_SHORT).stdout.strip()
        held, newest, lately, writes = (*told.split("|"), "", "", "", "")[:4]
        try:
            position = int(json.loads(self._pairs(listing).get(self._key("status"), ""))["optime"])
            nbytes = max(0, position - int(held))
        except (ValueError, KeyError, TypeError) as error:
            raise MeasurementError(f"{self.cluster.scope}: how much {node} lacks is not known: {error}") from error
        counted = _in_writes(nbytes, lately, writes)
        return (
            f"{node} lacks at least {nbytes} bytes of {avoiding}'s log ({counted}), and every write to"
            f" {self.cluster.scope} after {newest or 'an unknown time'} UTC"
        )

    def demote(self, old: str, *, successor: str) -> None:
        """Move the writer while both are healthy; return when the successor accepts a write.

        ``patronictl`` ends with 0 also when Patroni refused, as it does while a rebuilt copy is not yet listed as a
        candidate. A refusal changes nothing, so it is asked again for a while.

        Raises:
            ActionError: Patroni refused until the end (nothing was changed).
            ActionTimeout: it switched, and the successor accepted no write in time.
        """
        words = ["switchover", self.cluster.scope, "--leader", old, "--candidate", successor, "--force"]
        deadline = self._monotonic() + _SWITCH_WITHIN_S
        while _SWITCHED not in (said := self._patronictl(successor, words, accept=(0, 1))):
            if self.lease().leader == successor:
                break
            if self._monotonic() > deadline:
                raise ActionError(
                    f"{self.cluster.scope}: Patroni refused to switch from {old} to {successor}: {said.strip()[-300:]}",
                    effect=Effect.NONE,
                    next_step="look at the cluster: patronictl list",
                )
            self._sleep(1.0)
        self.wait_writable(successor, within=dt.timedelta(seconds=30))

    def rejoin(self, node: str, *, leader: str) -> None:
        """Make the node's copy anew from the leader; return when it streams.

        Raises:
            ActionError: Patroni refused; the copy is the old one, whatever it streams.
        """
        self.wait_member(node, leader=leader, within=_LONG)
        words = ["reinit", self.cluster.scope, node, "--force", "--wait"]
        deadline = self._monotonic() + _SWITCH_WITHIN_S
        # It ends with 0 all the same, and a copy that is being made anew may be asked for again.
        while "Failed:" in (said := self._asked_patroni(leader, words)):
            if self._monotonic() > deadline:
                raise ActionError(
                    f"{self.cluster.scope}: Patroni refused to rebuild {node}: {said.strip()[-300:]}",
                    effect=Effect.NONE,
                    next_step="look at the cluster: patronictl list",
                )
            self._sleep(1.0)
        self.wait_streaming(node, leader=leader, within=_LONG)

    def wait_member(self, node: str, *, leader: str, within: dt.timedelta) -> None:
        """Return when the cluster knows the node as a member that is no leader."""
        self._wait(lambda: node in self._standbys(leader), f"{node} did not join {self.cluster.scope}", within)

    def wait_streaming(self, node: str, *, leader: str, within: dt.timedelta) -> None:
        """Return when the node streams from the leader and has replayed all the leader has written."""
        self._wait(lambda: self._caught_up(node, leader), f"{node} does not follow {leader}", within)

    def catch_up(self, node: str, *, leader: str, within: dt.timedelta) -> None:
        """Return when the node holds everything and, in a synchronous cluster, the quorum says so.

        A node that leads follows nobody and holds everything: a return that was interrupted asks for this again.

        Raises:
            ActionTimeout: it did not in time.
        """
        self._wait(
            lambda: self._caught_up(node, leader) or self._leads(node), f"{node} does not follow {leader}", within
        )
        if self.cluster.synchronous:
            self._wait(
                lambda: node in self.lease().in_sync or self._leads(node),
                f"{node} is not recorded as in sync",
                within,
            )

    def verify(self, node: str, *, within: dt.timedelta) -> None:
        """Use the cluster at its leader, until that works.

        Raises:
            ActionError: it refused every write in that time.
        """
        self._patience.used(
            lambda: self.is_writable(node), what=f"{node} refuses a write to {self.cluster.scope}", within=within
        )

    def writers(self) -> tuple[str, ...]:
        """Name every node that accepts a write now. A node that can't be asked raises: unknown is not *none*."""
        return tuple(node for node in self.cluster.members if self.is_writable(node))

    def ids(self, node: str) -> tuple[str, ...]:
        """Read every id of the measured table on one node.

        Raises:
            MeasurementError: the answer was too long to be taken whole.
        """
        sql = f"COPY (SELECT id FROM {self.cluster.table} ORDER BY id) TO STDOUT"  # noqa: S608  table: loaded, matched
        result = self._hands.run(node, self._psql(sql), timeout=_LONG, limit=_READ_LIMIT)
        if result.truncated:
            raise MeasurementError(f"{node}: more ids in {self.cluster.table} than {_READ_LIMIT} bytes hold")
        return tuple(result.stdout.split())

    def _wait(self, question: Callable[[], bool], otherwise: str, within: dt.timedelta) -> None:
        self._patience.until(
            question, otherwise=f"{otherwise} within {within}", within=within.total_seconds(), pause=_POLL_S * 4
        )

    def _asked_patroni(self, host: str, words: Sequence[str]) -> str:
        return self._patience.answered(lambda: self._patronictl(host, words), within=_SWITCH_WITHIN_S, pause=1.0)

    def _leads(self, node: str) -> bool:
        return self.lease().leader == node

    def _standbys(self, leader: str) -> dict[str, str]:
        listing = self._patronictl(leader, ["list", "-f", "json"])
        members = json.loads(listing)
        return {
            str(member["Member"]): str(member["State"])
            for member in members
            if str(member["Role"]).lower() not in ("leader", "standby leader")
        }

    def _caught_up(self, node: str, leader: str) -> bool:
        sql = (
            "SELECT count(*) FROM pg_stat_replication"  # noqa: S608  node: a validated host name
            f" WHERE application_name = '{node}' AND state = 'streaming' AND replay_lsn >= sent_lsn"
        )
        return self._hands.run(leader, self._psql(sql), timeout=_SHORT).stdout.strip() == "1"

    def _lease_from(self, host: str, listing: str) -> Lease:
        try:
            pairs = self._pairs(listing)
            sync = json.loads(pairs.get(self._key("sync")) or "{}")
        except (ValueError, KeyError, TypeError) as error:
            raise Unreachable(f"{host}: the lease of {self.cluster.scope} makes no sense: {error}") from error
        standbys = str(sync.get("sync_standby") or "")
        return Lease(
            read_at=host,
            leader=pairs.get(self._key("leader")),
            in_sync=tuple(name for name in standbys.split(",") if name),
            sync_leader=sync.get("leader"),
        )

    def _name_successor(self, new: str) -> str:
        """Return the transaction that names the candidate where nobody holds the lease."""
        successor = json.dumps(json.dumps({"member": new}))
        return f'version("{self._key("leader")}") = "0"\n\nput {self._key("failover")} {successor}\n\n\n'

    @staticmethod
    def _pairs(listing: str) -> dict[str, str]:
        """Return what etcdctl listed as JSON: keys and values, which it writes in base64.

        Raises:
            ValueError: it is no listing.
            KeyError: an entry has no key.
            TypeError: it holds something else than text.
        """
        return {
            base64.b64decode(item["key"]).decode(): base64.b64decode(item.get("value", "")).decode()
            for item in json.loads(listing).get("kvs", [])
        }

    def _take_over(self, *, old: str, new: str) -> str:
        successor = json.dumps(json.dumps({"member": new}))
        leader = self._key("leader")
        return (
            f'value("{leader}") = "{old}"\n\nput {self._key("failover")} {successor}\ndel {leader}\n\nget {leader}\n\n'
        )

    def _key(self, name: str) -> str:
        return f"/service/{self.cluster.scope}/{name}"

    def _etcdctl(self, host: str, words: Sequence[str], *, stdin: str = "") -> str:
        return self._hands.run(host, [*_ETCDCTL, *words], stdin=stdin, timeout=_SHORT).stdout

    def _patronictl(self, host: str, words: Sequence[str], *, accept: Sequence[int] = (0,)) -> str:
        argv = ["sudo", "-n", "patronictl", "-c", f"/etc/patroni/{self.cluster.scope}.yml", *words]
        return self._hands.run(host, argv, timeout=_LONG, accept=accept).stdout

    def _psql(self, sql: str) -> list[str]:
        return [*self._session(), "-c", sql]

    def _psql_from_input(self) -> list[str]:
        return [*self._session(), "-f", "-"]

    def _session(self) -> list[str]:
        base = ["sudo", "-n", "-u", "postgres", "psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1"]
        return [*base, "-p", str(self.cluster.port), "-d", self.cluster.database]

    def _voter(self, *, avoiding: str) -> str:
        return next(host for host in self.cluster.lease_hosts if host != avoiding)
