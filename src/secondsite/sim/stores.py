"""Two simulated storekeepers and the quorum's lease, behind the port for remote commands."""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import ActionError, Effect, Unreachable
from ..run.ports import CommandResult, Stream

_PREFIX = "/secondsite/workloads/"
_TRANSACTION = re.compile(
    r'value\("(?P<key>[^"]+)"\) = (?P<expected>"(?:[^"\\]|\\.)*")\n\nput "[^"]+" (?P<new>"(?:[^"\\]|\\.)*")\n'
)


@dataclass(slots=True, kw_only=True)
class SimulatedStores:
    """One workload at several hosts. ``dark`` hosts can't be reached; ``silent`` ones run no storekeeper.

    Each host knows the lease it read last, so that an old primary goes on believing until it reads again, as real ones
    do. ``acknowledged`` are writes by the host that took them; ``copies`` what each host holds.
    """

    workload: str
    leases: dict[str, str]
    known: dict[str, str]
    copies: dict[str, set[str]]
    dark: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    refuses_to_hand_over: bool = False
    commands: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    @classmethod
    def at(
        cls, primary: str, *others: str, workload: str = "documents", in_sync: Sequence[str] = ()
    ) -> SimulatedStores:
        """Return stores that all know the primary of epoch 1."""
        text = json.dumps({"epoch": 1, "in_sync": list(in_sync), "primary": primary}, sort_keys=True)
        hosts = (primary, *others)
        return cls(
            workload=workload,
            leases={_PREFIX + workload: text},
            known=dict.fromkeys(hosts, text),
            copies={host: {"first"} for host in hosts},
        )

    @property
    def lease(self) -> Mapping[str, object]:
        """What the quorum holds."""
        words: Mapping[str, object] = json.loads(self.leases[_PREFIX + self.workload])
        return words

    def open(self, hosts: Sequence[str]) -> Mapping[str, str]:
        """Name the dark ones."""
        return {host: "it is dark" for host in hosts if host in self.dark}

    def run(
        self,
        host: str,
        argv: Sequence[str],
        *,
        timeout: dt.timedelta,  # noqa: ARG002  nothing takes time here
        stdin: str = "",
        accept: Sequence[int] = (0,),
        limit: int = 1 << 20,  # noqa: ARG002  nothing is long here
    ) -> CommandResult:
        """Do what the two programs would."""
        if host in self.dark:
            raise Unreachable(f"{host} is dark")
        words = tuple(argv[2:])
        self.commands.append((host, words))
        if words[0].endswith("etcdctl"):
            code, said = self._etcdctl(words[2:], stdin)
        elif host in self.silent:
            code, said = 4, ""
        else:
            code, said = self._storectl(host, words[1], words[2:])
        if code not in accept:
            raise ActionError(f"{host}: exit code {code}: {said}", effect=Effect.UNKNOWN)
        return CommandResult(exit_code=code, stdout=said, stderr="")

    def arm(self, host: str, argv: Sequence[str]) -> None:
        """Start nothing: an armed command has no effect before it is fed."""

    def stream(self, host: str, argv: Sequence[str], *, stdin: str, on_line: Callable[[str], None]) -> Stream:
        """Refuse: nothing here streams."""
        raise NotImplementedError

    def _etcdctl(self, words: Sequence[str], stdin: str) -> tuple[int, str]:
        if words[0] == "get":
            pairs = [
                {"key": base64.b64encode(key.encode()).decode(), "value": base64.b64encode(text.encode()).decode()}
                for key, text in self.leases.items()
                if key == words[1]
            ]
            return 0, json.dumps({"kvs": pairs})
        found = _TRANSACTION.match(stdin)
        if found is None:
            return 128, "no transaction"
        if self.leases.get(found["key"]) != json.loads(found["expected"]):
            return 0, "FAILURE\n"
        self.leases[found["key"]] = json.loads(found["new"])
        return 0, "SUCCESS\n"

    def _storectl(self, host: str, verb: str, words: Sequence[str]) -> tuple[int, str]:
        if verb == "refresh":
            self.known[host] = self.leases[_PREFIX + self.workload]
        answers: Mapping[str, Callable[[], tuple[int, str]]] = {
            "refresh": lambda: (0, json.dumps(self._status(host))),
            "status": lambda: (0, json.dumps(self._status(host))),
            "try": lambda: (0, json.dumps({"writable": self._is_primary(host)})),
            "ids": lambda: (0, json.dumps({"ids": sorted(self.copies[host])})),
            "copy": lambda: self._copy(host),
            "hand-over": lambda: self._hand_over(host, words[1]),
        }
        return answers[verb]()

    def _is_primary(self, host: str) -> bool:
        return bool(json.loads(self.known[host])["primary"] == host)

    def _copy(self, host: str) -> tuple[int, str]:
        if not self._is_primary(host):
            return 1, json.dumps({"error": f"{host} is not the primary"})
        if json.loads(self.known[host])["epoch"] != self.lease["epoch"]:
            return 1, json.dumps({"error": "the epoch is over"})
        for other in self.copies:
            if other not in self.dark | {host}:
                self.copies[other] = set(self.copies[host])
        return 0, json.dumps(self._status(host))

    def _hand_over(self, host: str, to: str) -> tuple[int, str]:
        if self.refuses_to_hand_over or not self._is_primary(host):
            return 1, json.dumps({"error": "not now"})
        self._copy(host)
        new = {"epoch": int(str(self.lease["epoch"])) + 1, "in_sync": [], "primary": to}
        self.leases[_PREFIX + self.workload] = self.known[host] = json.dumps(new, sort_keys=True)
        return 0, json.dumps({"handed_to": to})

    def _status(self, host: str) -> Mapping[str, object]:
        lease = json.loads(self.known[host])
        whole = any(self._is_primary(one) and self.copies[one] == self.copies[host] for one in self.copies)
        mine = {
            "role": "primary" if self._is_primary(host) else "standby",
            "epoch": lease["epoch"],
            "in_sync": lease["in_sync"],
            "through_epoch": lease["epoch"] if whole else 0,
            "lag_s": 0.5 if whole else None,
        }
        return {"host": host, "workloads": {self.workload: mine}}
