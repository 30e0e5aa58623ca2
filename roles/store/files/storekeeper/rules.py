"""Who may write, and what may be taken from whom: decisions only, no effects.

The lease of a workload lies in the quorum (etcd): who is primary, in which epoch, and which copy holds everything that
was acknowledged. Each promotion begins an epoch. A copy takes nothing from the primary of an epoch that is over, and a
primary that has not read its lease for a while no longer writes.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

PREFIX = "/secondsite/workloads/"
LEASE_TTL_S = 10.0
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,120}")
_SHORT_OPTIONS = re.compile(r"-[a-zA-Z.]+")
_LONG_OPTIONS = frozenset({"--delete", "--delete-during", "--delete-before", "--fsync", "--backup", "--numeric-ids"})
_TIMEOUT = re.compile(r"--timeout=[0-9]{1,4}")


class Role(enum.Enum):
    """What this host is for a workload."""

    PRIMARY = "primary"
    STANDBY = "standby"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """What the quorum says of one workload."""

    primary: str
    epoch: int
    in_sync: tuple[str, ...] = ()

    def text(self) -> str:
        """Return it as the quorum keeps it."""
        return json.dumps({"epoch": self.epoch, "in_sync": list(self.in_sync), "primary": self.primary}, sort_keys=True)

    @classmethod
    def parsed(cls, text: str) -> Lease:
        """Read what the quorum keeps; anything unexpected is an error, never a default."""
        words = json.loads(text)
        if set(words) != {"epoch", "in_sync", "primary"} or not isinstance(words["epoch"], int) or words["epoch"] < 1:
            raise ValueError(f"no lease: {text[:200]}")
        return cls(primary=str(words["primary"]), epoch=words["epoch"], in_sync=tuple(map(str, words["in_sync"])))

    def handed_to(self, host: str, *, in_sync: Sequence[str] = ()) -> Lease:
        """Return the lease of the next epoch."""
        return Lease(primary=host, epoch=self.epoch + 1, in_sync=tuple(in_sync))

    def with_in_sync(self, *hosts: str) -> Lease:
        """Return the same epoch with another record of who holds everything."""
        return replace(self, in_sync=hosts)


def role_of(host: str, lease: Lease | None, *, age_s: float | None, known_epoch: int) -> Role:
    """Return primary only if the quorum said so lately, and of an epoch that is not older than one seen before."""
    if lease is None or age_s is None or age_s >= LEASE_TTL_S or lease.epoch < known_epoch:
        return Role.STANDBY
    return Role.PRIMARY if lease.primary == host else Role.STANDBY


def reasons_not_to_receive(
    *, host: str, sender: str, epoch: int, lease: Lease | None, known_epoch: int
) -> Iterator[str]:
    """Yield every reason why this host takes nothing from the sender."""
    if epoch < known_epoch:
        yield f"epoch {epoch} is over: {known_epoch} was seen here"
    if lease is None:
        yield "the quorum's lease is not known here"
    elif lease.primary == host:
        yield f"{host} is the primary itself"
    elif lease.primary != sender:
        yield f"{sender} is not the primary; {lease.primary} is"
    elif lease.epoch != epoch:
        yield f"the sender is in epoch {epoch}, the quorum in {lease.epoch}"


def parts_of(path: str) -> tuple[str, ...] | None:
    """Return the parts of a path that stays below its root; None for any other."""
    parts = tuple(path.strip("/").split("/"))
    safe = 0 < len(parts) <= 12 and all(_PART.fullmatch(part) for part in parts)
    return parts if safe else None


def rsync_words(words: Sequence[str], *, target: str, kept_in: str) -> list[str] | None:
    """Return the receiving rsync's arguments with our own target in place of the sender's; None if they ask for more.

    Only receiving is allowed, and of the options only those the sender's side uses. ``--backup`` keeps what is
    overwritten in our own folder, whatever the sender named.
    """
    if len(words) < 4 or words[0] != "rsync" or words[1] != "--server" or words[-2] != ".":
        return None
    options: list[str] = []
    asked = iter(words[2:-2])
    for word in asked:
        if word == "--backup-dir":
            next(asked, None)
            options += ["--backup-dir", kept_in]
        elif word in _LONG_OPTIONS or _TIMEOUT.fullmatch(word) or _SHORT_OPTIONS.fullmatch(word):
            options.append(word)
        else:
            return None
    return ["rsync", "--server", *options, ".", target]
