"""A lab of the tests' own: its name, its state, the cache it shares with every other lab of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from secondsite.lab import service
from secondsite.lab.load import load_topology
from secondsite.lab.model import LabSettings, Topology

PROJECT = Path(__file__).parents[3]
CACHE = Path(os.environ.get("SECONDSITE_CACHE", "/var/cache/secondsite"))


class On(Protocol):
    """Run a command on a host as root, over SSH from the control namespace with pinned keys."""

    def __call__(self, host: str, command: str, *, accept: tuple[int, ...] = (0,)) -> str: ...


class Secondsite(Protocol):
    """Run the product's command line against the tests' lab."""

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabSettings]:
    state = tmp_path_factory.mktemp("labtest")
    chosen = LabSettings(
        instance=f"labtest{os.getpid() % 10000}",
        state=state,
        cache=CACHE,
        topology=PROJECT / "inventories" / "small" / "lab.yml",
    )
    yield chosen
    service.down(chosen)
    for save in (CACHE / "saves").glob("labtest-*"):
        shutil.rmtree(save)


@pytest.fixture(scope="session")
def topology(settings: LabSettings) -> Topology:
    return load_topology(settings.topology)


@pytest.fixture
def standing(settings: LabSettings) -> LabSettings:
    """Start the lab, unless it stands."""
    service.up(settings, say=print)
    return settings


@pytest.fixture
def on(settings: LabSettings, topology: Topology) -> On:
    def run(host: str, command: str, *, accept: tuple[int, ...] = (0,)) -> str:
        ssh = ["ssh", "-i", str(settings.key), "-o", f"UserKnownHostsFile={settings.known_hosts}"]
        strict = ["-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5"]
        done = subprocess.run(
            ["nsenter", f"--net=/run/netns/{settings.control}", *ssh, *strict,
             f"root@{topology.hosts[host].management.ip}", "--", command],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode in accept, f"{host}: {command}: {done.returncode}: {done.stderr}"
        return done.stdout

    return run


def environment(settings: LabSettings) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(PROJECT / "src"),
        "SECONDSITE_LAB": settings.instance,
        "SECONDSITE_STATE": str(settings.state),
        "SECONDSITE_CACHE": str(settings.cache),
        "SECONDSITE_ESTATE": str(settings.topology.parent),
    }


@pytest.fixture
def begin(settings: LabSettings) -> Iterator[BeginCommand]:
    """Begin a command of the product without waiting for it; none outlives the test."""
    begun: list[subprocess.Popen[str]] = []

    def start(*words: str) -> subprocess.Popen[str]:
        begun.append(
            subprocess.Popen(
                [sys.executable, "-m", "secondsite", *words],
                env=environment(settings),
                text=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.wait()


class BeginCommand(Protocol):
    def __call__(self, *words: str) -> subprocess.Popen[str]: ...


@pytest.fixture
def secondsite(settings: LabSettings) -> Secondsite:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "secondsite", *words],
            env=environment(settings), capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    return run
