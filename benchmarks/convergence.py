"""How long customers, and the sites among each other, notice that a link, a duct or an edge is gone.

    PYTHONPATH=src python benchmarks/convergence.py [--estate DIR] [WORD ...]

As root, on a lab that is up and provisioned; SECONDSITE_LAB and SECONDSITE_STATE say which. WORDs: only what they name.

Each link of a datacenter, each duct, and the serving edge of each datacenter is cut in turn, and repaired. Meanwhile
new connections are tried every 10 ms from the customers to the web host of each datacenter, and from one database
host to the other through the tunnels. The gap spans the first to the last connection that got no answer. The links
found dead behind a duct are compared with what the estate declares.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from secondsite.estate.load import load_estate
from secondsite.lab.faults import LabInjector
from secondsite.lab.load import load_topology
from secondsite.lab.model import LabSettings, Link, Topology
from secondsite.lab.probing import Knocker, outage
from secondsite.lab.rules import leg_of
from secondsite.lab.wires import outer_ends

GOAL_S = 1.0
WATCH_S = 4.0
SETTLE_S = 8.0
STEADY_S = 2.0
PROJECT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One thing that can be lost: how to take it away and how to give it back."""

    name: str
    cut: Callable[[], object]
    mend: Callable[[], object]
    links: frozenset[str] | None = None


@contextlib.contextmanager
def knocking(settings: LabSettings, topology: Topology) -> Iterator[Mapping[str, Knocker]]:
    one, other, far = (str(topology.hosts[name].addresses[name[-3:]].ip) for name in ("web-dc1", "web-dc2", "db-dc2"))
    with contextlib.ExitStack() as stack:
        yield {
            "customers to dc1": stack.enter_context(Knocker(settings, source="customers", address=one, port=443)),
            "customers to dc2": stack.enter_context(Knocker(settings, source="customers", address=other, port=443)),
            "dc1 to dc2": stack.enter_context(Knocker(settings, source="db-dc1", address=far, port=5432)),
        }


def require_steady(knockers: Mapping[str, Knocker]) -> None:
    """End when a way is not even there while nothing is cut: its gaps would say nothing about what is cut."""
    now = time.monotonic()
    for way, knocker in knockers.items():
        found = outage(knocker.knocks, since=now - STEADY_S + 0.5, until=now - 0.5)
        if found.lost:
            sys.exit(f"{way}: {found.lost} of {found.knocks} connections failed before anything was cut")


def elements(injector: LabInjector, topology: Topology, declared: Mapping[str, frozenset[str]]) -> Iterator[Element]:
    for link in topology.links:
        if link.site.startswith("dc"):
            yield Element(
                name=f"link {link}",
                cut=lambda link=link: injector.cut_link(link.carrier, link.site),  # type: ignore[misc]
                mend=lambda link=link: injector.repair_link(link.carrier, link.site),  # type: ignore[misc]
            )
    for duct in topology.ducts:
        yield Element(
            name=f"duct {duct}",
            cut=lambda duct=duct: injector.cut_duct(duct),  # type: ignore[misc]
            mend=lambda duct=duct: injector.repair_duct(duct),  # type: ignore[misc]
            links=declared.get(duct, frozenset()),
        )
    for edge in [host.name for host in topology.hosts.values() if host.edge and "1" in host.name.partition("-")[0]]:
        yield Element(
            name=f"edge {edge}",
            cut=lambda edge=edge: injector.cut_power([edge]),  # type: ignore[misc]
            mend=lambda edge=edge: injector.restore_power([edge]),  # type: ignore[misc]
        )


def lose(
    element: Element, settings: LabSettings, topology: Topology, knockers: Mapping[str, Knocker]
) -> tuple[dict[str, float], frozenset[str]]:
    """Take one element away and give it back; return the longest gap on each way, and the links found dead."""
    begun = time.monotonic()
    element.cut()
    try:
        time.sleep(WATCH_S)
        ends = outer_ends(settings)
        dead = frozenset(str(link) for link in topology.links if not ends[_end(topology, link)])
    finally:
        cut_until = time.monotonic()
        element.mend()
    time.sleep(SETTLE_S)
    now = time.monotonic()
    gaps = {}
    for way, knocker in knockers.items():
        lost, found = (
            outage(knocker.knocks, since=a, until=b) for a, b in ((begun, cut_until), (cut_until, now - 0.5))
        )
        gaps[way] = max(lost.seconds, found.seconds)
    return gaps, dead


def _end(topology: Topology, link: Link) -> str:
    return leg_of(topology, link.carrier, link.site).outer_name


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--estate", type=Path, default=PROJECT / "inventories" / "lab")
    words.add_argument("words", metavar="WORD", nargs="*")
    asked = words.parse_args()
    directory = asked.estate.absolute()
    state = Path(os.environ.get("SECONDSITE_STATE", f"/var/lib/secondsite/{directory.name}"))
    settings = LabSettings(
        instance=os.environ.get("SECONDSITE_LAB", "ss"), state=state, topology=directory / "lab.yml",
        cache=Path(os.environ.get("SECONDSITE_CACHE", "/var/cache/secondsite")),
    )  # fmt: skip
    only = " ".join(asked.words)
    topology, injector, figures = load_topology(settings.topology), LabInjector(settings), []
    declared: dict[str, frozenset[str]] = {}
    for link in load_estate(directory).links:
        if link.duct is not None:
            declared[link.duct] = declared.get(link.duct, frozenset()) | {f"{link.carrier} {link.site}"}
    with knocking(settings, topology) as knockers:
        time.sleep(STEADY_S)
        require_steady(knockers)
        for element in elements(injector, topology, declared):
            if not element.name.startswith(only):
                continue
            gaps, dead = lose(element, settings, topology, knockers)
            as_declared = element.links is None or dead == element.links
            for way, gap in gaps.items():
                figures.append({
                    "what": f"{element.name} lost and found: {way}", "value": round(gap, 3), "unit": "s",
                    "baseline": None, "ratio": None, "goal": GOAL_S, "met": gap <= GOAL_S and as_declared,
                })  # fmt: skip
                print(f"{figures[-1]['what']:<56} {gap:>8.3f} s   met {figures[-1]['met']}", flush=True)
            if not as_declared:
                print(
                    f"{element.name}: NOT as declared: {sorted(dead)} are dead, declared {sorted(element.links or ())}"
                )
    print(json.dumps({"benchmark": "convergence", "figures": figures}))
    return 0 if all(figure["met"] for figure in figures) else 3


if __name__ == "__main__":
    sys.exit(main())
