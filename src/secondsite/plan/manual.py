"""What a person does instead of a step on a workload, by the workload's adapter: words for plans."""

from __future__ import annotations

from ..estate.model import HostName, Workload


def read_lease_by_hand(workload: Workload, *, old: HostName, new: HostName) -> str:
    """Say how to read who may write, and who is in sync."""
    in_sync = "." if workload.objectives.rpo else f", and {new} must be recorded as in sync."
    match workload.adapter:
        case "patroni":
            where = f"/service/{workload.settings['scope']}/"
            return f"secondsite-etcdctl get --prefix {where} : the leader must be {old}{in_sync}"
        case "store":
            key = f"/secondsite/workloads/{workload.name}"
            return f"secondsite-etcdctl get {key} : the primary must be {old}{in_sync}"
    raise _unknown(workload)


def promote_by_hand(workload: Workload, *, old: HostName, new: HostName) -> str:
    """Say how to take the lease from a fenced primary."""
    match workload.adapter:
        case "patroni":
            return (
                f"One etcd transaction: if the leader is {old}, put the failover key naming {new} and delete the leader"
                f" key. Then write a row on {new}."
            )
        case "store":
            return (
                f"One etcd transaction: if /secondsite/workloads/{workload.name} is what was read, put it with primary"
                f" {new}, the next epoch, and in_sync []. Then on {new}: storectl refresh; storectl try {workload.name}"
            )
    raise _unknown(workload)


def read_writability_by_hand(workload: Workload, *, node: HostName) -> str:
    """Say how to see that a node accepts no write."""
    match workload.adapter:
        case "patroni":
            return f"On {node}: try to insert a row and roll it back. It must be refused."
        case "store":
            return f"On {node}: storectl try {workload.name} must say that it is not writable."
    raise _unknown(workload)


def rebuild_by_hand(workload: Workload, *, node: HostName, leader: HostName) -> str:
    """Say how to make a returned copy one of the leader's."""
    match workload.adapter:
        case "patroni":
            return f"On {leader}: patronictl reinit {workload.settings['scope']} {node}"
        case "store":
            return f"On {node}: storectl refresh. On {leader}: storectl copy {workload.name}"
    raise _unknown(workload)


def catch_up_by_hand(workload: Workload, *, node: HostName) -> str:
    """Say how to see that a copy holds everything."""
    in_sync = "." if workload.objectives.rpo else ", and it is recorded as in sync."
    match workload.adapter:
        case "patroni":
            return f"patronictl list: {node} streams, its lag is 0{in_sync}"
        case "store":
            return f"On {node}: storectl status shows {workload.name} whole in the primary's epoch{in_sync}"
    raise _unknown(workload)


def switch_by_hand(workload: Workload, *, old: HostName, new: HostName) -> str:
    """Say how to hand a workload over while both sides are healthy."""
    match workload.adapter:
        case "patroni":
            return f"patronictl switchover {workload.settings['scope']} --leader {old} --candidate {new}"
        case "store":
            return f"On {old}: storectl hand-over {workload.name} {new}"
    raise _unknown(workload)


def verify_by_hand(workload: Workload, *, node: HostName) -> str:
    """Say how to use a workload at its primary."""
    match workload.adapter:
        case "patroni":
            return f"On {node}: insert a row and roll it back."
        case "store":
            return f"On {node}: storectl try {workload.name}"
    raise _unknown(workload)


def _unknown(workload: Workload) -> ValueError:
    return ValueError(f"nobody wrote down how to work {workload.name} by hand: its adapter is {workload.adapter}")
