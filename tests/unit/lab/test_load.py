"""The topology file: read strictly, every problem told with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from secondsite.errors import ConfigError, UsageError
from secondsite.lab.load import load_topology

LAB = Path(__file__).parents[3] / "inventories" / "small"
SMALL = """\
control: 10.9.0.1/24
sites:
  one: 10.1.0.0/24
hosts:
  alpha:
    site: one
    address: 10.1.0.5
    management: 10.9.0.5
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "lab.yml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_labs_topology_has_nine_hosts_and_three_durable_disks() -> None:
    topology = load_topology(LAB / "lab.yml")
    assert len(topology.hosts) == 9
    assert [name for name, host in topology.hosts.items() if host.disk] == ["db-dc1", "db-dc2", "vault"]
    assert [carrier.name for carrier in topology.carriers] == ["carrier-a", "carrier-b"]


def test_the_inventory_beside_it_gives_every_host_the_same_addresses() -> None:
    topology = load_topology(LAB / "lab.yml")
    inventory = YAML(typ="safe", pure=True).load((LAB / "hosts.yml").read_text(encoding="utf-8"))
    listed = {
        name: values
        for group in inventory["all"]["children"].values()
        for name, values in group["hosts"].items()
        if values
    }
    assert set(listed) == set(topology.hosts)
    for name, host in topology.hosts.items():
        assert listed[name]["ansible_host"] == str(host.management.ip)
        assert listed[name]["site"] == host.site
        if not host.carrier:
            assert listed[name]["address"] == str(host.addresses[host.site].ip)


def test_a_small_topology_is_read(tmp_path: Path) -> None:
    topology = load_topology(written(tmp_path, SMALL))
    assert str(topology.hosts["alpha"].addresses["one"]) == "10.1.0.5/24"


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        pytest.param("site: one", "site: two", 5, "not among the sites", id="unknown site"),
        pytest.param("address: 10.1.0.5", "address: 10.2.0.5", 5, "not in the LAN", id="address outside its LAN"),
        pytest.param("management: 10.9.0.5", "management: 10.8.0.5", 5, "not in 10.9.0.0/24", id="management outside"),
        pytest.param("    address: 10.1.0.5\n", "", 5, "either an address", id="neither host nor carrier"),
        pytest.param("site: one", "site: one\n    colour: red", 7, "Extra inputs", id="unknown key"),
        pytest.param("10.1.0.5", "ten", 7, "valid IPv4", id="no address"),
        pytest.param("site: one", "site: one\n    site: one", 7, "duplicate key", id="duplicate key"),
        pytest.param("one: 10.1.0.0/24", "one: &a 10.1.0.0/24", None, "anchors", id="anchor"),
        pytest.param("alpha:", "a$(reboot):", None, "host name", id="hostile host name"),
        pytest.param("management: 10.9.0.5", "management: 10.9.0.1", None, "used twice", id="address twice"),
        pytest.param(
            "sites:\n  one: 10.1.0.0/24", "sites:\n  one: 10.0.0.0/8", None, "overlaps", id="networks overlap"
        ),
    ],
)
def test_a_wrong_topology_is_refused_and_the_place_is_told(
    tmp_path: Path, old: str, new: str, line: int | None, said: str
) -> None:
    with pytest.raises(ConfigError) as refusal:
        load_topology(written(tmp_path, SMALL.replace(old, new)))
    assert said in str(refusal.value)
    assert [problem.line for problem in refusal.value.problems] == [line]


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = SMALL.replace("10.1.0.5", "ten").replace("10.9.0.5", "nine").replace("site: one", "site: [1]")
    with pytest.raises(ConfigError) as refusal:
        load_topology(written(tmp_path, text))
    assert len(refusal.value.problems) == 3


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.yml"):
        load_topology(tmp_path / "nowhere.yml")


FULL = LAB.with_name("lab")


def test_the_full_lab_has_seventeen_hosts_and_its_edges_a_leg_to_each_carrier() -> None:
    topology = load_topology(FULL / "lab.yml")
    assert len(topology.hosts) == 17
    assert {name: str(leg) for name, leg in topology.hosts["edge2-dc2"].addresses.items()} == {
        "dc2": "198.18.2.3/24",
        "a-dc2": "198.18.21.3/29",
        "b-dc2": "198.18.22.3/29",
    }


def test_a_carrier_stands_in_its_own_transit_networks_and_never_in_the_lan_behind_edges() -> None:
    topology = load_topology(FULL / "lab.yml")
    assert {name: str(leg.ip) for name, leg in topology.hosts["carrier-b"].addresses.items()} == {
        "vault": "198.18.3.2",
        "customers": "198.18.4.2",
        "hq": "198.18.5.2",
        "b-dc1": "198.18.12.1",
        "b-dc2": "198.18.22.1",
        "exchange": "198.18.31.2",
    }


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ("transits:\n  t: {network: 10.2.0.0/29, carrier: alpha, site: one}\n", "no link from 'alpha' to 'one'"),
        ("gateways:\n  one: 10.7.0.1\n", "10.7.0.1 is in no LAN of 'one'"),
        ("gateways:\n  one: 10.1.0.5\n", "address 10.1.0.5 of alpha is used twice"),
        ("exchange: 10.1.0.0/29\n", "overlaps another"),
        ("ducts:\n  d: [{carrier: alpha, site: one}]\n", "duct d names the link alpha one, which there is not"),
    ],
)
def test_what_cannot_be_plugged_in_is_refused(tmp_path: Path, more: str, what: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_topology(written(tmp_path, SMALL + more))
    assert any(what in problem.what for problem in refused.value.problems)
