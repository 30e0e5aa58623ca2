"""A declaration that can't be meant is refused with its file, its line and what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.estate.test_load import LAB, lines_of, problems_of, write_estate

PING = "{name: x, from: [customers], to: [shop], services: [https]}"
LAST = "  flows:\n"

# what was there, what stands there instead, what the message says, and its hint
CASES = [
    pytest.param("to: [shop], services: [https]", "to: [shops], services: [https]", "zone 'shops', which is not",
                 "shop", id="unknown target zone"),
    pytest.param("from: [customers, operators", "from: [costumers, operators", "zone 'costumers', which is not",
                 "customers", id="unknown source zone"),
    pytest.param("to: [shop], services: [https]", "to: [shop], services: [gopher]", "service 'gopher', which is not",
                 "https", id="unknown service"),
    pytest.param("to: [shop], services: [https]", "to: [control], services: [https]", "leads to the controller",
                 "accepts none", id="flow to the controller"),
    pytest.param("to: [shop], services: [https]", "to: [shop], ports: [443]", "is not a known key", "schema",
                 id="unknown key"),
    pytest.param("to: [shop], services: [https]", "to: [], services: [https]", "at least 1", "", id="no target"),
    pytest.param("shop: {groups: [web]}", "shop: {groups: [webb]}", "group 'webb', which is not", "web",
                 id="unknown group"),
    pytest.param("shop: {groups: [web]}", "shop: {hosts: [web-dc9]}", "host 'web-dc9', which is not", "web-dc1",
                 id="unknown host"),
    pytest.param("shop: {groups: [web]}", "shop: {}", "has no members", "networks", id="empty zone"),
    pytest.param("shop: {groups: [web]}", "shop: {networks: [198.18.1.10]}", "not an IPv4 network", "",
                 id="address for a network"),
    pytest.param("shop: {groups: [web]}", "control: {groups: [web]}\n    shop: {groups: [web]}", "is there already",
                 "stands for", id="a second controller"),
    pytest.param("https: {tcp: [443]}", "https: {tcp: [443, 65536]}", "less than or equal to 65535", "",
                 id="port past the last"),
    pytest.param("https: {tcp: [443]}", "https: {}", "names no port", "tcp, udp", id="service without a port"),
    pytest.param("https: {tcp: [443]}", "https: {tcp: ['443']}", "valid integer", "", id="quoted port"),
    pytest.param(LAST, f"{LAST}    - {PING}\n    - {PING}\n", "a second flow is called 'x'", "", id="two flows"),
    pytest.param(LAST, LAST + "    - {name: 'x \"} accept', from: [customers], to: [shop], services: [https]}\n",
                 "should match", "", id="quotes in a flow's name"),
    pytest.param("same_site: true", "same_site: 1", "valid boolean", "",
                 id="number for a truth"),
    pytest.param("interface: oob", "interface: 'oob accept'", "should match", "", id="interface with a blank"),
    pytest.param("standing_orders:\n", "  edges: {dc1: {hosts: [web-dc2], inside: lan}}\nstanding_orders:\n",
                 "stands at dc2", "hosts.yml", id="edge at another site"),
    pytest.param("standing_orders:\n", "  edges: {dc7: {hosts: [web-dc2], inside: lan}}\nstanding_orders:\n",
                 "site 'dc7', which is not", "dc1", id="edges of an unknown site"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "what", "hint"), CASES)
def test_one_wrong_word_in_the_firewall_is_named_with_its_line_and_a_hint(
    old: str, new: str, what: str, hint: str, tmp_path: Path
) -> None:
    problems = problems_of(write_estate(tmp_path, estate=(old, new)))

    (named,) = [problem for problem in problems if what in problem.what]
    assert named.file == str(tmp_path / "estate.yml")
    assert named.pointer.startswith("/firewall/")
    assert named.line is not None
    assert any(abs(named.line - line) <= 2 for line in lines_of(LAB / "estate.yml", old.splitlines()[0]))
    assert hint in named.hint


def test_an_estate_without_a_firewall_is_refused(tmp_path: Path) -> None:
    (named,) = problems_of(write_estate(tmp_path, estate=("firewall:\n", "firewalls:\n")))[:1]

    assert "firewall" in named.pointer
