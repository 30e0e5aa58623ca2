"""A cold restart's drill: nothing of the old is used, everything is tried, and what was broken is taken back."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from secondsite.drill.conduct import Conductor
from secondsite.drill.kit import Kit
from secondsite.drill.load import load_scenario
from secondsite.drill.model import ComesBack, Scenario
from secondsite.drill.rules import reasons_not_to_drill
from secondsite.errors import ActionError, Effect, SecondsiteError
from secondsite.estate.load import load_estate
from secondsite.estate.model import SiteName
from secondsite.sim.anew import AnewOf
from secondsite.sim.drill import SimulatedDrill, TrafficOf, WritabilityOf

ROOT = Path(__file__).parents[3]
LAB = load_estate(ROOT / "inventories" / "lab")
COLD = load_scenario("cold-restart", folder=ROOT / "drtests" / "scenarios", estate=LAB)
DC1, DC2 = SiteName("dc1"), SiteName("dc2")
BROKEN = ActionError("it broke", effect=Effect.UNKNOWN)


def conducted(world: SimulatedDrill, scenario: Scenario = COLD) -> AnewOf:
    anew = AnewOf(world)
    kit = Kit(
        clock=world, injector=world, isolation=world, records=world, replication=world, runs=world, steady=world,
        traffic=TrafficOf(world), view=world, writability=WritabilityOf(world), persons=world, anew=anew,
    )  # fmt: skip
    stopping = threading.Event()
    terms = {"schema_version": 1}
    Conductor(scenario=scenario, estate=LAB, kit=kit, stopping=stopping.is_set, promised=terms).conduct()
    return anew


def test_both_copies_are_lost_the_vault_is_attacked_and_operations_begin_anew() -> None:
    world = SimulatedDrill()

    anew = conducted(world)

    order = [
        "steady",
        "traffic-started",
        "erased",
        "fault-begun",
        "fault-proven",
        "delivered",
        "run-ended",
        "erased-looked-for",
        "sustained",
    ]
    order += ["traffic-stopped", "final-read", "steady-again", "delivered", "cleanup-proven"]
    assert [event for event in world.events() if event in order] == order
    assert world.done.index("attack") < world.done.index("cut-power") < world.done.index("deliver")
    assert world.done.index("run-cold_restart") > world.done.index("deliver")
    assert world.serves_at == "dc2"
    assert not world.dark
    assert world.records["events"][-1]["detail"] == {"left": []}
    assert anew.closed
    assert [one.database_bytes for one in world.backed_up] == [one.database_bytes for one in COLD.trials]
    restores = world.records["restores"]
    assert [line["is_trial"] for line in restores] == [False, *([True] * len(COLD.trials))]
    assert (restores[0]["store"], "made from /image" in world.said) == ("operating-system", True)
    assert [line["refused"] for line in world.records["attempts"]] == [True]


def test_a_restart_that_asks_persons_is_consented_to() -> None:
    world = SimulatedDrill(asks_persons=True)

    conducted(world)

    assert "persons-consented" in world.events()


@pytest.mark.parametrize(
    "moment",
    [
        "open-accounts",
        "grow",
        "attack",
        "erase-accounts",
        "prove-silence",
        "fetch-image",
        "deliver",
        "run-cold_restart",
        "left",
        "look-for-accounts",
        "trials",
    ],
)
def test_whatever_breaks_power_is_given_back_and_it_is_told(moment: str) -> None:
    world = SimulatedDrill(breaks={moment: BROKEN})

    with pytest.raises(SecondsiteError):
        conducted(world)

    assert not world.dark
    assert world.events()[-1] == "cleanup-proven"
    assert "ended-early" in world.events()


def test_what_is_lost_is_only_thrown_away_when_operations_began_anew() -> None:
    world = SimulatedDrill(run_state={"cold_restart": "failed"})

    with pytest.raises(SecondsiteError):
        conducted(world)

    assert world.done.count("deliver") == 1, "the origin still holds all that there was"
    assert not {host for host in world.bare if host.endswith("dc1")}


def test_the_other_direction_loses_the_other_site_for_good() -> None:
    turned = COLD.directed(origin=DC2, target=DC1)

    assert (turned.fault_site, turned.together_with) == (DC2, DC1)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param({"together_with": None}, "together_with the target", id="one-copy-lives"),
        pytest.param({"hold": "control"}, "no hold", id="hold"),
        pytest.param({"return_runbook": "failback"}, "return_runbook", id="return"),
        pytest.param({"by_hand": True}, "cold restart", id="by-hand"),
        pytest.param({"runbook": ""}, "runbook is missing", id="no-runbook"),
        pytest.param({"comes_back": ComesBack.ONCE_PROMOTED}, "nothing of the old comes back", id="comes-back"),
        pytest.param({"trials": tuple(reversed(COLD.trials))}, "smallest to the largest", id="order"),
    ],
)
def test_a_cold_restart_has_one_shape(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        replace(COLD, **change)


def test_an_estate_that_promised_nothing_from_the_vault_has_no_such_drill() -> None:
    workloads = {name: replace(one, from_vault=None) for name, one in LAB.workloads.items()}

    reasons = list(reasons_not_to_drill(COLD, replace(LAB, workloads=workloads)))

    assert any("from_vault" in reason for reason in reasons)
    forbidding = replace(LAB, injections=tuple(one for one in LAB.injections if one != "destroy-data"))
    assert list(reasons_not_to_drill(COLD, forbidding)) == ["the estate does not permit the injection destroy-data"]
