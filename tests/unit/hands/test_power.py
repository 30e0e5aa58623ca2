"""A fence agent is believed by its exit code only, and told everything in confidence."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from secondsite.errors import ActionError, ActionTimeout, ConfigError, Effect, MeasurementError, UsageError
from secondsite.estate.load import load_estate
from secondsite.estate.model import Estate, SiteName
from secondsite.hands.power import Login, OutletFence
from secondsite.hands.processes import Ended
from secondsite.plan.outlets import outlet_by_hand

ESTATE = load_estate(Path(__file__).resolve().parents[3] / "inventories" / "powered")
DB = {"site": "dc1", "host": "db-dc1"}
LOGIN = Login(username="fence", password="hard to guess")  # noqa: S106  a test's


@pytest.fixture
def fence_with(tmp_path: Path) -> Callable[..., OutletFence]:
    """Return how to make a fence whose agent is a shell script."""

    def make(script: str, *, login: Login = LOGIN, answering: bool = False, estate: Estate = ESTATE) -> OutletFence:
        agent = tmp_path / "fence_redfish"
        agent.write_text(f'#!/bin/sh\ncat >{tmp_path}/told\necho "$@" >{tmp_path}/argv\n{script}\n')
        agent.chmod(0o755)
        return OutletFence(
            estate,
            login=lambda _site: login,
            certificates=tmp_path / "certificates",
            asks=lambda _address: answering,
            agents=str(tmp_path),
        )

    return make


@pytest.mark.parametrize(
    ("script", "state"),
    [
        ("exit 0", "on"),
        ("exit 2", "off"),
        ("echo Status: OFF; exit 0", "on"),
        ("echo Status: OFF; exit 1", "unknown"),
        ("exit 3", "unknown"),
        ("exit 8", "unknown"),
        ("kill -9 $$", "unknown"),
    ],
)
def test_an_outlet_reads_what_the_exit_code_says(
    fence_with: Callable[..., OutletFence], script: str, state: str
) -> None:
    read = fence_with(script).read_back(DB)
    assert read["outlets"] == {"db-dc1": state}
    assert read["stands_on"] == "vault"
    assert read["answers"] == {"db-dc1": False}
    assert ("why" in read) == (state == "unknown")


@pytest.mark.parametrize(("script", "trouble"), [("exit 0", ""), ("exit 2", "exit code 2"), ("exit 1", "exit code 1")])
def test_an_endpoint_is_fit_for_use_when_its_agent_says_so(
    fence_with: Callable[..., OutletFence], tmp_path: Path, script: str, trouble: str
) -> None:
    assert fence_with(script).trouble_with(SiteName("dc1")).startswith(trouble)
    assert (tmp_path / "told").read_text().startswith("action=monitor\n")


def test_a_host_that_answers_is_named_beside_its_outlet(fence_with: Callable[..., OutletFence]) -> None:
    assert fence_with("exit 2", answering=True).read_back(DB)["answers"] == {"db-dc1": True}


def test_the_agent_is_told_on_its_standard_input_and_nowhere_else(
    fence_with: Callable[..., OutletFence], tmp_path: Path
) -> None:
    fence_with("exit 0").close(DB)
    assert (tmp_path / "told").read_text().splitlines() == [
        "action=off",
        "ip=198.19.0.71",
        "username=fence",
        "password=hard to guess",
        "systems_uri=/redfish/v1/Systems/db-dc1",
    ]
    assert (tmp_path / "argv").read_text() == "\n"


def test_what_an_agent_says_of_its_failure_never_shows_the_password(fence_with: Callable[..., OutletFence]) -> None:
    with pytest.raises(ActionError) as caught:
        fence_with("echo 'login fence hard to guess denied' >&2; exit 3").close(DB)
    assert caught.value.effect is Effect.UNKNOWN
    assert "login fence *** denied" in caught.value.what
    assert "hard to guess" not in repr(LOGIN)


def test_an_agent_that_does_not_end_in_time_leaves_the_effect_unknown(tmp_path: Path) -> None:
    def never(*_: object, **__: object) -> Ended:
        return Ended(exit_code=None, stdout="", stderr="", truncated=False)

    (tmp_path / "fence_redfish").write_text("")
    (tmp_path / "fence_redfish").chmod(0o755)
    fence = OutletFence(
        ESTATE, login=lambda _: LOGIN, certificates=tmp_path, run=never, asks=lambda _: False, agents=str(tmp_path)
    )
    with pytest.raises(ActionTimeout):
        fence.close(DB)
    assert fence.read_back(DB)["outlets"] == {"db-dc1": "unknown"}
    with pytest.raises(MeasurementError):
        fence.is_closed(DB)


def test_a_missing_agent_names_its_package_and_reads_as_unknown(tmp_path: Path) -> None:
    fence = OutletFence(
        ESTATE, login=lambda _: LOGIN, certificates=tmp_path, asks=lambda _: False, agents=str(tmp_path)
    )
    with pytest.raises(UsageError) as caught:
        fence.close(DB)
    assert caught.value.next_step.endswith("fence-agents")
    assert fence.read_back(DB)["outlets"] == {"db-dc1": "unknown"}


def test_a_login_that_is_not_sealed_here_reads_as_unknown(tmp_path: Path) -> None:
    def login(_site: SiteName) -> Login:
        raise UsageError("no secrets at power-dc1.age")

    fence = OutletFence(ESTATE, login=login, certificates=tmp_path, asks=lambda _: False)
    assert fence.read_back(DB)["outlets"] == {"db-dc1": "unknown"}


def test_the_agents_tls_believes_the_sealed_certificate_alone(
    fence_with: Callable[..., OutletFence], tmp_path: Path
) -> None:
    fence = fence_with(
        f'cat "$REQUESTS_CA_BUNDLE" "$SSL_CERT_FILE" >{tmp_path}/believed; exit 2',
        login=dataclasses.replace(LOGIN, certificate="-----BEGIN CERTIFICATE-----\n"),
    )
    assert fence.is_closed(DB)
    assert (tmp_path / "believed").read_text() == "-----BEGIN CERTIFICATE-----\n" * 2


def test_a_host_without_an_outlet_there_is_refused(fence_with: Callable[..., OutletFence]) -> None:
    with pytest.raises(ActionError, match="web-dc2 has no outlet"):
        fence_with("exit 0").close({"site": "dc1", "host": "web-dc2"})


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"username": "a"}',
        b'{"username": "a", "password": 1}',
        b'{"username":"a","password":"b\\nc"}',
    ],
)
def test_a_sealed_login_that_makes_no_sense_is_refused(text: bytes) -> None:
    with pytest.raises(ConfigError):
        Login.parsed(text, where="power-dc1.age")


def test_the_words_for_a_person_hold_no_login() -> None:
    said = outlet_by_hand(
        ESTATE.fencing_of(SiteName("dc1")), host=ESTATE.hosts_at(SiteName("dc1"))[1].name, action="off"
    )
    assert "action=off ip=198.19.0.71 systems_uri=/redfish/v1/Systems/db-dc1 | cat - LOGIN | fence_redfish" in said
    assert "power-dc1" in said
