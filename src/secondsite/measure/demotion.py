"""Whether a drill saw a writer give up by itself when it was cut off alive (ADR 0005, rule 3)."""

from __future__ import annotations

from collections.abc import Iterable

from .model import Instant, Records, Writability, WritabilitySample

_CUT, _JOINED = "fault-begun", "links-restored"


def demoted_themselves(records: Records) -> frozenset[tuple[str, str]]:
    """Return each (workload, node) that could write when its site's links were cut, and gave that up by itself.

    It must have been seen, alive, to refuse writes while it was cut off; a node that nobody reached shows nothing. One
    that could write at the last poll before the links came back, or later while it had not been told anything, does
    not count either.
    """
    cut = _instant(records, _CUT)
    joined = _instant(records, _JOINED)
    if cut is None or joined is None or records.writability is None:
        return frozenset()
    by_node: dict[tuple[str, str], list[WritabilitySample]] = {}
    for sample in records.writability:
        by_node.setdefault((sample.workload, sample.node), []).append(sample)
    return frozenset(key for key, samples in by_node.items() if _gave_up(samples, cut=cut, joined=joined))


def _gave_up(samples: Iterable[WritabilitySample], *, cut: Instant, joined: Instant) -> bool:
    reached = [one for one in samples if one.state is not Writability.UNREACHABLE]
    before = [one for one in reached if one.t <= cut]
    during = [one for one in reached if one.began >= cut and one.t <= joined]
    if not before or before[-1].state is not Writability.WRITABLE or not during:
        return False
    refused = [one.state is Writability.READ_ONLY for one in during]
    first = refused.index(True) if True in refused else len(refused)
    return first < len(refused) and all(refused[first:])


def _instant(records: Records, name: str) -> Instant | None:
    return next((event.t for event in records.events or () if event.event == name), None)
