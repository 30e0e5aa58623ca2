"""The kernel takes every rule set that is made, as it is written."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from tests.unit.estate.test_firewall import estate_with, firewalls

from secondsite.estate.load import load_estate
from secondsite.estate.model import Firewall
from secondsite.estate.nftables.rules import rulesets
from secondsite.probes.flows.witness import table

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.lab  # nft needs root


def loaded(text: str) -> subprocess.CompletedProcess[str]:
    """Load a rule set into a network namespace that ends with this call."""
    argv = ["unshare", "--net", "nft", "--file", "-"]
    return subprocess.run(argv, input=text, text=True, capture_output=True, check=False, timeout=20)


@pytest.mark.parametrize("directory", sorted(path.parent for path in ROOT.glob("inventories/*/estate.yml")), ids=str)
def test_every_rule_set_of_every_estate_here_is_taken(directory: Path) -> None:
    for host, text in rulesets(load_estate(directory)).items():
        came = loaded(text)
        assert came.returncode == 0, f"{host}: {came.stderr}"


@settings(max_examples=25, deadline=None)
@given(firewall=firewalls())
def test_the_rule_sets_of_any_declaration_are_taken(firewall: Firewall) -> None:
    came = loaded("\n".join(rulesets(estate_with(firewall)).values()))

    assert came.returncode == 0, came.stderr


def test_what_remembers_packets_is_taken_again_and_again() -> None:
    assert loaded(table() * 2).returncode == 0


def test_what_is_no_rule_set_is_not_taken() -> None:
    assert loaded("table inet x { chain y { hasten } }").returncode != 0
