"""The lab's power endpoints: where they stand, what hangs on their outlets, and what they answer."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path

import pytest

from secondsite.errors import ConfigError, LockHeld
from secondsite.lab import endpoints, rules
from secondsite.lab.endpoint import SYSTEMS, Outlets, answer, service_root
from secondsite.lab.load import load_topology
from secondsite.lab.model import (
    ENDPOINT_SILENT,
    OUTLET_OFF,
    OUTLETS_CROSSED,
    POWER_CUT,
    FaultInForce,
    LabSettings,
    PowerEndpoint,
)

POWERED = Path(__file__).parents[3] / "inventories" / "powered" / "lab.yml"
TOPOLOGY = load_topology(POWERED)
PDU = TOPOLOGY.endpoints["pdu-dc1"]
RESET = f"{SYSTEMS}/db-dc1/Actions/ComputerSystem.Reset"


@dataclass
class Switched(Outlets):
    """Outlets that only note what they are told."""

    told: list[tuple[str, bool]] = field(default_factory=list)
    busy: bool = False

    def names(self) -> tuple[str, ...]:
        return tuple(rules.outlets_of(TOPOLOGY, self.endpoint, ()))

    def state(self, outlet: str) -> str:
        return "Off" if (outlet, False) in self.told else "On"

    def switch(self, outlet: str, *, on: bool) -> None:
        if self.busy:
            raise LockHeld("another process is changing the lab")
        self.told.append((outlet, on))


@pytest.fixture
def settings(tmp_path: Path) -> LabSettings:
    return LabSettings(instance="unit", state=tmp_path, cache=tmp_path, topology=POWERED)


@pytest.fixture
def outlets(settings: LabSettings) -> Switched:
    return Switched(settings=settings, endpoint=PDU)


def cut(*names: str) -> list[FaultInForce]:
    return [FaultInForce(kind=POWER_CUT, target=name, since=0.0) for name in names]


def test_an_endpoint_is_gone_when_every_host_of_the_site_it_stands_on_is() -> None:
    assert set(rules.ends_held_down(TOPOLOGY, cut("vault"))) >= {"pdu-dc1.oob", "pdu-dc2.oob", "vault.oob"}
    assert "pdu-dc1.oob" not in rules.ends_held_down(TOPOLOGY, cut("web-dc1", "db-dc1"))


def test_an_endpoint_on_the_power_of_the_site_it_cuts_is_gone_with_it() -> None:
    own = replace(TOPOLOGY, endpoints={"pdu-dc1": replace(PDU, stands_on="dc1")})
    assert "pdu-dc1.oob" in rules.ends_held_down(own, cut("web-dc1", "db-dc1"))
    assert "pdu-dc1.oob" not in rules.ends_held_down(own, cut("web-dc1"))


def test_an_outlet_that_is_off_keeps_its_hosts_wires_down_and_a_silent_endpoint_its_own() -> None:
    faults = [
        FaultInForce(kind=OUTLET_OFF, target="db-dc1", since=0.0),
        FaultInForce(kind=ENDPOINT_SILENT, target="pdu-dc2", since=0.0),
    ]
    assert set(rules.ends_held_down(TOPOLOGY, faults)) == {"db-dc1.oob", "db-dc1.lan", "pdu-dc2.oob"}


def test_each_host_of_the_site_hangs_on_its_own_outlet_unless_two_were_crossed() -> None:
    assert rules.outlets_of(TOPOLOGY, PDU, ()) == {"web-dc1": "web-dc1", "db-dc1": "db-dc1"}
    crossed = [FaultInForce(kind=OUTLETS_CROSSED, target="web-dc1 db-dc1", since=0.0)]
    assert rules.outlets_of(TOPOLOGY, PDU, crossed) == {"web-dc1": "db-dc1", "db-dc1": "web-dc1"}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{management: 192.0.2.1, cuts: dc1, stands_on: vault}", "is not in 198.19.0.0/24"),
        ("{management: 198.19.0.22, cuts: dc1, stands_on: vault}", "used twice"),
        ("{management: 198.19.0.71, cuts: moon, stands_on: vault}", "names moon, where no host stands"),
        ("{management: 198.19.0.71, cuts: dc1}", "stands_on"),
    ],
)
def test_an_endpoint_that_cannot_stand_is_refused(tmp_path: Path, line: str, told: str) -> None:
    text = POWERED.read_text()
    (tmp_path / "lab.yml").write_text(text[: text.index("power:")] + f"power:\n  pdu-dc1: {line}\n")
    with pytest.raises(ConfigError, match=told):
        load_topology(tmp_path / "lab.yml")


def test_a_save_fits_whether_or_not_there_are_endpoints() -> None:
    assert repr(TOPOLOGY) == repr(replace(TOPOLOGY, endpoints={}))


def test_only_the_user_it_was_told_of_may_use_an_endpoint(settings: LabSettings) -> None:
    assert not endpoints.admits(settings, "pdu-dc1", username="fence", password="")
    endpoints.admit(settings, "pdu-dc1", username="fence", password="right")  # noqa: S106  a test's
    kept = settings.endpoint_dir("pdu-dc1") / "user.json"
    assert endpoints.admits(settings, "pdu-dc1", username="fence", password="right")  # noqa: S106  a test's
    assert not endpoints.admits(settings, "pdu-dc1", username="fence", password="wrong")  # noqa: S106  a test's
    assert not endpoints.admits(settings, "pdu-dc1", username="root", password="right")  # noqa: S106  a test's
    assert not endpoints.admits(settings, "pdu-dc2", username="fence", password="right")  # noqa: S106  a test's
    assert "right" not in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0


def test_a_system_is_found_from_the_root_and_switched_where_it_says(outlets: Switched) -> None:
    systems = service_root(PDU)["Systems"]
    assert isinstance(systems, dict)
    _, collection = answer(outlets, "GET", systems["@odata.id"], b"")
    assert collection["Members"] == [{"@odata.id": f"{SYSTEMS}/web-dc1"}, {"@odata.id": f"{SYSTEMS}/db-dc1"}]
    _, system = answer(outlets, "GET", f"{SYSTEMS}/db-dc1", b"")
    assert system["PowerState"] == "On"
    actions = system["Actions"]
    assert isinstance(actions, dict)
    target = actions["#ComputerSystem.Reset"]["target"]
    status, _ = answer(outlets, "POST", target, json.dumps({"ResetType": "ForceOff"}).encode())
    assert status is HTTPStatus.NO_CONTENT
    assert outlets.told == [("db-dc1", False)]
    assert answer(outlets, "GET", f"{SYSTEMS}/db-dc1/", b"")[1]["PowerState"] == "Off"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", f"{SYSTEMS}/web-dc2", b"", HTTPStatus.NOT_FOUND),
        ("GET", f"{SYSTEMS}/../../etc/passwd", b"", HTTPStatus.NOT_FOUND),
        ("GET", "/redfish/v1/Chassis", b"", HTTPStatus.NOT_FOUND),
        ("GET", RESET, b"", HTTPStatus.METHOD_NOT_ALLOWED),
        ("POST", SYSTEMS, b"{}", HTTPStatus.METHOD_NOT_ALLOWED),
        ("POST", f"{SYSTEMS}/web-dc2/Actions/ComputerSystem.Reset", b"{}", HTTPStatus.NOT_FOUND),
        ("POST", RESET, b"", HTTPStatus.BAD_REQUEST),
        ("POST", RESET, b"[]", HTTPStatus.BAD_REQUEST),
        ("POST", RESET, b'{"ResetType": "Nmi"}', HTTPStatus.BAD_REQUEST),
    ],
)
def test_what_is_not_there_or_not_meant_is_refused(
    outlets: Switched, method: str, path: str, body: bytes, status: HTTPStatus
) -> None:
    got, document = answer(outlets, method, path, body)
    assert got is status
    assert "error" in document
    assert outlets.told == []


def test_an_outlet_that_could_not_be_switched_is_said_not_to_be(outlets: Switched) -> None:
    outlets.busy = True
    status, _ = answer(outlets, "POST", RESET, b'{"ResetType": "ForceOff"}')
    assert status is HTTPStatus.SERVICE_UNAVAILABLE


def test_an_endpoints_name_fits_an_interface() -> None:
    with pytest.raises(ValueError, match="at most 11"):
        PowerEndpoint(name="much-too-long", management=PDU.management, cuts="dc1", stands_on="vault")
