"""Documents, website, git repositories and mail, kept by a storekeeper at each site.

Who may write is a lease in the quorum: a JSON text per workload, which only a transaction changes that names the text
it expects. The storekeeper of a host reads it every second and, asked by ``storectl refresh``, at once. Copying and
its safety are the storekeeper's (role ``store``); here the lease is moved, and the storekeepers are asked.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import ActionError, Effect, MeasurementError, Unreachable
from ..run.ports import Hands
from .model import Lag, Lease, Role
from .patience import ELECTED_WITHIN_S, Patience

PREFIX = "/secondsite/workloads/"
_SHORT = dt.timedelta(seconds=5)
_LONG = dt.timedelta(seconds=300)
_POLL_S = 0.05
_REFUSED = 1
_IN_DOUBT = 3
_SILENT = 4
_READ_LIMIT = 64 << 20
_WITHIN = dt.timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One workload of the storekeepers. ``lease_hosts`` hold etcd members, asked in this order."""

    name: str
    members: tuple[str, ...]
    lease_hosts: tuple[str, ...]
    loses_nothing: bool


class StoredWorkload:
    """Verbs on one workload of the storekeepers."""

    def __init__(
        self,
        stored: Stored,
        *,
        hands: Hands,
        monotonic: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        """Connect to nothing yet."""
        self.stored = stored
        self._hands = hands
        self._monotonic = monotonic
        self._sleep = sleep
        self._patience = Patience(monotonic=monotonic, sleep=sleep)

    @property
    def nodes(self) -> tuple[str, ...]:
        """Every host that can hold the workload."""
        return self.stored.members

    @property
    def loses_nothing(self) -> bool:
        """Say whether a promotion must find the new node in sync."""
        return self.stored.loses_nothing

    def lease(self, *, avoiding: Sequence[str] = ()) -> Lease:
        """Read the lease linearizably.

        Raises:
            Unreachable: no voter outside the hosts to avoid answers with a quorum behind it, also after an election.
        """
        return self._patience.answered(lambda: self._lease_now(avoiding), within=ELECTED_WITHIN_S)

    def _lease_now(self, avoiding: Sequence[str]) -> Lease:
        reasons = []
        for host in (host for host in self.stored.lease_hosts if host not in avoiding):
            try:
                _, lease = self._kept(host)
            except (ActionError, Unreachable) as error:
                reasons.append(error.what)
                continue
            return lease
        raise Unreachable(f"the lease of {self.stored.name} can't be read: {'; '.join(reasons) or 'no member left'}")

    def role(self, node: str) -> Role:
        """Ask the node's storekeeper.

        Raises:
            MeasurementError: it does not say.
        """
        return Role(str(self._status(node)["role"]))

    def lag(self, node: str, *, leader: str) -> Lag:
        """Ask the node up to when its copy is whole; a copy of an epoch that is over has no lag, but a difference.

        Raises:
            MeasurementError: it never was whole in the leader's epoch.
        """
        here, there = self._status(node), self._status(leader)
        seconds = here["lag_s"]
        if not isinstance(seconds, int | float) or here["through_epoch"] != there["epoch"]:
            raise MeasurementError(
                f"{node}: its copy of {self.stored.name} was not yet whole in epoch {there['epoch']}"
            )
        return Lag(nbytes=None, seconds=float(seconds), observed_at=self._monotonic())

    def is_writable(self, node: str) -> bool:
        """Write something and take it back. False: it was refused, or no storekeeper runs there.

        Raises:
            MeasurementError: neither; what the node can do isn't known.
        """
        ended = self._hands.run(
            node, _storectl("try", self.stored.name), timeout=_SHORT, accept=(0, _REFUSED, 3, _SILENT)
        )
        if ended.exit_code == _SILENT:
            return False
        said = _object(ended.stdout)
        if ended.exit_code == 0 and isinstance(said.get("writable"), bool):
            return said["writable"] is True
        raise MeasurementError(f"{node}: whether it accepts writes to {self.stored.name} is not known: {said}")

    def lacks(self, node: str, *, avoiding: str) -> str:
        """Ask the node up to when its copy was whole.

        Raises:
            MeasurementError: it does not say.
        """
        lag = self._status(node).get("lag_s")
        since = f"the last {lag:.0f} seconds" if isinstance(lag, int | float) else "a time that is not known"
        return f"{node} may lack every write that {avoiding} took to {self.stored.name} in {since}"

    def get_ready_to_promote(self, *, old: str, new: str) -> None:
        """Start nothing ahead: every one of its commands acts at once."""

    def promote(self, *, old: str, new: str) -> None:
        """Take the lease from ``old`` in one transaction and give it to ``new``; return when ``new`` accepts a write.

        Only after fencing of ``old`` is confirmed. The new lease begins an epoch: what ``old`` still sends is refused.

        Raises:
            ActionError: somebody else holds the lease; nothing was changed.
            ActionTimeout: the lease moved, and ``new`` accepted no write in time.
        """
        host = next(host for host in self.stored.lease_hosts if host != old)
        lease = self._patience.answered(lambda: self._taken_over(host, old=old, new=new), within=ELECTED_WITHIN_S)
        if lease.leader != new:
            raise ActionError(
                f"{self.stored.name}: the lease is held by {lease.leader}, not by {old}; nothing was changed",
                effect=Effect.NONE,
                next_step=f"look at both sides before anything else: storectl status on {new}",
            )
        self._wait_writable(new)

    def _taken_over(self, host: str, *, old: str, new: str) -> Lease:
        """Return the lease after one try to take it; whatever became of an earlier try, it is read first."""
        text, lease = self._kept(host)
        if lease.leader != old:
            return lease
        following = json.dumps({"epoch": (lease.epoch or 0) + 1, "in_sync": [], "primary": new}, sort_keys=True)
        self._swap(host, expected=text, new=following)
        _, lease = self._kept(host)
        return lease

    def demote(self, old: str, *, successor: str) -> None:
        """Have ``old`` close, copy its last write over and give its lease away.

        Raises:
            ActionError: it refused; it is still the primary.
            ActionTimeout: it was handed over, and the successor accepted no write in time.
        """
        words = _storectl("hand-over", self.stored.name, successor)
        ended = self._hands.run(old, words, timeout=_LONG, accept=(0, _REFUSED, _IN_DOUBT, _SILENT))
        if ended.exit_code != 0 and self.lease().leader != successor:
            said = str(_object(ended.stdout).get("error") or ended.stderr.strip())[-300:]
            raise ActionError(
                f"{self.stored.name}: {old} did not hand over to {successor}: {said}",
                effect=Effect.NONE,
                next_step=f"storectl status on {old} and on {successor}",
            )
        self._wait_writable(successor)

    def rejoin(self, node: str, *, leader: str) -> None:
        """Have the leader make the node's copy whole. What only the node held is kept aside there, not used.

        Raises:
            ActionError: the leader could not send everything; the copy is the old one, or part of a new one.
        """
        self._patiently(node, "refresh", within=_WITHIN)
        self._patiently(leader, "copy", self.stored.name, within=_LONG)

    def catch_up(self, node: str, *, leader: str, within: dt.timedelta) -> None:
        """Return when the node's copy is whole in this epoch, and recorded as in sync where nothing may be lost.

        A node that holds the lease has no copy but the original: a return that was interrupted asks for this again.

        Raises:
            ActionTimeout: it was not in time.
        """
        self._patience.until(
            lambda: self._holds_everything(node, leader),
            otherwise=f"{node} does not hold all of {self.stored.name} within {within}",
            within=within.total_seconds(),
            pause=_POLL_S * 4,
        )

    def verify(self, node: str, *, within: dt.timedelta) -> None:
        """Use the workload at its primary, until that works.

        Raises:
            ActionError: it refused every write in that time.
        """
        self._patience.used(
            lambda: self.is_writable(node), what=f"{node} refuses a write to {self.stored.name}", within=within
        )

    def writers(self) -> tuple[str, ...]:
        """Name every node that accepts a write now. A node that can't be asked raises."""
        return tuple(node for node in self.stored.members if self.is_writable(node))

    def ids(self, node: str) -> tuple[str, ...]:
        """Read the markers that drills left on one node.

        Raises:
            MeasurementError: the answer was too long to be taken whole, or was none.
        """
        ended = self._hands.run(node, _storectl("ids", self.stored.name), timeout=_LONG, limit=_READ_LIMIT)
        found = _object(ended.stdout).get("ids")
        if ended.truncated or not isinstance(found, list):
            raise MeasurementError(f"{node}: the markers of {self.stored.name} could not be read whole")
        return tuple(str(one) for one in found)

    def _holds_everything(self, node: str, leader: str) -> bool:
        if self.lease().leader == node:  # it was made the primary meanwhile: what it holds is everything
            return True
        here, there = self._status(node), self._status(leader)
        whole = here["role"] == Role.STANDBY.value and here["through_epoch"] == there["epoch"]
        in_sync = there["in_sync"]
        return whole and (not self.loses_nothing or (isinstance(in_sync, list) and node in in_sync))

    def _wait_writable(self, node: str) -> None:
        self._patience.until(
            lambda: self._refreshed_and_writable(node),
            otherwise=f"{node} accepts no write to {self.stored.name} after {_WITHIN}",
            within=_WITHIN.total_seconds(),
            pause=_POLL_S,
        )

    def _refreshed_and_writable(self, node: str) -> bool:
        self._hands.run(node, _storectl("refresh"), timeout=_SHORT, accept=(0, _REFUSED, _IN_DOUBT, _SILENT))
        return self.is_writable(node)

    def _patiently(self, node: str, *words: str, within: dt.timedelta) -> None:
        def carry_out() -> None:
            ended = self._hands.run(node, _storectl(*words), timeout=_LONG, accept=(0, _REFUSED, _IN_DOUBT, _SILENT))
            if ended.exit_code != 0:
                said = str(_object(ended.stdout).get("error") or ended.stderr.strip())[-300:]
                what = f"{node}: storectl {' '.join(words)} failed until the end: {said}"
                raise ActionError(what, effect=Effect.UNKNOWN)

        self._patience.answered(carry_out, within=within.total_seconds(), pause=0.5)

    def _status(self, node: str) -> Mapping[str, object]:
        ended = self._hands.run(node, _storectl("status"), timeout=_SHORT, accept=(0, _REFUSED, _SILENT))
        workloads = _object(ended.stdout).get("workloads")
        if ended.exit_code != 0 or not isinstance(workloads, dict) or self.stored.name not in workloads:
            raise MeasurementError(f"{node}: its storekeeper does not say how {self.stored.name} is")
        status: Mapping[str, object] = workloads[self.stored.name]
        return status

    def _kept(self, host: str) -> tuple[str, Lease]:
        """Return the lease as the quorum keeps it, and what it says."""
        listing = self._etcdctl(host, ["get", PREFIX + self.stored.name, "-w", "json"])
        try:
            (pair,) = json.loads(listing).get("kvs", [])
            text = base64.b64decode(pair["value"]).decode()
            words = json.loads(text)
            leader, epoch = str(words["primary"]), int(words["epoch"])
            in_sync = tuple(str(name) for name in words["in_sync"])
        except (ValueError, KeyError, TypeError) as error:
            raise Unreachable(f"{host}: the lease of {self.stored.name} makes no sense: {error}") from error
        return text, Lease(read_at=host, leader=leader, in_sync=in_sync, sync_leader=leader, epoch=epoch)

    def _swap(self, host: str, *, expected: str, new: str) -> None:
        key = json.dumps(PREFIX + self.stored.name)
        transaction = f"value({key}) = {json.dumps(expected)}\n\nput {key} {json.dumps(new)}\n\nget {key}\n\n"
        self._etcdctl(host, ["txn"], stdin=transaction)

    def _etcdctl(self, host: str, words: Sequence[str], *, stdin: str = "") -> str:
        argv = ["sudo", "-n", "/usr/local/sbin/secondsite-etcdctl", "--command-timeout=3s", *words]
        return self._hands.run(host, argv, stdin=stdin, timeout=_SHORT).stdout


def _storectl(*words: str) -> list[str]:
    return ["sudo", "-n", "/usr/local/bin/storectl", *words]


def _object(text: str) -> dict[str, object]:
    try:
        said = json.loads(text or "{}")
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
