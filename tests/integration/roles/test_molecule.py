"""Each role converges, changes nothing a second time, and serves, on the hosts of a lab of its own."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[3]
ROLES = ROOT / "roles"
ESTATES = ("small", "lab")  # a role is tried on the first of them that has all its hosts
LAST = ("access",)  # it closes the doors by which the others come in
SECONDS = 300
STANDING: dict[str, set[str]] = {}  # by state directory of a lab: the roles that were tried there, and stand

pytestmark = [pytest.mark.lab, pytest.mark.timeout(SECONDS + 60)]


def in_order() -> list[str]:
    """Return every role: by the estate it needs, and in the order in which an estate is made of them."""
    text = (ROLES / "estate.yml").read_text(encoding="utf-8")
    used = list(dict.fromkeys(re.findall(r"^ +- role: ([a-z_-]+)$", text, re.MULTILINE)))
    present = sorted(folder.parent.name for folder in ROLES.glob("*/tasks"))
    made = [*(role for role in used if role in present), *(role for role in present if role not in used)]
    return sorted(made, key=lambda role: (ESTATES.index(estate_for(role)), role in LAST))


def estate_for(role: str) -> str:
    """Name the smallest estate that has every host of the role's scenario."""
    scenario = YAML(typ="safe").load(ROLES / role / "molecule" / "default" / "molecule.yml")
    wanted = {platform["name"] for platform in scenario["platforms"]}
    for estate in ESTATES:
        topology = YAML(typ="safe").load(ROOT / "inventories" / estate / "lab.yml")
        if wanted <= set(topology["hosts"]):
            return estate
    raise AssertionError(f"no estate has all of {sorted(wanted)}, which role {role} is tried on")


def stands_on(role: str) -> set[str]:
    """Name the roles whose work the role's scenario prepares before it converges."""
    prepare = ROLES / role / "molecule" / "default" / "prepare.yml"
    text = prepare.read_text(encoding="utf-8") if prepare.exists() else ""
    if "before_shop.yml" in text:
        text += (ROLES / "molecule-shared" / "before_shop.yml").read_text(encoding="utf-8")
    return set(re.findall(r"^ +- role: ([a-z_-]+)$", text, re.MULTILINE))


@contextmanager
def lab_for(estate: str, state: Path) -> Iterator[Mapping[str, str]]:
    cache = os.environ.get("SECONDSITE_CACHE", "/var/cache/secondsite")
    names = {"SECONDSITE_LAB": f"{estate[0]}roles{os.getpid() % 10000}", "SECONDSITE_STATE": str(state)}
    folder = str(ROOT / "inventories" / estate)
    environment = {**os.environ, **names, "SECONDSITE_CACHE": cache, "SECONDSITE_ESTATE": folder}
    up = subprocess.run([str(ROOT / "secondsite"), "lab", "up"], env=environment, check=False, timeout=900)
    try:
        assert up.returncode == 0
        yield environment
    finally:
        subprocess.run([str(ROOT / "secondsite"), "lab", "down"], env=environment, check=False, timeout=120)


@pytest.fixture(scope="module")
def environment_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Mapping[str, str]]]:
    """Give a lab of the estate asked for; it stands until another one is asked for."""
    standing: dict[str, Mapping[str, str]] = {}
    with ExitStack() as labs:

        def environment(estate: str) -> Mapping[str, str]:
            if estate not in standing:
                labs.close()
                standing.clear()
                standing[estate] = labs.enter_context(lab_for(estate, tmp_path_factory.mktemp(estate)))
            return standing[estate]

        yield environment


def in_due_time(role: str) -> Any:
    """Try a role that needs seventeen hosts every night: beside everything else two cores are too slow for them."""
    return pytest.param(role, marks=[pytest.mark.nightly] if estate_for(role) == "lab" else [])


@pytest.mark.parametrize("role", [in_due_time(role) for role in in_order()])
def test_a_role_converges_is_idempotent_and_serves(
    role: str, environment_of: Callable[[str], Mapping[str, str]]
) -> None:
    environment = environment_of(estate_for(role))
    standing = STANDING.setdefault(environment["SECONDSITE_STATE"], set())
    tried = subprocess.run(
        [str(ROLES / "molecule-shared" / "run"), *(["--standing"] if stands_on(role) <= standing else []), role],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    log = Path(environment["SECONDSITE_STATE"]) / f"molecule-{role}.log"
    assert tried.returncode == 0, log.read_text(errors="replace")[-4000:] if log.exists() else tried.stderr[-4000:]
    assert re.search(r"proofs: [1-9]", tried.stdout), tried.stdout
    standing.add(role)
