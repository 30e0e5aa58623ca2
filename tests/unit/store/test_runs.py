"""A run is compared with the estate's files as they are now, by its own copy of its runbook."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from secondsite.estate.load import load_estate
from secondsite.plan.differences import differences, places_of
from secondsite.plan.load import load_plan
from secondsite.sim.world import SimulatedClock
from secondsite.store.folders import RunFolder
from secondsite.store.runs import RunStore

ROOT = Path(__file__).parents[3]


class Project:
    """A project of its own, with an estate, a runbook, and a run begun with both."""

    def __init__(self, place: Path) -> None:
        self.estate, self.runbooks = place / "estate", place / "runbooks"
        shutil.copytree(ROOT / "inventories" / "small", self.estate)
        shutil.copytree(ROOT / "runbooks", self.runbooks)
        self.store = RunStore(
            place / "state", root=place, clock=SimulatedClock(), estate_now=lambda: load_estate(self.estate)
        )
        self.begun = load_estate(self.estate)
        plan = load_plan("failover", directory=self.runbooks, root=place, estate=self.begun, origin="dc1", target="dc2")
        self.folder: RunFolder = self.store.folders.make_for(plan, root=place)

    def told(self) -> list[str]:
        present = self.store.as_it_is_now(self.folder)
        return list(differences(self.folder.plan(), places_of(self.begun), present))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_nothing_differs_when_nothing_was_edited_and_comments_and_runbooks_are_no_difference(project: Project) -> None:
    assert project.told() == []
    edit(project.estate / "estate.yml", "name: small", "name: small  # a comment")
    (project.runbooks / "failover.py").write_text("no Python")
    assert project.told() == []


def test_an_address_edited_under_a_run_is_told(project: Project) -> None:
    hosts = project.estate / "hosts.yml"
    address = str(project.begun.hosts[next(name for name in project.begun.hosts if name == "db-dc2")].management)
    edit(hosts, address, "198.19.0.250")
    (line,) = project.told()
    assert f"host db-dc2 was at dc2, managed at {address}" in line
    assert "198.19.0.250" in line


def test_an_estate_that_can_not_be_read_now_is_told(project: Project) -> None:
    (project.estate / "estate.yml").write_text("name: [\n")
    (line,) = project.told()
    assert line.startswith("the estate as it is now can't be compared: ")
