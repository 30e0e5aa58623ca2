"""A host says which machine it is and what its place is; whatever else it says is a reason to touch nothing."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import pytest

from secondsite.errors import ActionError, SecondsiteError, Unreachable
from secondsite.hands.machines import Machines
from secondsite.run.model import Json
from secondsite.run.ports import CommandResult, Hands, StepContext
from secondsite.sim.estate import two_site_estate

ESTATE = two_site_estate()
MACHINES = {host: f"{number:032x}" for number, host in enumerate(map(str, ESTATE.hosts), start=1)}
CONTEXT = StepContext(
    run="r",
    step="s",
    attempt=1,
    hosts=(),
    timeout=dt.timedelta(seconds=5),
    files=Path(),
    stopping=lambda: False,
)


class Hosts:
    """Hosts that each answer as they were told to; ``bend`` changes what one of them says."""

    def __init__(self) -> None:
        self.machines = dict(MACHINES)
        self.places = {
            str(host.name): {"estate": ESTATE.name, "host": str(host.name), "site": str(host.site), "groups": []}
            for host in ESTATE.hosts.values()
        }
        self.bend: Callable[[str, str], str] = lambda _nonce, said: said
        self.asked: list[str] = []

    def run(self, host: str, argv: Sequence[str], **_: object) -> CommandResult:
        program, nonce = argv
        assert program == "/usr/local/bin/secondsite-identify"
        self.asked.append(nonce)
        said = f"{nonce}\n{self.machines[host]}\n{json.dumps(self.places[host])}\n"
        return CommandResult(exit_code=0, stdout=self.bend(nonce, said), stderr="")


@pytest.fixture
def hosts() -> Hosts:
    return Hosts()


@pytest.fixture
def machines(hosts: Hosts, tmp_path: Path) -> Machines:
    made = Machines(estate=ESTATE, hands=cast("Hands", hosts), path=tmp_path / "machines.json")
    note(made)
    return made


def note(machines: Machines) -> Json:
    action = machines.registry().actions["note-machines"]
    return action.perform({"hosts": sorted(MACHINES)}, key="k", context=CONTEXT).detail


def test_the_machine_that_was_provisioned_is_known_again_and_each_question_is_a_new_one(
    machines: Machines, hosts: Hosts
) -> None:
    assert [machines.doubts(host) for host in MACHINES] == [()] * len(MACHINES)
    assert len(set(hosts.asked)) == len(hosts.asked)
    assert note(machines)["others"] == {}


def test_another_machine_under_the_same_name_is_doubted_with_both_ids(machines: Machines, hosts: Hosts) -> None:
    hosts.machines["db-dc1"] = "f" * 32
    assert machines.doubts("db-dc1") == (f"it is machine {'f' * 32}, and {MACHINES['db-dc1']} was provisioned",)
    assert machines.doubts("db-dc2") == ()


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("estate", "production", "its estate is production, and should be two-sites"),
        ("host", "db-dc2", "its host is db-dc2, and should be db-dc1"),
        ("site", "dc2", "its site is dc2, and should be dc1"),
        ("groups", ["database"], "its groups is database, and should be "),
        ("site", None, "its site is None, and should be dc1"),
    ],
)
def test_a_place_that_is_not_the_one_meant_is_doubted(
    machines: Machines, hosts: Hosts, key: str, value: object, told: str
) -> None:
    hosts.places["db-dc1"] = {**hosts.places["db-dc1"], key: cast("str", value)}
    assert machines.doubts("db-dc1") == (told,)


def test_a_machine_that_was_never_noted_and_a_host_of_no_estate_are_doubted(hosts: Hosts, tmp_path: Path) -> None:
    fresh = Machines(estate=ESTATE, hands=cast("Hands", hosts), path=tmp_path / "none.json")
    assert fresh.doubts("db-dc1") == ("which machine it is was never noted; provisioning does that",)
    hosts.machines["web-dc9"], hosts.places["web-dc9"] = "e" * 32, {}
    assert "two-sites has no such host" in fresh.doubts("web-dc9")


@pytest.mark.parametrize(
    "bend",
    [
        pytest.param(lambda nonce, said: said.replace(nonce, "0" * 32), id="another-question"),
        pytest.param(lambda _nonce, said: f"Welcome!\n{said}", id="a-banner"),
        pytest.param(lambda nonce, _said: f"{nonce}\n{'1' * 32}\n", id="no-place"),
        pytest.param(lambda nonce, _said: f"{nonce}\nuninitialized\n{{}}\n", id="no-machine"),
        pytest.param(lambda nonce, _said: f"{nonce}\n{'1' * 32}\n[]\n", id="a-list"),
        pytest.param(lambda _nonce, _said: "", id="nothing"),
    ],
)
def test_an_answer_that_is_none_is_an_error(machines: Machines, hosts: Hosts, bend: Callable[[str, str], str]) -> None:
    hosts.bend = bend
    with pytest.raises(ActionError, match="answered"):
        machines.doubts("db-dc1")


def test_a_host_that_was_never_told_how_to_answer_says_so(machines: Machines, hosts: Hosts) -> None:
    missing = CommandResult(exit_code=127, stdout="", stderr="not found")
    hosts.run = lambda *_args, **_options: missing  # type: ignore[method-assign]
    with pytest.raises(ActionError, match="never told how to say who it is"):
        machines.doubts("db-dc1")


def test_a_list_of_machines_that_can_not_be_read_lets_nobody_through(machines: Machines) -> None:
    machines.path.write_text("[")
    with pytest.raises(ActionError, match="can't be read"):
        machines.doubts("db-dc1")


def test_provisioning_notes_a_new_machine_and_says_so(machines: Machines, hosts: Hosts) -> None:
    hosts.machines["db-dc1"] = "f" * 32
    detail = note(machines)
    assert detail["others"] == {"db-dc1": f"was {MACHINES['db-dc1']}"}
    assert machines.doubts("db-dc1") == ()


def test_provisioning_notes_no_host_that_is_somebody_else_and_no_clone(machines: Machines, hosts: Hosts) -> None:
    before = machines.path.read_bytes()
    hosts.machines["db-dc1"] = hosts.machines["db-dc2"]
    with pytest.raises(ActionError, match="db-dc1 and db-dc2 are one machine"):
        note(machines)
    hosts.machines = dict(MACHINES)
    hosts.places["db-dc1"] = {**hosts.places["db-dc1"], "estate": "production"}
    with pytest.raises(ActionError, match="its estate is production"):
        note(machines)
    assert machines.path.read_bytes() == before


def test_a_host_that_can_not_be_reached_is_an_error(machines: Machines, hosts: Hosts) -> None:
    def silent(*_args: object, **_options: object) -> CommandResult:
        raise Unreachable("no route")

    hosts.run = silent  # type: ignore[method-assign]
    with pytest.raises(SecondsiteError, match="no route"):
        machines.doubts("db-dc1")
