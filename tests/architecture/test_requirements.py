"""What is installed is what was locked, and nothing says where it came from."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import cast

import pytest
from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = ("3.11", "3.12", "3.13")
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))


def pins(lock: str, python: str) -> dict[str, Version]:
    """Return what a lock installs on one version of Python, by name."""
    here: dict[str, str | AbstractSet[str]] = {
        **cast("dict[str, str]", default_environment()),
        "python_version": python,
        "python_full_version": f"{python}.0",
    }
    pattern = r"^([A-Za-z0-9._-]+)==(\S+?)(?: ; (.+?))? \\$"
    found = re.findall(pattern, (ROOT / "requirements" / lock).read_text("utf-8"), re.MULTILINE)
    return {
        canonicalize_name(name): Version(version)
        for name, version, marker in found
        if not marker or Marker(marker).evaluate(here)
    }


def wanted(*extras: str) -> list[Requirement]:
    words = [*PROJECT["dependencies"], *(word for extra in extras for word in PROJECT["optional-dependencies"][extra])]
    return [Requirement(word) for word in words]


@pytest.mark.parametrize("requirement", wanted("fast", "dev"), ids=str)
def test_every_dependency_has_a_floor(requirement: Requirement) -> None:
    assert any(part.operator in {">=", "=="} for part in requirement.specifier)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(("lock", "extras"), [("main.lock", ["fast"]), ("dev.lock", ["fast", "dev"])])
def test_every_dependency_is_in_the_lock_at_an_allowed_version(lock: str, extras: list[str], python: str) -> None:
    locked = pins(lock, python)

    for requirement in wanted(*extras):
        version = locked.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} is not in {lock}: ./requirements/compile"
        assert requirement.specifier.contains(version, prereleases=True), requirement


@pytest.mark.parametrize("python", PYTHONS)
def test_an_environment_made_for_tests_also_runs_the_product(python: str) -> None:
    main, dev = pins("main.lock", python), pins("dev.lock", python)

    assert {name: dev.get(name) for name in main} == main


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_pins_every_package_with_hashes_and_names_no_host(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[A-Za-z0-9])", text)[1:]

    assert entries
    assert all(re.match(r"[A-Za-z0-9._-]+==", entry) and "--hash=sha256:" in entry for entry in entries)
    assert not re.search(r"://|--(extra-)?index-url|--find-links|@ ", text)


@pytest.mark.parametrize("lock", ["main.lock", "dev.lock"])
def test_every_python_runs_the_one_ansible_that_provisioning_was_tried_on(lock: str) -> None:
    assert len({pins(lock, python)["ansible-core"] for python in PYTHONS}) == 1
