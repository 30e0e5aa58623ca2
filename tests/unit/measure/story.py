"""A whole drill as records, written the way the product records it, to be bent by tests."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from secondsite.measure import DrillResult, read_records, recompute

Line = dict[str, Any]

BEGIN, TRAFFIC, HELD_BACK, FAULT, WRITABLE, OPENED = 1000.0, 1005.0, 1012.0, 1020.0, 1022.8, 1022.95
FAILBACK, HANDED_BACK, HOME, STOPPED, READ = 1037.0, 1044.0, 1044.8, 1060.0, 1060.5
NODES = {"web-dc1": "dc1", "db-dc1": "dc1", "web-dc2": "dc2", "db-dc2": "dc2"}
WORKLOADS = ("billing", "control")

EVENTS: tuple[tuple[float, str, object], ...] = (
    (BEGIN + 1, "steady", None),
    (TRAFFIC, "traffic-started", None),
    (HELD_BACK, "held-back", None),
    (FAULT, "fault-begun", None),
    (FAULT + 0.08, "fault-done", None),
    (FAULT + 1.2, "fault-proven", None),
    (FAULT + 1.4, "detected", None),
    (FAULT + 1.41, "declared", None),
    (FAULT + 1.43, "approved", {"by": "standing-order"}),
    (FAULT + 1.9, "fenced", {"fencing": "confirmed", "rule": "isolation at both carriers"}),
    (WRITABLE, "writable", {"workload": "billing"}),
    (WRITABLE + 0.1, "redirected", None),
    (OPENED, "opened", None),
    (OPENED + 0.4, "restored-verified", None),
    (OPENED + 10.6, "sustained", None),
    (FAILBACK, "failback-started", None),
    (HANDED_BACK + 0.3, "fenced", {"fencing": "confirmed"}),
    (HANDED_BACK + 0.5, "writable", None),
    (HOME + 0.2, "failback-done", None),
    (HOME + 2, "steady-again", None),
    (STOPPED, "traffic-stopped", None),
    (READ, "final-read", None),
    (READ + 1, "cleanup-proven", {"left": []}),
)
STEPS: tuple[tuple[str, str, float, float, tuple[str, ...], tuple[str, ...]], ...] = (
    ("detect", "Notice the silence of dc1", 1020.0, 1021.4, ("vault",), ()),
    ("declare", "Declare the loss of dc1 under the standing order", 1021.4, 1021.43, ("console",), ("detect",)),
    ("fence-carrier-a", "Isolate dc1 at carrier A", 1021.44, 1021.58, ("carrier-a",), ("declare",)),
    ("fence-carrier-b", "Isolate dc1 at carrier B", 1021.44, 1021.61, ("carrier-b",), ("declare",)),
    (
        "confirm-fencing",
        "Read the isolation back",
        1021.62,
        1021.9,
        ("carrier-a", "carrier-b", "customers"),
        ("fence-carrier-a", "fence-carrier-b"),
    ),
    ("promote-billing", "Promote billing at dc2", 1021.91, 1022.8, ("db-dc2",), ("confirm-fencing",)),
    ("promote-control", "Promote control at dc2", 1021.91, 1022.5, ("db-dc2",), ("confirm-fencing",)),
    ("redirect", "Point shop.secondsite.test to dc2", 1022.8, 1022.9, ("vault",), ("promote-billing",)),
    ("open", "Open the shop at dc2", 1022.8, 1022.95, ("web-dc2",), ("promote-billing",)),
    ("use", "Sign in, order and read the order back", 1022.96, 1023.35, ("customers",), ("open", "redirect")),
)


def promise() -> Line:
    return {
        "schema_version": 1,
        "drill": "7-site-loss",
        "scenario": "site-loss",
        "estate": "lab",
        "anchored": True,
        "origin": "dc1",
        "target": "dc2",
        "fault_hosts": ["web-dc1", "db-dc1"],
        "returns": True,
        "nodes": NODES,
        "workloads": [
            {
                "name": "billing",
                "arm": "main",
                "rto_s": 8.0,
                "rpo_s": 0.0,
                "mtpd_s": 86400.0,
                "writers": ["db-dc1", "db-dc2"],
            },
            {
                "name": "control",
                "arm": "control",
                "rto_s": 60.0,
                "rpo_s": 600.0,
                "mtpd_s": 86400.0,
                "writers": ["db-dc1", "db-dc2"],
            },
        ],
        "service_level": {"ratio": 0.99, "latency_s": 1.0, "sustained_s": 10},
        "why": "quarterly drill",
        "started_by": "schedule",
        "plan_digest": "9b" * 32,
        "estate_digest": "3c" * 32,
        "out_of_scope": ["mail", "the loss of both sites at once"],
        "commitments": [
            {"id": "C12", "kept_by": "failover to dc2 under the standing order"},
            {"id": "C13", "kept_by": "this drill, due every quarter"},
        ],
        "versions": {"secondsite": "0.1.0", "python": "3.11.2"},
    }


def site_at(t: float) -> str | None:
    """Return which site answers a request due at ``t``; None for nobody."""
    if t < FAULT or t >= HOME:
        return "dc1"
    return "dc2" if OPENED <= t < HANDED_BACK else None


def request(kind: str, arm: str, number: int, t0: float) -> Line:
    site = site_at(t0)
    latency = 0.012 + 0.001 * (number * 7 % 23) + (0.006 if kind == "write" else 0)
    line: Line = {"t0": t0, "t1": t0 + latency, "kind": kind, "arm": arm, "id": f"{arm[0]}{kind[0]}-{number}"}
    if site is not None:
        return line | {
            "outcome": "ok",
            "web": f"web-{site}",
            "db": f"db-{site}",
            "address": f"198.18.{site[-1]}.10",
            "error": None,
        }
    dead = t0 < FAILBACK
    outcome = "unknown" if dead and t0 < FAULT + 0.15 and kind == "write" else "failed"
    return line | {
        "t1": t0 + (1.0 if dead else 0.02),
        "outcome": outcome,
        "web": None,
        "db": None,
        "address": "198.18.1.10",
        "error": "no answer in 1 s" if dead else "503 closed",
    }


Rates = tuple[tuple[str, str, int], ...]
RATES: Rates = (("read", "main", 20), ("write", "main", 10), ("write", "control", 5))
THIN: Rates = (("read", "main", 2), ("write", "main", 4), ("write", "control", 2))


def traffic(rates: Rates = RATES) -> list[Line]:
    lines = []
    for kind, arm, rate in rates:
        count = int((STOPPED - TRAFFIC - 0.2) * rate)
        lines += [request(kind, arm, number, round(TRAFFIC + number / rate + 0.003, 6)) for number in range(count)]
    return sorted(lines, key=lambda line: line["t1"])


def samples(per_second: int = 5) -> list[Line]:
    lines = []
    for tick in range(int((READ - BEGIN) * per_second) + 1):
        t = round(BEGIN + tick / per_second, 3)
        for workload in WORKLOADS:
            for node, site in (("db-dc1", "dc1"), ("db-dc2", "dc2")):
                lines.append({"t": t, "node": node, "workload": workload, "state": state_at(site, t)})
    return lines


def state_at(site: str, t: float) -> str:
    if site == "dc1":
        if t < FAULT:
            return "writable"
        if t < FAILBACK + 2:
            return "unreachable"
        return "writable" if t >= HANDED_BACK + 0.5 else "down" if t < FAILBACK + 3 else "read-only"
    return "writable" if WRITABLE <= t < HANDED_BACK else "read-only"


def final_reads(requests: list[Line]) -> list[Line]:
    lines: list[Line] = []
    unknown = [line["id"] for line in requests if line["outcome"] == "unknown" and line["arm"] == "main"]
    for arm in ("main", "control"):
        kept = [
            line["id"]
            for line in requests
            if line["arm"] == arm and line["kind"] == "write" and line["outcome"] == "ok"
            if arm == "main" or not HELD_BACK <= line["t0"] < FAULT
        ]
        kept += unknown[:1] if arm == "main" else []
        lines += [{"arm": arm, "node": "db-dc1", "id": identity} for identity in kept]
        lines.append({"arm": arm, "node": "db-dc1", "read_at": READ, "rows": len(kept)})
    return lines


@dataclass
class Story:
    """The records of one drill as plain lines; ``files()`` gives the bytes."""

    promised: Line = field(default_factory=promise)
    requests: list[Line] = field(default_factory=traffic)
    writability: list[Line] = field(default_factory=samples)
    events: list[Line] = field(
        default_factory=lambda: [{"t": t, "event": event, "step": None, "detail": d} for t, event, d in EVENTS]
    )
    final: list[Line] = field(default_factory=list)
    markers: list[Line] = field(default_factory=list)
    kept: list[Line] = field(default_factory=list)
    steps: list[Line] = field(
        default_factory=lambda: [
            {
                "step": step,
                "title": title,
                "hosts": list(hosts),
                "attempt": 1,
                "t0": t0,
                "t1": t1,
                "outcome": "verified",
                "after": list(after),
                "runbook": "failover",
            }
            for step, title, t0, t1, hosts, after in STEPS
        ]
    )
    steady: list[Line] = field(
        default_factory=lambda: [
            {"t": t, "phase": phase, "check": check, "state": "passed", "saw": "yes", "expected": "yes"}
            for t, phase in ((BEGIN + 1, "before"), (HOME + 2, "after"))
            for check in ("shop answers at both sites", "billing replicates synchronously", "etcd has three members")
        ]
    )
    silence: Line = field(
        default_factory=lambda: {
            "hosts": ["web-dc1", "db-dc1"],
            "watched_from": FAULT + 0.1,
            "watched_until": FAULT + 1.2,
            "packets_heard": 0,
            "answers": [],
        }
    )
    clocks: Line = field(
        default_factory=lambda: {
            "clock": "CLOCK_MONOTONIC",
            "controller": "5f0c",
            "hosts": {"customers": "5f0c", "db-dc1": "5f0c", "db-dc2": "5f0c"},
            "uncertainty_s": 0.0,
        }
    )
    limitations: list[str] = field(
        default_factory=lambda: [
            "Delay on the wires is not simulated: this kernel has no netem.",
            "All hosts share one machine: its power, disk and kernel are not redundant here.",
        ]
    )
    approvals: Line = field(
        default_factory=lambda: {
            "standing_order": {
                "signed_by": ["lab identity 1", "lab identity 2"],
                "made": "at lab up",
                "expires": "2026-12-31T00:00:00Z",
                "digest": "ab" * 32,
            },
            "approvals": [
                {
                    "gate": "fence",
                    "by": "standing-order",
                    "persons": [],
                    "asked": FAULT + 1.41,
                    "answered": FAULT + 1.43,
                }
            ],
        }
    )

    def __post_init__(self) -> None:
        self.final = self.final or final_reads(self.requests)
        self.count()

    def count(self) -> None:
        """Have the traffic state how many requests it made, as it does when it stops."""
        detail: Line = {"requests": len(self.requests)}
        if self.markers:
            detail["markers"] = dict(Counter(line["workload"] for line in self.markers))
        self.event("traffic-stopped")["detail"] = detail

    def event(self, name: str) -> Line:
        """Return the first event of that name."""
        return next(line for line in self.events if line["event"] == name)

    def files(self) -> dict[str, bytes]:
        promised = json.dumps(self.promised, indent=1).encode()
        started = {"promised_sha256": hashlib.sha256(promised).hexdigest()}
        begun = [{"t": BEGIN, "event": "drill-started", "step": None, "detail": started}]
        return {
            "promised.json": promised,
            "requests.jsonl": lines(self.requests),
            "writability.jsonl": lines(self.writability),
            "events.jsonl": lines([*begun, *self.events]),
            "final.jsonl": lines(self.final),
            "markers.jsonl": lines(self.markers),
            "kept.jsonl": lines(self.kept),
            "steps.jsonl": lines(self.steps),
            "steady.jsonl": lines(self.steady),
            "silence.json": json.dumps(self.silence).encode(),
            "clocks.json": json.dumps(self.clocks).encode(),
            "limitations.json": json.dumps(self.limitations).encode(),
            "approvals.json": json.dumps(self.approvals).encode(),
        }

    def result(self) -> DrillResult:
        return recompute(read_records(self.files()))


def thin_story() -> Story:
    """Return a passed drill with little traffic, for tests that need many."""
    return Story(requests=traffic(THIN), writability=samples(2))


STORES = {"dc1": "store-dc1", "dc2": "store-dc2"}
LOST_BEFORE = 2.0
"""Documents acknowledged in the last two seconds before the fault had not been copied yet."""


def marker(number: int, t0: float) -> Line:
    site = site_at(t0)
    line: Line = {"t0": t0, "t1": t0 + (0.04 if site else 1.5), "workload": "documents", "id": f"m-{number}"}
    return line | {"outcome": "ok" if site else "failed", "node": STORES[site] if site else None}


def marked_story() -> Story:
    """Return a passed drill on an estate that keeps documents too, some of which were lost within their RPO."""
    told = thin_story()
    told.promised["nodes"] = {**NODES, "store-dc1": "dc1", "store-dc2": "dc2"}
    promised = {"name": "documents", "arm": "marker", "rto_s": 60.0, "rpo_s": 15.0, "mtpd_s": 86400.0}
    told.promised["workloads"] = [*told.promised["workloads"], promised | {"writers": list(STORES.values())}]
    told.promised["fault_hosts"] = [*told.promised["fault_hosts"], "store-dc1"]
    told.silence["hosts"] = told.promised["fault_hosts"]
    for sample in [line for line in told.writability if line["workload"] == "billing"]:
        told.writability.append(sample | {"workload": "documents", "node": sample["node"].replace("db", "store")})
    told.writability.sort(key=lambda line: line["t"])
    told.markers = [marker(number, TRAFFIC + number / 2) for number in range(int((STOPPED - TRAFFIC - 2) * 2))]
    keep_markers(told, lambda line: line["outcome"] == "ok" and not FAULT - LOST_BEFORE <= line["t1"] < FAULT)
    told.count()
    return told


def keep_markers(told: Story, there: Callable[[Line], bool]) -> None:
    """Make the final read find exactly these markers."""
    told.kept = [{"workload": "documents", "node": "store-dc1", "id": m["id"]} for m in told.markers if there(m)]
    head = {"workload": "documents", "node": "store-dc1", "read_at": READ, "rows": len(told.kept)}
    told.kept.append(head)


def lines(items: list[Line]) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in items)


def finding(result: DrillResult, rule: str) -> str:
    """Return the status of one rule."""
    return next(item.status.value for item in result.rules if item.id == rule)
