"""Provisioning: what is planned, and how hosts that were left out end a run."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from secondsite.errors import ActionError, MeasurementError, Unreachable
from secondsite.estate.load import load_estate
from secondsite.estate.model import HostName
from secondsite.hands import provisioning, secrets
from secondsite.hands.ansible import AnsibleDoor, require_inert
from secondsite.hands.escrow import own_safe
from secondsite.hands.keepers import prepared_authorities, told_of
from secondsite.hands.keys import Trust
from secondsite.plan.load import load_plan
from secondsite.probes.ship import scripts
from secondsite.run.ports import StepContext

ROOT = Path(__file__).parents[3]
NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
ESTATE = load_estate(ROOT / "inventories" / "small")


def context(directory: Path) -> StepContext:
    return StepContext(
        run="r",
        step="s",
        attempt=1,
        hosts=(),
        timeout=dt.timedelta(seconds=5),
        files=directory / "files",
        stopping=lambda: False,
    )


def test_the_plan_goes_from_bare_hosts_to_a_service_in_use() -> None:
    plan = load_plan("provision", directory=ROOT / "runbooks", root=ROOT, estate=ESTATE, origin=None, target=None)
    order = [step.name for step in plan.steps]
    began = ["check-authorities", "first-contact", "ask-keepers", "converge"]
    kept = ["hand-over-escrow", "keep-kit", "open-escrow"]
    ended = sorted([*kept, "hand-over-keys", "keep-procedures", "note-machines", "require-all-hosts"])
    assert (order[:4], sorted(order[4:11])) == (began, ended)
    assert [step.call.name for step in plan.steps[11:]] == ["journey"] * len(ESTATE.services)
    assert all(step.repeatable or step.reads_only for step in plan.steps)
    assert set(plan.steps[1].hosts) == set(ESTATE.hosts)
    assert any(path.startswith("roles") for path in plan.pins)
    assert {"runbooks/failover.py", "runbooks/failback.py"} <= plan.pins.keys()  # what is kept is printed from them


def test_hosts_that_were_left_out_end_the_run_with_their_names_and_exit_code_4(tmp_path: Path) -> None:
    arguments = {"unreachable": [{"vault": "no route"}, {"web-dc1": "did not answer"}]}
    with pytest.raises(Unreachable, match=r"vault: no route; web-dc1: did not answer") as caught:
        provisioning.RequireAll().perform(arguments, key="k", context=context(tmp_path))
    assert caught.value.exit_code == 4


def test_when_none_was_left_out_the_run_goes_on(tmp_path: Path) -> None:
    came = provisioning.RequireAll().perform({"unreachable": [{}, {}]}, key="k", context=context(tmp_path))
    assert not came.changed


def test_not_knowing_who_was_left_out_is_not_taken_for_nobody(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError):
        provisioning.RequireAll().perform({"unreachable": [None]}, key="k", context=context(tmp_path))


@pytest.mark.parametrize("hosts", [[], ["nobody"], "vault", None])
def test_convergence_of_hosts_the_estate_does_not_have_is_refused(tmp_path: Path, hosts: object) -> None:
    trust = Trust(tmp_path / "keys", list(ESTATE.hosts.values()))
    door = AnsibleDoor(list(ESTATE.hosts.values()), trust=trust, variables=dict)
    converge = provisioning.Converge(estate=ESTATE, door=door, door_of=lambda _estate: door)
    with pytest.raises(ActionError):
        converge.perform({"playbook": "roles/estate.yml", "hosts": hosts}, key="k", context=context(tmp_path))
    assert not (tmp_path / "work").exists()


def test_what_the_roles_are_told_holds_no_template(tmp_path: Path) -> None:
    safe = own_safe(tmp_path / "secrets")
    authorities = prepared_authorities(ESTATE, safe, now=NOW)
    known = secrets.make(safe.directory, safe=safe)
    access = provisioning.Access(scripts=scripts(), revoked=("ssh-ed25519 AAAA",))
    told = provisioning.variables_of(ESTATE, state=tmp_path, known=known, authorities=authorities, access=access)
    assert require_inert(told) == told
    assert access.scripts


def test_the_roles_are_told_a_key_until_its_keeper_holds_it(tmp_path: Path) -> None:
    authorities = prepared_authorities(ESTATE, own_safe(tmp_path / "secrets"), now=NOW)
    authorities.hand_over(authorities.signing("dc1"))
    told = {one["site"]: one for one in told_of(ESTATE, authorities)}
    assert told["dc1"]["key"] == ""
    assert "PRIVATE KEY" in str(told["dc2"]["key"])
    keepers = {str(one["keeper"]) for one in told.values()}
    assert len(keepers) == len(told), "each site has a keeper of its own"
    assert all(ESTATE.hosts[HostName(str(one["keeper"]))].site == one["site"] for one in told.values())
