"""Firewalls and listeners: alike at both datacenters, dropping by default, and the same after a reboot."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...estate.model import Host
from ..model import Facts, Finding, Pair, World
from .frame import bad, good, host_check, pair_check, unclear

Part = Mapping[str, Any]
LONGEST_WORDS = 160
FIRST_SHORT_LIVED = 32768


def canonical(parts: Sequence[Part]) -> list[str]:
    """Return the rule set line by line, such that equal lines mean equal rules.

    Members of sets have no order. Neighbouring rules of one chain that end in the same verdict have none either.
    """
    lines: list[str] = []
    run: list[str] = []
    before: tuple[object, ...] | None = None
    for part in parts:
        rule = part.get("rule")
        kind = (rule["table"], rule["chain"], _verdict(rule)) if rule else None
        if kind != before:
            lines += sorted(run)
            run, before = [], kind
        run.append(json.dumps(_sorted_sets(part), sort_keys=True))
    return lines + sorted(run)


def _sorted_sets(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _in_any_order(one) if key in ("set", "elem") else _sorted_sets(one) for key, one in value.items()}
    return [_sorted_sets(one) for one in value] if isinstance(value, list) else value


def _in_any_order(value: Any) -> Any:
    if isinstance(value, list):
        return sorted((_sorted_sets(one) for one in value), key=lambda one: json.dumps(one, sort_keys=True))
    return _sorted_sets(value)


def _verdict(rule: Part) -> str:
    words = [key for expression in rule.get("expr", []) for key in expression]
    return next(
        (word for word in reversed(words) if word in ("accept", "drop", "reject", "jump", "goto", "return")), ""
    )


def lacking(first: Sequence[Part], second: Sequence[Part]) -> list[str]:
    """Return what the first rule set has and the second lacks, as people read it."""
    return [readable(line) for line in (Counter(canonical(first)) - Counter(canonical(second))).elements()]


def readable(line: str) -> str:
    """Return a line of a rule set in a few words: its comment if it has one."""
    ((kind, body),) = json.loads(line).items()
    words = str(body.get("comment") or body.get("name") or json.dumps(body.get("expr", body)))
    return f"{kind} {body.get('chain', '')} {words}"[:LONGEST_WORDS]


def _saved(facts: Facts) -> Sequence[Part] | str:
    saved = facts["firewall"]["saved"]
    return str(saved["trouble"]) if isinstance(saved, dict) else saved


@pair_check(
    "FW-PARITY",
    reads="firewall",
    expected="twins have the same rules loaded, apart from their names and addresses",
    fix="secondsite run provision",
    commitments="C01",
    controls="DR-25",
    tags="parity firewall network",
)
def firewall_parity(pair: Pair, first: Facts, second: Facts, _: World) -> Iterator[Finding]:
    """The firewalls of both datacenters let the same through."""
    sides = (first["firewall"]["live"], second["firewall"]["live"])
    troubles = 0
    for host, has, lacks in ((pair.second, *sides), (pair.first, *reversed(sides))):
        for words in lacking(has, lacks):
            troubles += 1
            yield bad(f"{host.name} lacks: {words}", host.name, difference=f"firewall:{words.replace(' ', '-')}")
    if not troubles and canonical(sides[0]) != canonical(sides[1]):
        troubles += 1
        yield bad(f"{' and '.join(pair.names)} have the same rules in another order", *pair.names)
    if not troubles:
        yield good(f"{' and '.join(pair.names)}: {len(sides[0])} parts", *pair.names)


@host_check(
    "FW-DEFAULT",
    reads="firewall",
    expected="a chain at input drops whatever no rule accepts",
    fix="secondsite run provision",
    commitments="C01",
    controls="DR-25",
    tags="firewall network",
)
def firewall_default(host: Host, facts: Facts, _: World) -> Iterator[Finding]:
    """Every host drops what is not declared; carriers, which carry everybody's packets, apart."""
    if "carrier" in host.groups:
        return
    chains = [part["chain"] for part in facts["firewall"]["live"] if "chain" in part]
    entries = [chain for chain in chains if chain.get("hook") == "input"]
    if any(chain.get("policy") == "drop" for chain in entries):
        yield good(f"{host.name} drops", host.name)
    else:
        policies = [str(chain.get("policy")) for chain in entries]
        yield bad(f"{host.name}: policies at input: {', '.join(policies) or 'no chain'}", host.name)


@host_check(
    "FW-PERSISTENT",
    reads="firewall units",
    expected="the rules loaded now are those the next boot would load",
    fix="on the host: systemctl reload nftables, or secondsite run provision",
    commitments="C01",
    controls="DR-25",
    tags="firewall network",
)
def firewall_persistent(host: Host, facts: Facts, _: World) -> Iterator[Finding]:
    """A reboot would not change what passes."""
    saved = _saved(facts)
    if isinstance(saved, str):
        yield unclear(f"{host.name}: {saved}", host.name)
        return
    live = _of_tables(facts["firewall"]["live"], _tables(saved))
    for words in lacking(saved, live):
        yield bad(f"{host.name}: not loaded: {words}", host.name)
    for words in lacking(live, saved):
        yield bad(f"{host.name}: loaded and not saved: {words}", host.name)
    if facts["units"].get("nftables.service", {}).get("UnitFileState") != "enabled":
        yield bad(f"{host.name}: nftables.service is not enabled", host.name)
    if canonical(saved) == canonical(live):
        yield good(f"{host.name}: {len(live)} parts", host.name)


def _tables(parts: Sequence[Part]) -> set[tuple[str, str]]:
    return {(part["table"]["family"], part["table"]["name"]) for part in parts if "table" in part}


def _of_tables(parts: Sequence[Part], tables: set[tuple[str, str]]) -> list[Part]:
    """Return the parts of these tables; others belong to whoever else loads rules, such as an isolation in force."""
    found = []
    for part in parts:
        ((kind, body),) = part.items()
        name = body.get("name") if kind == "table" else body.get("table")
        if (body.get("family"), name) in tables:
            found.append(part)
    return found


@pair_check(
    "NET-LISTENERS",
    reads="listeners",
    expected="the same programs listen on the same ports at both datacenters",
    fix="secondsite run provision",
    commitments="C01 C09",
    controls="DR-07 DR-25",
    tags="parity network services",
)
def listeners(pair: Pair, first: Facts, second: Facts, _: World) -> Iterator[Finding]:
    """Whoever answers at one datacenter answers at the other, and nobody else does."""
    mine, other = _listening(first["listeners"]), _listening(second["listeners"])
    for host, has, lacks in ((pair.second, mine, other), (pair.first, other, mine)):
        for protocol, port, program in sorted(has - lacks):
            saw = f"{host.name}: {program or 'nobody known'} does not listen on {protocol} {port} as its twin does"
            yield bad(saw, host.name, difference=f"listener:{protocol}/{port}")
    if mine == other:
        yield good(f"{' and '.join(pair.names)}: {len(mine)} listeners", *pair.names)


def _listening(told: Sequence[Mapping[str, Any]]) -> set[tuple[str, int, str]]:
    """Return who listens. A high UDP port is where somebody awaits an answer."""
    found = {(str(one["protocol"]), int(one["port"]), str(one["program"])) for one in told}
    return {one for one in found if one[0] != "udp" or one[1] < FIRST_SHORT_LIVED}


CHECKS = (listeners, firewall_parity, firewall_default, firewall_persistent)
