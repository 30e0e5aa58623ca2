"""Deleted stays deleted: what makes the check red, that silence is no good news, and what a keeper's disk tells."""

from __future__ import annotations

import datetime as dt
import importlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from tests.unit.checks.estates import BY_ID

from secondsite.checks.absence import KEEPERS_PORT
from secondsite.checks.model import Result, Section, State, World
from secondsite.checks.rules.erasures import AUDIT
from secondsite.checks.rules.frame import judged
from secondsite.estate.load import load_estate
from secondsite.estate.model import HostName
from secondsite.probes.remote.collectors import erasures as collector
from secondsite.probes.remote.collectors.common import Unreadable

ROOT = Path(__file__).parents[3]
FULL = load_estate(ROOT / "inventories" / "lab")
NOW = dt.datetime(2026, 11, 30, 12, tzinfo=dt.UTC)
KEEPERS = ("ops-dc1", "ops-dc2", "vault")
GONE = "519734e4-1b8e-4624-abf7-17232fa8f0fd"
CLEAN: dict[str, Any] = {"present": [], "missing": {}, "unrecorded": [], "unheard": {}}
CLEAN |= {"keys": dict.fromkeys(KEEPERS, ()), "in_force": {"erased": 1, "legal-hold": 0}, "refused": 0}
LEADING = {"trouble": "", "leads": True, "ledger": True, **CLEAN}
STANDBY = {"trouble": "", "leads": False, "ledger": True}
STORE: dict[str, Any] = {"trouble": "", "erased": []}


def well(name: str) -> dict[str, Any]:
    others = [one for one in KEEPERS if one != name]
    return {
        "now": 1000.0,
        "keeper": f"chain of {name}",
        "trouble": "",
        "entries": [["e1", 1.0, 500.0, "held"], ["e2", 2.0, 990.0, "erased"]],
        "digests": [f"{name} 1", f"{name} 2"],
        "seen": {one: {"keeper": f"chain of {one}", "number": 2, "head": f"{one} 2"} for one in others},
        "heard": {one: {"ago": 1.0, "trouble": ""} for one in others},
        "live": [],
    }


def verdict(keepers: Mapping[str, Any] | None = None, asked: Mapping[str, Any] | None = None) -> Result:
    hosts = {HostName(name): {"ledger": Section(value=well(name))} for name in KEEPERS}
    for name, facts in (keepers or {}).items():
        told = facts if isinstance(facts, Section) else Section(value={**well(name), **facts})
        hosts[HostName(name)] = {"ledger": told}
    answers = {"db-dc1": LEADING, "db-dc2": STANDBY, "store-dc1": STORE, "store-dc2": STORE, **(asked or {})}
    world = World(estate=FULL, now=NOW, hosts=hosts, outside={AUDIT: Section(value=answers)})
    return judged(BY_ID["DATA-ERASURE"], world)


def test_a_whole_ledger_and_nobody_who_came_back_is_as_it_should_be() -> None:
    result = verdict()
    assert result.state is State.PASSED, result.saw
    assert "2 entries at ops-dc1, ops-dc2, vault" in result.saw
    assert "none of 1 erased accounts" in result.saw


BROKEN = {"trouble": "00000001.json was edited", "entries": [], "digests": []}


@pytest.mark.parametrize(
    ("keepers", "asked", "cause"),
    [
        pytest.param({"vault": BROKEN}, {}, "vault: the ledger is broken", id="an edited record"),
        pytest.param(
            {"vault": {"entries": well("vault")["entries"][:1], "digests": ["vault 1"]}},
            {},
            "the ledger at vault was cut off: ops-dc1 saw 2 records, and 1 are left",
            id="a chain that was cut off",
        ),
        pytest.param(
            {"vault": {"digests": ["vault 1", "other"]}}, {}, "record 2 of the ledger at vault", id="another end"
        ),
        pytest.param(
            {"vault": {"entries": well("vault")["entries"][1:]}}, {}, "1 entries of the ledger are missing", id="a gap"
        ),
        pytest.param(
            {"ops-dc1": {"heard": {**well("ops-dc1")["heard"], "vault": {"ago": 61.0, "trouble": "timed out"}}}},
            {},
            "ops-dc1 has not read the ledger at vault for 61 s: timed out",
            id="a keeper that is not read",
        ),
        pytest.param(
            {"ops-dc1": {"heard": {**well("ops-dc1")["heard"], "vault": {"ago": None, "trouble": "refused"}}}},
            {},
            "has not read the ledger at vault ever",
            id="a keeper that was never read",
        ),
        pytest.param({"ops-dc2": {"live": [GONE]}}, {}, "ops-dc2 has the key of 1 account", id="a key that is back"),
        pytest.param(
            {}, {"db-dc1": {**LEADING, "present": [GONE]}}, "in the database again", id="a person who is back"
        ),
        pytest.param(
            {}, {"db-dc1": {**LEADING, "missing": {GONE: ["hold"]}}}, "not in force", id="a hold that is gone"
        ),
        pytest.param({}, {"db-dc1": {**LEADING, "unrecorded": [GONE]}}, "does not know", id="a hold without an entry"),
        pytest.param({}, {"db-dc1": {**LEADING, "unheard": {"vault": "timed out"}}}, "vault does not", id="no vault"),
        pytest.param({}, {"db-dc1": {**LEADING, "ledger": False}}, "is not told who keeps", id="a database untold"),
        pytest.param({}, {"store-dc2": {**STORE, "erased": [GONE]}}, "store-dc2 keeps files", id="files at a store"),
    ],
)
def test_whatever_comes_back_or_is_lost_is_named(keepers: Any, asked: Any, cause: str) -> None:
    result = verdict(keepers, asked)
    assert result.state is State.FAILED
    assert cause in result.saw


