"""The roles are told what an estate declares; no word of another estate reaches its hosts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from secondsite.checks.freshness import OLDEST, OLDEST_FULL, OLDEST_PRUNE
from secondsite.errors import ConfigError
from secondsite.estate.load import load_estate
from secondsite.hands.declared import declared_variables

ROOT = Path(__file__).parents[3]
HARBOUR = load_estate(ROOT / "tests" / "end_to_end" / "second" / "harbour")


def test_the_second_estate_is_told_its_own_words_and_none_of_the_labs() -> None:
    told = declared_variables(HARBOUR)
    text = json.dumps(told)
    assert told["service_name"] == "tickets.harbour.test"
    assert told["service_home_address"] == "198.18.120.14"
    assert told["postgresql_home"] == "db-south"
    assert told["etcd_preferred_leader"] == "witness"
    assert told["service_tenant"] == "rehearsal"
    assert not [word for word in ("dc1", "dc2", "vault", "secondsite.test", "198.19.0.", "billing") if word in text]


def test_a_cluster_is_made_as_its_workload_is_declared() -> None:
    clusters = declared_variables(HARBOUR)["postgresql_clusters"]
    assert isinstance(clusters, list)
    assert [(one["scope"], one["port"], one["database"], one["synchronous"]) for one in clusters] == [
        ("ledger", 5436, "ledger", True)
    ]


def test_no_roles_variable_names_an_estates_host_site_or_domain() -> None:
    files = (ROOT / "roles" / "group_vars").rglob("*.yml")
    found = [
        f"{file.name}: {word}"
        for file in files
        for word in ("dc1", "dc2", "secondsite.test", "198.1")
        if word in file.read_text()
    ]
    assert not found


def test_an_estate_whose_manager_is_not_declared_is_refused() -> None:
    with pytest.raises(ConfigError, match="who manages the hosts"):
        declared_variables(replace(HARBOUR, firewall=None))


def test_who_pages_a_person_judges_by_the_ages_that_the_check_judges_by() -> None:
    paging = declared_variables(load_estate(ROOT / "inventories" / "lab"))["paging"]

    assert isinstance(paging, dict)
    ages = {**OLDEST, "full": OLDEST_FULL, "prune": OLDEST_PRUNE}
    assert paging["oldest"] == {job: age.total_seconds() for job, age in ages.items()}
    assert paging["persons"] == ["lab-deputy-1@oncall.secondsite.test", "lab-approver-1@oncall.secondsite.test"]
    assert paging["jobs"]["ops-dc1"] == ["files", "names"]
    assert ["databases", "billing"] in paging["wanted"]


def test_an_estate_without_paging_tells_its_roles_nothing_of_it() -> None:
    assert "paging" not in declared_variables(HARBOUR)
