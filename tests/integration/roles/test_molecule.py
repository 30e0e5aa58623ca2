"""Each role converges, changes nothing a second time, and serves, on the hosts of a lab of its own."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ROLES = ROOT / "roles"
INSTANCE = f"roles{os.getpid() % 10000}"
SECONDS = 300

pytestmark = [pytest.mark.lab, pytest.mark.timeout(SECONDS + 60)]


def in_order() -> list[str]:
    """Return every role, in the order in which an estate is made of them."""
    text = (ROLES / "estate.yml").read_text(encoding="utf-8") if (ROLES / "estate.yml").exists() else ""
    used = list(dict.fromkeys(re.findall(r"^ +- role: ([a-z-]+)$", text, re.MULTILINE)))
    present = sorted(folder.parent.name for folder in ROLES.glob("*/tasks"))
    return [*(role for role in used if role in present), *(role for role in present if role not in used)]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    cache = os.environ.get("SECONDSITE_CACHE", "/var/cache/secondsite")
    state = tmp_path_factory.mktemp("roles")
    names = {"SECONDSITE_LAB": INSTANCE, "SECONDSITE_STATE": str(state), "SECONDSITE_CACHE": cache}
    environment = {**os.environ, **names}
    up = subprocess.run([str(ROOT / "secondsite"), "lab", "up"], env=environment, check=False, timeout=900)
    try:
        assert up.returncode == 0
        yield environment
    finally:
        subprocess.run([str(ROOT / "secondsite"), "lab", "down"], env=environment, check=False, timeout=120)


@pytest.mark.parametrize("role", in_order())
def test_a_role_converges_is_idempotent_and_serves(role: str, environment: Mapping[str, str]) -> None:
    assert list((ROLES / role).glob("molecule/*/molecule.yml")), f"{role} has no molecule scenario"

    tried = subprocess.run(
        [str(ROLES / "molecule-shared" / "run"), role],
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
