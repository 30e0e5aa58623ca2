"""What a carrier's isolation table enforces, read from what ``nft -j`` lists: the kernel's word, not what was sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Network

TABLE = "secondsite_isolation"
SET = "fenced"
_RAW_PRIORITY = -300


def networks_dropped(items: Sequence[Mapping[str, object]]) -> tuple[IPv4Network, ...]:
    """Return the fenced networks if the table enforces them, else none: a set that no rule uses fences nothing."""
    if not drops_both_ways(items):
        return ()
    return tuple(network for item in items for network in members(item.get("set")))


def drops_both_ways(items: Sequence[Mapping[str, object]]) -> bool:
    """Say whether a chain ahead of every other drops, first of all, what comes from the set and what goes to it."""
    chains = [item["chain"] for item in items if "chain" in item]
    early = {
        chain["name"]
        for chain in chains
        if isinstance(chain, dict) and chain.get("hook") == "prerouting" and int(chain.get("prio", 0)) < _RAW_PRIORITY
    }
    rules = [item["rule"] for item in items if "rule" in item]
    by_chain: dict[str, list[list[object]]] = {name: [] for name in early}
    for rule in rules:
        if isinstance(rule, dict) and rule.get("chain") in by_chain:
            by_chain[rule["chain"]].append(rule["expr"])
    return any(
        {_drop_direction(expression) for expression in expressions[:2]} == {"saddr", "daddr"}
        for expressions in by_chain.values()
    )


def _drop_direction(expression: list[object]) -> str | None:
    """Return saddr or daddr for a rule that is exactly: match the set, (count,) drop."""
    parts = [part for part in expression if isinstance(part, dict) and "counter" not in part]
    match parts:
        case [
            {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": str(side)}}, "right": right}},
            last,
        ]:
            return side if right == f"@{SET}" and last == {"drop": None} else None
        case _:
            return None


def members(found: object) -> Iterator[IPv4Network]:
    """Yield the networks in what ``nft -j`` lists as the set; nothing for anything else."""
    if not isinstance(found, dict) or found.get("name") != SET:
        return
    for element in found.get("elem", []):
        value = (
            element.get("elem", {}).get("val", element) if isinstance(element, dict) and "elem" in element else element
        )
        match value:
            case {"prefix": {"addr": str(address), "len": int(length)}}:
                yield IPv4Network(f"{address}/{length}")
            case str(address):
                yield IPv4Network(address)
            case _:
                continue
