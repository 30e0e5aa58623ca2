"""What a rule set means to a packet, read from its text alone. Words that it can't read are refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

_WORD = re.compile(r'"[^"]*"|\{[^}]*\}|[^\s{}"]+')
_CHAIN = re.compile(r"^    chain (\w+) \{\n(.*?)^    \}$", re.MULTILINE | re.DOTALL)
_BASE = re.compile(r"type filter hook (\w+) priority filter; policy (accept|drop);")
_PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "vrrp": 112}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """A packet as a host's kernel sees it."""

    iif: str
    saddr: IPv4Address
    daddr: IPv4Address
    protocol: str
    port: int = 0
    oif: str = ""
    state: str = "new"


def accepts(ruleset: str, hook: str, packet: Wire) -> bool:
    """Say whether the rule set lets the packet through a hook."""
    chains = {name: [line.strip() for line in body.splitlines()] for name, body in _CHAIN.findall(ruleset)}
    for rules in chains.values():
        base = _BASE.fullmatch(rules[0])
        if base is not None and base[1] == hook:
            verdict = _walk(rules[1:], chains, packet) or base[2]
            return verdict == "accept"
    raise AssertionError(f"no chain at {hook}")


def _walk(rules: list[str], chains: dict[str, list[str]], packet: Wire) -> str | None:
    for rule in rules:
        verdict = _judge(iter(_WORD.findall(rule)), packet)
        if verdict is not None and verdict.startswith("goto "):
            return _walk(chains[verdict.removeprefix("goto ")], chains, packet)
        if verdict is not None:
            return verdict
    return None


def _judge(words: Iterator[str], packet: Wire) -> str | None:
    """Return a rule's verdict on a packet; None: it says nothing of it."""
    verdict: str | None = None
    for word in words:
        match word:
            case "accept" | "drop":
                verdict = word
            case "goto":
                verdict = f"goto {next(words)}"
            case "counter":
                pass
            case "comment":
                next(words)
            case "ct":
                assert (next(words), next(words)) == ("state", "vmap")
                states = dict(pair.split(" : ") for pair in next(words).strip("{} ").split(", "))
                return states.get(packet.state)
            case _:
                if not _matches(word, words, packet):
                    return None
    return verdict


def _matches(word: str, words: Iterator[str], packet: Wire) -> bool:
    what = next(words)
    match word, what:
        case "iifname" | "oifname", _:
            name = packet.iif if word == "iifname" else packet.oif
            return name != next(words).strip('"') if what == "!=" else name == what.strip('"')
        case "ip", "saddr" | "daddr":
            address = packet.saddr if what == "saddr" else packet.daddr
            return any(address in IPv4Network(one) for one in _members(next(words)))
        case "tcp" | "udp", "dport":
            return packet.protocol == word and str(packet.port) in _members(next(words))
        case "meta", "l4proto":
            return str(_PROTOCOLS[packet.protocol]) == next(words)
        case "icmp" | "icmpv6", "type":
            return next(words) == "echo-request" and packet.protocol == word
        case _:
            raise AssertionError(f"can't read {word} {what}")


def _members(word: str) -> list[str]:
    return word.strip("{} ").split(", ")