@pytest.mark.parametrize(
    ("keepers", "asked"),
    [
        pytest.param({"vault": Section(trouble="no answer")}, {}, id="a keeper's host"),
        pytest.param({"vault": {"heard": {}}}, {}, id="whom a keeper hears"),
        pytest.param({}, {"db-dc1": {"trouble": "timed out"}}, id="the database that leads"),
        pytest.param({}, {"db-dc1": STANDBY}, id="who leads"),
        pytest.param({}, {"db-dc1": {"trouble": "", "leads": True, "ledger": True}}, id="all of an audit"),
        pytest.param({}, {"store-dc1": {"trouble": "gone"}}, id="a store"),
    ],
)
def test_what_can_not_be_told_is_not_passed(keepers: Any, asked: Any) -> None:
    assert verdict(keepers, asked).state is State.UNKNOWN


def test_what_came_in_a_moment_ago_may_still_be_on_its_way() -> None:
    late = well("vault")
    short = {"entries": late["entries"][:1], "digests": ["vault 1"]}
    behind = {
        "seen": {**well("ops-dc1")["seen"], "vault": {"keeper": "chain of vault", "number": 1, "head": "vault 1"}}
    }
    other = {"seen": {**well("ops-dc2")["seen"], "vault": {"keeper": "chain of vault", "number": 1, "head": "vault 1"}}}
    assert verdict({"vault": short, "ops-dc1": behind, "ops-dc2": other}).state is State.PASSED


def test_a_new_machine_begins_a_chain_of_its_own() -> None:
    assert verdict({"ops-dc2": {"keeper": "a new chain", "digests": ["x", "y"]}}).state is State.PASSED


def test_the_roles_and_the_checks_mean_one_port() -> None:
    defaults = YAML(typ="safe").load(ROOT / "roles" / "erasure_ledger" / "defaults" / "main.yml")
    assert defaults["erasure_ledger_port"] == KEEPERS_PORT


# --- what a keeper's disk tells, read without the keeper's own code ---


@pytest.fixture(scope="module")
def keeping() -> Iterator[tuple[ModuleType, ModuleType]]:
    files = str(ROOT / "roles" / "erasure_ledger" / "files")
    sys.path.insert(0, files)
    yield importlib.import_module("erasures.disk"), importlib.import_module("erasures.rules")
    sys.path.remove(files)


def kept(keeping: tuple[ModuleType, ModuleType], state: Path, kinds: list[str]) -> Any:
    disk, rules = keeping
    shelf = disk.Shelf(state)
    words = [
        {"kind": kind, "subject": GONE, "at": float(at), "by": "ops", "reason": "why"}
        for at, kind in enumerate(kinds, 1)
    ]
    shelf.add([rules.entry_in(one) for one in words], now=50.0)
    return shelf


def test_the_collector_reads_what_the_keeper_wrote(keeping: Any, tmp_path: Path) -> None:
    shelf = kept(keeping, tmp_path, ["held", "erased"])
    shelf.saw("vault", {"keeper": "k", "number": 1, "head": "h"})

    told = collector.ledger({}, tmp_path, tmp_path / "none")

    assert told["trouble"] == ""
    assert told["digests"][-1] == shelf.head
    assert [one[0] for one in told["entries"]] == [entry.id for entry in shelf.entries()]
    assert told["seen"] == {"vault": {"keeper": "k", "number": 1, "head": "h"}}
    assert told["heard"] == {}
    assert told["live"] == []


@pytest.mark.parametrize(
    ("kinds", "live"),
    [
        (["erased"], [GONE]),
        (["legal-hold", "erased"], []),
        (["legal-hold", "legal-hold-lifted", "erased"], [GONE]),
        (["held"], []),
    ],
)
def test_a_key_that_lies_there_against_the_ledger_is_told(
    keeping: Any, tmp_path: Path, kinds: list[str], live: list[str]
) -> None:
    kept(keeping, tmp_path, kinds)
    (tmp_path / "keys" / GONE).mkdir(exist_ok=True)
    (tmp_path / "keys" / GONE / "age1.json").write_text("{}")

    assert collector.ledger({}, tmp_path, tmp_path / "none")["live"] == live


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(where=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_the_collector_finds_every_edited_byte(
    keeping: Any, tmp_path_factory: pytest.TempPathFactory, where: int, bit: int
) -> None:
    state = tmp_path_factory.mktemp("keeper")
    shelf = kept(keeping, state, ["held", "released", "erased"])
    path = sorted((state / "ledger").iterdir())[where % 3]
    raw = bytearray(path.read_bytes())
    raw[where % len(raw)] ^= 1 << bit
    path.write_bytes(raw)

    told = collector.ledger({}, state, state / "none")

    assert told["trouble"] or told["digests"][-1] != shelf.head


def test_a_host_without_a_ledger_tells_so(tmp_path: Path) -> None:
    with pytest.raises(Unreadable):
        collector.ledger({}, tmp_path, tmp_path)
    kept_by_others = json.dumps({"vault": {"at": 1.0, "trouble": ""}})
    (tmp_path / "told.json").write_text(kept_by_others)
    (tmp_path / "keeper").write_text("k\n")
    (tmp_path / "ledger").mkdir()
    assert collector.ledger({}, tmp_path, tmp_path / "told.json")["heard"]["vault"]["ago"] > 0
