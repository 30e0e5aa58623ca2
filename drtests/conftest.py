"""What the estate's checks need: which hosts there are, and an open connection to each.

Run by every drill, and never against a host by accident: without ``--facts`` nothing is collected.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import testinfra
from testinfra.host import Host

# Every kind of host there may be. A check of a kind that an estate lacks is left out; one of a misspelt kind never is.
KINDS = {
    "backup", "carrier", "console", "customers", "database", "edge", "etcd", "mailbox", "nameserver", "ops",
    "repository", "store", "vault", "web",
}  # fmt: skip


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--facts", help="JSON file: hosts, sites, service, home, and the ssh configuration to use")


@pytest.fixture(scope="session")
def facts(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The estate as plain facts."""
    loaded: dict[str, Any] = json.loads(Path(request.config.getoption("--facts")).read_text())
    return loaded


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a check that asks for ``name`` once per host of the groups it is marked with."""
    if "name" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("on")
    groups = set(marker.args) if marker else set()
    if groups - KINDS:
        raise pytest.UsageError(
            f"{metafunc.definition.name}: no kind of host is called {', '.join(sorted(groups - KINDS))}"
        )
    hosts = json.loads(Path(metafunc.config.getoption("--facts")).read_text())["hosts"]
    names = [name for name, host in hosts.items() if not groups or groups & set(host["groups"])]
    metafunc.parametrize("name", names)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out checks of a kind of host that the estate has none of: there is nothing to be known of them."""
    pointless = [item for item in items if getattr(getattr(item, "callspec", None), "id", "") == "NOTSET"]
    config.hook.pytest_deselected(items=pointless)
    items[:] = [item for item in items if item not in pointless]


@pytest.fixture(scope="session")
def hosts(facts: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Host]]:
    """Connections, opened in parallel once and shared by all checks."""
    config = facts["ssh_config"]
    sockets = tmp_path_factory.mktemp("ssh")
    shared = ["-o", "ControlMaster=auto", "-o", f"ControlPath={sockets}/%C", "-o", "ControlPersist=60"]

    def ssh(name: str, *words: str) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):  # the checks of that host will find it silent themselves
            argv = ["ssh", "-F", config, *shared, *words, "--", name]
            subprocess.run(argv, check=False, timeout=10, capture_output=True)

    with ThreadPoolExecutor(max_workers=16) as pool:
        list(pool.map(lambda name: ssh(name, "-f", "-N"), facts["hosts"]))
    yield lambda name: testinfra.get_host(
        f"ssh://{name}", ssh_config=config, ssh_extra_args=" ".join(shared), sudo=True
    )
    for name in facts["hosts"]:
        ssh(name, "-O", "exit")


@pytest.fixture
def host(hosts: Callable[[str], Host], name: str) -> Host:
    return hosts(name)


@pytest.fixture
def saw(record_property: Callable[[str, object], None]) -> Callable[[object], None]:
    """Record what was observed, also when the check passes."""

    def record(value: object) -> None:
        record_property("saw", str(value)[:500])

    return record
