"""A real fence agent at the lab's power endpoints: what it cuts is cut, and a fence that fails confirms nothing."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from secondsite.errors import ActionError, ActionTimeout, MeasurementError
from secondsite.estate.load import load_estate
from secondsite.hands.power import Login, OutletFence
from secondsite.lab import endpoints, netns, processes, service
from secondsite.lab.faults import LabInjector
from secondsite.lab.model import (
    ENDPOINT_LIES,
    ENDPOINT_SILENT,
    OUTLET_OFF,
    OUTLETS_CROSSED,
    POWER_CUT,
    LabSettings,
)
from secondsite.lab.state import read_state
from secondsite.plan.builder import call, guard
from secondsite.plan.model import Step
from secondsite.plan.rules import reasons_not_to_proceed

from .conftest import CACHE, PROJECT

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
FOLDER = PROJECT / "inventories" / "powered"
ESTATE = load_estate(FOLDER)
DB, WEB = {"site": "dc1", "host": "db-dc1"}, {"site": "dc1", "host": "web-dc1"}
PASSWORD = "the lab's own"  # noqa: S105  a test's
T = TypeVar("T")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabSettings]:
    chosen = LabSettings(
        instance=f"labpow{os.getpid() % 10000}",
        state=tmp_path_factory.mktemp("labpower"),
        cache=CACHE,
        topology=FOLDER / "lab.yml",
    )
    assert shutil.which("fence_redfish", path="/usr/sbin:/usr/bin"), (
        "apt-get install --no-install-recommends fence-agents"
    )
    service.up(chosen, say=print)
    for name in ("pdu-dc1", "pdu-dc2"):
        endpoints.admit(chosen, name, username="fence", password=PASSWORD)
    yield chosen
    service.down(chosen)


@pytest.fixture
def injector(settings: LabSettings) -> Iterator[LabInjector]:
    """Break things; afterwards every outlet is on, every host has power and every endpoint does what it says."""
    injector = LabInjector(settings)
    yield injector
    injector.mend_endpoints()
    for kind, undo in ((POWER_CUT, injector.restore_power), (OUTLET_OFF, injector.switch_on)):
        if names := [fault.target for fault in read_state(settings).faults if fault.kind == kind]:
            undo(names)
    assert injector.leftovers() == ()


@pytest.fixture
def fence(settings: LabSettings, tmp_path: Path) -> OutletFence:
    return fence_of(settings, tmp_path)


def fence_of(settings: LabSettings, folder: Path, *, password: str = PASSWORD, certificate: str = "") -> OutletFence:
    shown = certificate or endpoints.certificate(settings, "pdu-dc1")
    login = Login(username="fence", password=password, certificate=shown)
    return OutletFence(ESTATE, login=lambda _site: login, certificates=folder)


def at_control(settings: LabSettings, work: Callable[[], T]) -> T:
    return netns.in_namespace(netns.path_of(settings.control), work)


def reasons(settings: LabSettings, fence: OutletFence) -> list[str]:
    """Read both outlets as a failover does, and ask the guard of a promotion."""
    names = ("read-outlet-web-dc1", "read-outlet-db-dc1")
    facts = {
        name: at_control(settings, partial(fence.read_back, outlet))
        for name, outlet in zip(names, (WEB, DB), strict=True)
    }
    wanted: dict[str, Any] = {"outlets": ["web-dc1", "db-dc1"], "site": "dc1", "fed": ["198.18.1.10", "198.18.1.20"]}
    confirmed = guard("fencing-confirmed", on=names, carriers=[], addresses=[], **wanted)
    step = Step(name="promote", title="", call=call("promote"), hosts=(), guards=(confirmed,))
    return list(reasons_not_to_proceed(step, facts))


def try_to_close(settings: LabSettings, fence: OutletFence) -> None:
    for one in (WEB, DB):
        at_control(settings, partial(fence.close, one))


def test_an_agent_cuts_a_host_reads_it_off_and_turns_it_on_again(
    settings: LabSettings, injector: LabInjector, fence: OutletFence
) -> None:
    assert at_control(settings, lambda: fence.is_open(DB))
    at_control(settings, lambda: fence.close(DB))
    assert "db-dc1" not in processes.inits(settings)
    assert injector.prove_silence(["db-dc1"], seconds=1.5).proven
    assert injector.leftovers() == ("outlet off: db-dc1",)
    read = at_control(settings, lambda: fence.read_back(DB))
    assert (read["outlets"], read["answers"]) == ({"db-dc1": "off"}, {"db-dc1": False})
    at_control(settings, lambda: fence.close(DB))  # off already: harmless

    at_control(settings, lambda: fence.open(DB))
    until = time.monotonic() + 60
    while not (started := at_control(settings, lambda: fence.read_back(DB)))["answers"]["db-dc1"]:  # type: ignore[index]  # plain JSON
        assert time.monotonic() < until
        time.sleep(0.2)
    assert started["outlets"] == {"db-dc1": "on"}
    while injector.leftovers():
        assert time.monotonic() < until
        time.sleep(0.2)


def test_outlets_that_are_off_confirm_the_fencing_and_outlive_the_return_of_the_sites_power(
    settings: LabSettings, injector: LabInjector, fence: OutletFence
) -> None:
    assert reasons(settings, fence)[0] == "fencing of the old primary is failed"
    injector.cut_power(["dc1"])
    # dark is not off: the hosts would start with the site
    assert "the outlet of db-dc1 reads on" in reasons(settings, fence)
    try_to_close(settings, fence)
    assert reasons(settings, fence) == []
    injector.restore_power(["dc1"])
    assert not {"web-dc1", "db-dc1"} & set(processes.inits(settings))
    assert reasons(settings, fence) == []


def test_an_endpoint_that_says_off_and_does_nothing_confirms_nothing(
    settings: LabSettings, injector: LabInjector, fence: OutletFence
) -> None:
    injector.trouble_endpoint("pdu-dc1", ENDPOINT_LIES)
    try_to_close(settings, fence)
    assert at_control(settings, lambda: fence.is_closed(DB))  # the lie
    said = reasons(settings, fence)
    assert said[0] == "fencing of the old primary is failed"
    assert any("db-dc1 still answers" in one for one in said)


def test_an_outlet_that_is_another_hosts_confirms_nothing(
    settings: LabSettings, injector: LabInjector, fence: OutletFence
) -> None:
    injector.trouble_endpoint("pdu-dc1", OUTLETS_CROSSED, crossed=("web-dc1", "db-dc1"))
    at_control(settings, lambda: fence.close(DB))
    assert set(processes.inits(settings)) & {"web-dc1", "db-dc1"} == {"db-dc1"}
    assert at_control(settings, lambda: fence.is_closed(DB))
    assert any("db-dc1 still answers" in one for one in reasons(settings, fence))


def test_an_endpoint_that_does_not_answer_confirms_nothing(
    settings: LabSettings, injector: LabInjector, fence: OutletFence
) -> None:
    at_control(settings, lambda: fence.close(DB))
    injector.trouble_endpoint("pdu-dc1", ENDPOINT_SILENT)
    with pytest.raises((ActionError, ActionTimeout)):
        at_control(settings, lambda: fence.close(WEB))
    assert "the outlet of db-dc1 is not known to be off" in reasons(settings, fence)
    with pytest.raises(MeasurementError):
        at_control(settings, lambda: fence.is_closed(DB))


def test_an_endpoint_is_silent_when_the_site_it_stands_on_is(
    settings: LabSettings, injector: LabInjector, fence: OutletFence
) -> None:
    injector.cut_power(["vault"])
    assert "the outlet of db-dc1 is not known to be off" in reasons(settings, fence)
    injector.restore_power(["vault"])
    assert "the outlet of db-dc1 reads on" in reasons(settings, fence)


@pytest.mark.parametrize("wrong", ["password", "certificate"])
def test_who_is_not_admitted_or_meets_a_stranger_switches_and_reads_nothing(
    settings: LabSettings, injector: LabInjector, tmp_path: Path, wrong: str
) -> None:
    stranger = endpoints.certificate(settings, "pdu-dc2")
    changed = {"password": "guessed"} if wrong == "password" else {"certificate": stranger}
    fence = fence_of(settings, tmp_path, **changed)
    with pytest.raises(ActionError):
        at_control(settings, lambda: fence.close(DB))
    assert "db-dc1" in processes.inits(settings)
    assert "the outlet of db-dc1 is not known to be off" in reasons(settings, fence)
    assert injector.leftovers() == ()
