"""Fencing by the end of a lease (ADR 0005, rule 3): read, never brought about.

What is read counts only when the voters outside the fenced site are a majority by themselves, when each of them
answers a linearizable read and names a leader among them, and when a drill has seen the holder give up by itself.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence

from ..errors import ActionError, Effect, MeasurementError, SecondsiteError, Unreachable
from ..estate.model import Estate, HostName, SiteName, WorkloadName
from ..run.functions import word
from ..run.model import Json
from ..run.ports import Hands
from .ports import WorkloadAdapter

_STATUS = (
    "sudo",
    "-n",
    "/usr/local/sbin/secondsite-etcdctl",
    "--command-timeout=3s",
    "endpoint",
    "status",
    "-w",
    "json",
)
_TIMEOUT = dt.timedelta(seconds=5)
Rehearsed = Callable[[WorkloadName, HostName], bool]


class LeaseEnd:
    """Whether the lease of a site's writer has ended. ``rehearsed``: a drill saw that writer demote itself."""

    def __init__(
        self,
        estate: Estate,
        *,
        adapters: Mapping[WorkloadName, WorkloadAdapter],
        hands: Hands,
        rehearsed: Rehearsed,
    ) -> None:
        """Read nothing yet."""
        self._estate, self._adapters, self._hands, self._rehearsed = estate, adapters, hands, rehearsed

    def close(self, arguments: Json) -> None:
        """Refuse: a lease ends by time, or by a promotion that takes it.

        Raises:
            ActionError: always.
        """
        what = f"nobody but its holder can end the lease of {word(arguments, 'workload')} before its time"
        raise ActionError(what, effect=Effect.NONE)

    def open(self, arguments: Json) -> None:
        """Refuse: who holds a lease is for the workload to say.

        Raises:
            ActionError: always.
        """
        raise ActionError(f"nobody but {word(arguments, 'workload')} itself gives its lease", effect=Effect.NONE)

    def read_back(self, arguments: Json) -> Json:
        """Return what is known of the lease that the site's node held; what is not known is null, or false."""
        site, workload = SiteName(word(arguments, "site")), WorkloadName(word(arguments, "workload"))
        old = self._estate.workloads[workload].members[site]
        voters = self._outside(site)
        alone, why = self._are_alone(voters)
        leaders, troubles = self._read(workload, voters)
        read = bool(voters) and not troubles and len(leaders) == len(voters)
        agreed = len(set(leaders)) == 1
        found = {
            "gone": (leaders[0] != old) if read and agreed else None,
            "read_linearizably": read and agreed,
            "quorum_without_site": alone,
            "demotion_rehearsed": self._rehearsed(workload, old),
        }
        told = [*troubles, *([why] if why else [])]
        return {"leases": {workload: found}, **({"why": "; ".join(told)} if told else {})}

    def is_closed(self, arguments: Json) -> bool:
        """Say whether the lease has ended.

        Raises:
            MeasurementError: that was not read as it must be.
        """
        found = self.read_back(arguments)
        (lease,) = found["leases"].values()  # type: ignore[attr-defined]  # made three lines above
        if lease["gone"] is None or not (lease["read_linearizably"] and lease["quorum_without_site"]):
            why = found.get("why", "the voters outside the site do not agree")
            raise MeasurementError(f"whether the lease of {word(arguments, 'workload')} has ended is not known: {why}")
        return bool(lease["gone"])

    def is_open(self, arguments: Json) -> bool:
        """Say whether the lease is still held; what is not known raises."""
        return not self.is_closed(arguments)

    def _outside(self, site: SiteName) -> tuple[HostName, ...]:
        members = self._estate.quorum.members if self._estate.quorum is not None else ()
        return tuple(voter for voter in members if self._estate.hosts[voter].site != site)

    def _read(self, workload: WorkloadName, voters: Sequence[HostName]) -> tuple[list[str | None], list[str]]:
        """Ask each voter by itself who holds the lease."""
        members = self._estate.quorum.members if self._estate.quorum is not None else ()
        leaders: list[str | None] = []
        troubles: list[str] = []
        for voter in voters:
            try:
                leaders.append(self._adapters[workload].lease(avoiding=[m for m in members if m != voter]).leader)
            except SecondsiteError as error:
                troubles.append(error.what)
        return leaders, troubles

    def _are_alone(self, voters: Sequence[HostName]) -> tuple[bool, str]:
        """Say whether these voters are a majority that follows one of its own."""
        members = self._estate.quorum.members if self._estate.quorum is not None else ()
        if len(voters) * 2 <= len(members):
            return False, "the voters outside the site are no majority"
        ids: set[int] = set()
        led_by: set[int] = set()
        for voter in voters:
            try:
                told = json.loads(self._hands.run(voter, _STATUS, timeout=_TIMEOUT).stdout)
                status = told[0]["Status"]
                ids.add(int(status["header"]["member_id"]))
                led_by.add(int(status["leader"]))
            except (ActionError, Unreachable) as error:
                return False, error.what
            except (ValueError, KeyError, TypeError, IndexError):
                return False, f"{voter} does not say whom it follows"
        good = len(ids) == len(voters) and len(led_by) == 1 and led_by <= ids
        return good, "" if good else "the voters outside the site do not follow one of their own"
