"""A drill takes its faults back, whatever happens, and writes down how far it came."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from secondsite.drill.conduct import Conductor
from secondsite.drill.kit import Kit
from secondsite.drill.load import load_scenario
from secondsite.drill.model import ComesBack, FaultKind, Scenario
from secondsite.errors import ActionError, Effect, Refused, SecondsiteError
from secondsite.estate.load import load_estate
from secondsite.estate.model import SiteName
from secondsite.sim.drill import SimulatedDrill, TrafficOf, WritabilityOf

ROOT = Path(__file__).parents[3]
ESTATE = load_estate(ROOT / "inventories" / "small")
SCENARIO = load_scenario("site-loss", folder=ROOT / "drtests" / "scenarios", estate=ESTATE)
ENDURED = load_scenario("secondary-loss", folder=ROOT / "drtests" / "scenarios", estate=ESTATE)
PARTITION = load_scenario("partition", folder=ROOT / "drtests" / "scenarios", estate=ESTATE)
FOLDER = ROOT / "drtests" / "scenarios"
HOME_AGAIN_S = 8.0  # as Conductor has it
DC1, DC2 = SiteName("dc1"), SiteName("dc2")
REVERSED = replace(SCENARIO.directed(origin=DC2, target=DC1), begins_at=DC1)
WITHOUT_HEADQUARTERS = replace(SCENARIO, consent_at=DC2, also_lost=SiteName("hq"))
SLACK_S = 2.5  # threads of the simulated world move its clock between two events
BROKEN = ActionError("it broke", effect=Effect.UNKNOWN)


def conductor(
    world: SimulatedDrill, *, stop: threading.Event | None = None, scenario: Scenario = SCENARIO
) -> Conductor:
    kit = Kit(
        clock=world,
        injector=world,
        isolation=world,
        records=world,
        replication=world,
        runs=world,
        steady=world,
        traffic=TrafficOf(world),
        view=world,
        writability=WritabilityOf(world),
        persons=world,
    )
    return Conductor(
        scenario=scenario,
        estate=ESTATE,
        kit=kit,
        stopping=(stop or threading.Event()).is_set,
        promised={"schema_version": 1},
    )


def assert_world_is_whole(world: SimulatedDrill) -> None:
    assert not world.isolated
    assert not world.dark
    assert not world.held_at
    assert world.stop_traffic() is None
    assert world.records["events"][-1] == {
        "t": world.records["events"][-1]["t"],
        "event": "cleanup-proven",
        "detail": {"left": []},
    }


def test_a_drill_goes_from_steady_state_to_steady_state() -> None:
    world = SimulatedDrill()

    conductor(world).conduct()

    assert_world_is_whole(world)
    order = ["drill-started", "steady", "traffic-started", "held-back", "fault-begun", "fault-done", "sustained"]
    order += ["failback-started", "failback-done", "traffic-stopped", "final-read", "steady-again", "cleanup-proven"]
    assert [event for event in world.events() if event in order] == order
    assert "fault-proven" in world.events()


def test_a_loss_that_is_endured_is_answered_by_no_run_and_ends_when_the_lost_site_is_whole_again() -> None:
    world = SimulatedDrill()

    conductor(world, scenario=ENDURED).conduct()

    assert_world_is_whole(world)
    order = ["steady", "traffic-started", "fault-begun", "fault-proven", "sustained", "power-restored", "rejoined"]
    order += ["traffic-stopped", "final-read", "steady-again", "cleanup-proven"]
    assert [event for event in world.events() if event in order] == order
    assert not [moment for moment in world.done if moment.startswith(("run-", "move-", "hold-back"))]
    lost = next(event for event in world.records["events"] if event["event"] == "fault-begun")
    assert set(str(lost["detail"]).split(", ")) == {"web-dc2", "db-dc2"}


@pytest.mark.parametrize("moment", ["prove-silence", "start-traffic", "final-read", "restore-power"])
def test_a_loss_that_is_endured_is_taken_back_whatever_breaks(moment: str) -> None:
    world = SimulatedDrill(breaks={moment: BROKEN})

    with pytest.raises(SecondsiteError):
        conductor(world, scenario=ENDURED).conduct()

    assert world.events()[-1] == "cleanup-proven"
    assert world.dark == set() or moment == "restore-power"


def test_a_partition_lasts_as_long_as_it_should_and_is_taken_back() -> None:
    world = SimulatedDrill()

    conductor(world, scenario=PARTITION).conduct()

    assert_world_is_whole(world)
    assert not world.apart
    assert "cut-power" not in world.done
    at = {str(event["event"]): float(str(event["t"])) for event in world.records["events"]}
    assert at["links-restored"] - at["fault-begun"] >= PARTITION.lasts.total_seconds()
    assert at["fault-begun"] <= at["fault-proven"] < at["links-restored"] < at["steady-again"]


@pytest.mark.parametrize("moment", ["prove-links-silent", "final-read"])
def test_a_partition_is_taken_back_whatever_breaks(moment: str) -> None:
    world = SimulatedDrill(breaks={moment: BROKEN})

    with pytest.raises(SecondsiteError):
        conductor(world, scenario=PARTITION).conduct()

    assert not world.apart
    assert world.events()[-1] == "cleanup-proven"


def test_a_link_that_can_not_be_joined_again_is_left_and_told() -> None:
    world = SimulatedDrill(breaks={"repair-links": BROKEN})

    with pytest.raises(SecondsiteError):
        conductor(world, scenario=PARTITION).conduct()

    assert "dc2 is cut off" in str(world.records["events"][-1]["detail"])


def test_what_is_endured_waits_a_while_for_the_lost_site_to_be_whole_and_then_says_that_it_is_not() -> None:
    patient = SimulatedDrill(unsteady_at_check=2, unsteady_for_checks=1)
    conductor(patient, scenario=ENDURED).conduct()
    assert "steady-again" in patient.events()

    broken = SimulatedDrill(serves_at="dc2")
    with pytest.raises(Refused):
        conductor(broken, scenario=ENDURED).conduct()
    assert "fault-begun" not in broken.events()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param({"runbook": "failover"}, "has no runbook", id="runbook"),
        pytest.param({"hold": SCENARIO.hold}, "has no hold", id="hold"),
        pytest.param({"consent_at": DC1}, "nobody's consent", id="consent"),
        pytest.param({"fault_site": DC1}, "the loss of the origin", id="fault-elsewhere"),
        pytest.param({"lasts": SCENARIO.maximum}, "exceed the maximum", id="lasts-too-long"),
    ],
)
def test_what_is_endured_can_not_be_answered_as_well(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        replace(ENDURED, **change)


@pytest.mark.parametrize("change", [{"fault": FaultKind.CUT_LINK}, {"lasts": SCENARIO.sustained}])
def test_a_site_that_fails_over_loses_its_power_and_not_for_a_while(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="where it is endured"):
        replace(SCENARIO, **change)


@pytest.mark.parametrize("without", [{"runbook": ""}, {"return_runbook": ""}, {"hold": None}])
def test_what_is_not_endured_needs_an_answer(without: dict[str, Any]) -> None:
    (missing,) = without

    with pytest.raises(ValueError, match=f"{missing} is missing"):
        replace(SCENARIO, **without)


def test_headquarters_is_lost_while_the_run_waits_and_deputies_at_the_target_consent() -> None:
    world = SimulatedDrill(asks_persons=True)

    conductor(world, scenario=WITHOUT_HEADQUARTERS).conduct()

    assert_world_is_whole(world)
    order = ["fault-begun", "also-lost", "also-lost-proven", "deputies-answered", "sustained", "power-restored"]
    assert [event for event in world.events() if event in order] == order
    restored = next(event for event in world.records["events"] if event["event"] == "power-restored")
    assert {"console", "db-dc1"} <= set(str(restored["detail"]).split(", "))


@pytest.mark.parametrize("moment", ["consent", "prove-silence"])
def test_when_the_deputies_can_not_consent_nothing_is_promoted_and_both_places_have_power_again(moment: str) -> None:
    world = SimulatedDrill(asks_persons=True, breaks={moment: BROKEN})

    with pytest.raises(SecondsiteError):
        conductor(world, scenario=WITHOUT_HEADQUARTERS).conduct()

    assert not world.dark
    assert not world.promoted or moment == "prove-silence"


def test_a_run_that_fails_before_it_asks_anybody_is_not_waited_for() -> None:
    world = SimulatedDrill(run_state={"failover": "failed"})

    with pytest.raises(SecondsiteError, match="failed"):
        conductor(world, scenario=WITHOUT_HEADQUARTERS).conduct()

    assert "consent" not in world.done
    assert_world_is_whole(world)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param({"also_lost": SiteName("hq")}, "consent_at must be given", id="lost-for-nothing"),
        pytest.param({"consent_at": DC1}, "nobody can consent at dc1", id="consent-at-the-lost-site"),
        pytest.param({"consent_at": SiteName("hq"), "also_lost": SiteName("hq")}, "at hq, which is lost", id="at-hq"),
    ],
)
def test_a_scenario_that_can_not_be_meant_is_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        replace(SCENARIO, **change)


@pytest.mark.parametrize("suffering", [0.0, 4.0, 25.0])
def test_the_return_waits_until_customers_were_served_well_for_the_whole_period(suffering: float) -> None:
    world = SimulatedDrill(suffering_s=suffering)

    conductor(world).conduct()

    held = held_for(world)
    sustained = SCENARIO.sustained.total_seconds()
    assert suffering + sustained - SLACK_S <= held <= suffering + sustained + SLACK_S


def test_when_customers_are_never_served_well_the_return_waits_no_longer_than_their_promise_asks() -> None:
    world = SimulatedDrill(suffering_s=10_000.0)

    conductor(world).conduct()

    promised = max(one.objectives.rto.total_seconds() for one in ESTATE.workloads.values())
    assert held_for(world) <= promised + SCENARIO.sustained.total_seconds() + SLACK_S
    assert_world_is_whole(world)


@pytest.mark.parametrize("suffering", [0.0, 3.0, 20.0])
def test_traffic_goes_on_until_customers_were_served_well_at_home(suffering: float) -> None:
    world = SimulatedDrill(suffering_at_home_s=suffering)

    conductor(world).conduct()

    at = {str(record["event"]): float(str(record["t"])) for record in world.records["events"]}
    watched = at["traffic-stopped"] - at["failback-done"]
    assert suffering + HOME_AGAIN_S - SLACK_S <= watched <= suffering + HOME_AGAIN_S + SLACK_S


def held_for(world: SimulatedDrill) -> float:
    at = {str(record["event"]): float(str(record["t"])) for record in reversed(world.records["events"])}
    return at["sustained"] - at["run-ended"]


@pytest.mark.parametrize(
    "moment",
    ["hold-back", "cut-power", "run-failover", "start-traffic"],
)
def test_whatever_breaks_before_the_promotion_everything_is_taken_back(moment: str) -> None:
    world = SimulatedDrill(breaks={moment: BROKEN})

    with pytest.raises(SecondsiteError):
        conductor(world).conduct()

    assert_world_is_whole(world)


@pytest.mark.parametrize("state", ["failed", "refused", "interrupted", "aborted", "open"])
def test_a_failover_that_did_not_complete_ends_the_drill_with_the_origin_back_in_service(state: str) -> None:
    world = SimulatedDrill(run_state={"failover": state})

    with pytest.raises(SecondsiteError, match=state):
        conductor(world).conduct()

    assert_world_is_whole(world)


@pytest.mark.parametrize("breaks", [{"run_state": {"failback": "failed"}}, {"breaks": {"run-failback": BROKEN}}])
def test_after_the_promotion_the_old_site_stays_fenced_and_is_named(breaks: dict[str, Any]) -> None:
    world = SimulatedDrill(**breaks)

    with pytest.raises(SecondsiteError):
        conductor(world).conduct()

    assert world.isolated == {"dc1"}
    assert not world.dark
    assert world.records["events"][-1]["detail"] == {"left": ["dc1 is isolated"]}


@pytest.mark.parametrize("event", ["traffic-started", "held-back", "fault-begun", "fault-done"])
def test_a_stop_before_the_promotion_takes_everything_back_and_is_recorded(event: str) -> None:
    stop = threading.Event()
    world = SimulatedDrill(stop_at=(event, stop), run_state={"failover": "interrupted"})

    with pytest.raises(KeyboardInterrupt):
        conductor(world, stop=stop).conduct()

    assert_world_is_whole(world)
    assert "aborted" in world.events()


@pytest.mark.parametrize("event", ["power-restored", "failback-started"])
def test_a_stop_after_the_promotion_restores_the_wires_and_leaves_the_old_site_fenced(event: str) -> None:
    stop = threading.Event()
    world = SimulatedDrill(stop_at=(event, stop), run_state={"failback": "interrupted"})

    with pytest.raises(KeyboardInterrupt):
        conductor(world, stop=stop).conduct()

    assert not world.dark
    assert world.isolated == {"dc1"}
    assert "aborted" in world.events()


@pytest.mark.parametrize(
    ("asks", "scenario", "waits"),
    [
        pytest.param(True, SCENARIO, "fault-done", id="while-the-run-waits-for-persons"),
        pytest.param(False, SCENARIO, "run-ended", id="while-the-target-serves"),
        pytest.param(False, PARTITION, "fault-done", id="while-a-partition-lasts"),
    ],
)
def test_a_drill_that_reaches_its_maximum_is_aborted_and_its_faults_are_taken_back(
    asks: bool,  # noqa: FBT001
    scenario: Scenario,
    waits: str,
) -> None:
    after_the_fault = scenario.warm_up + scenario.hold_for + max(scenario.lasts, scenario.sustained)
    short = replace(scenario, maximum=after_the_fault + timedelta(seconds=1))
    world = SimulatedDrill(asks_persons=asks, run_state={"failover": "interrupted"} if asks else {})

    with pytest.raises(Refused, match="exceeded its maximum duration"):
        conductor(world, scenario=short).conduct()

    assert waits in world.events()
    assert world.events()[-1] == "cleanup-proven"
    aborted = next(record for record in world.records["events"] if record["event"] == "aborted")
    assert "exceeded its maximum duration" in str(aborted["detail"])
    assert (world.dark, world.apart, world.held_at) == (set(), set(), set())
    assert world.isolated == ({"dc1"} if world.promoted else set()), "a site that was replaced stays fenced"
    assert world.stopped


def test_nothing_is_injected_into_an_estate_that_is_not_steady() -> None:
    world = SimulatedDrill(unsteady_at_check=1)

    with pytest.raises(Refused, match="world is failed"):
        conductor(world).conduct()

    assert "cut-power" not in world.done
    assert "hold-back" not in world.done


def test_an_estate_that_was_restored_a_moment_ago_is_given_time_to_become_steady() -> None:
    world = SimulatedDrill(unsteady_at_check=1, unsteady_for_checks=3)

    conductor(world).conduct()

    assert "cut-power" in world.done
    assert {record["state"] for record in world.records["steady"]} == {"passed"}
    assert sum("not steady yet" in line for line in world.said) == 3


def test_nothing_is_injected_when_customers_are_not_served_to_begin_with() -> None:
    world = SimulatedDrill(failing_customers=True)

    with pytest.raises(Refused, match="customers are not served"):
        conductor(world).conduct()

    assert "cut-power" not in world.done


@pytest.mark.parametrize("suffering", [0.0, 5.0, 30.0])
def test_the_fault_waits_until_customers_were_served_well_for_the_warm_up(suffering: float) -> None:
    world = SimulatedDrill(suffering_before_s=suffering)

    conductor(world).conduct()

    at = {str(record["event"]): float(str(record["t"])) for record in world.records["events"]}
    warm_up = SCENARIO.warm_up.total_seconds()
    assert suffering + warm_up - SLACK_S <= at["held-back"] - at["traffic-started"] <= suffering + warm_up + SLACK_S


def test_an_estate_that_does_not_come_back_to_steady_state_is_recorded_as_such() -> None:
    world = SimulatedDrill(unsteady_at_check=2)

    with pytest.raises(Refused):
        conductor(world).conduct()

    assert "steady-again" not in world.events()
    assert [record["state"] for record in world.records["steady"]] == ["passed", "failed"]


def test_what_can_not_be_taken_back_is_named() -> None:
    world = SimulatedDrill(breaks={"restore-power": BROKEN})

    with pytest.raises(SecondsiteError):
        conductor(world).conduct()

    left = world.records["events"][-1]["detail"]
    assert isinstance(left, dict)
    assert any("web-dc1 has no power" in item for item in left["left"])


def test_the_other_way_round_everything_is_done_to_the_other_site() -> None:
    assert (REVERSED.origin, REVERSED.target, REVERSED.fault_site) == (DC2, DC1, DC2)
    assert SCENARIO.directed(origin=DC1, target=DC2) == SCENARIO
    with pytest.raises(ValueError, match="both dc1"):
        SCENARIO.directed(origin=DC1, target=DC1)


def test_operations_are_moved_to_the_site_that_is_to_be_lost_and_back_where_they_were() -> None:
    world = SimulatedDrill()

    conductor(world, scenario=REVERSED).conduct()

    assert_world_is_whole(world)
    assert world.serves_at == "dc1"
    moves = [moment for moment in world.done if moment.startswith(("move-to-", "cut-", "run-"))]
    assert sorted(moves) == ["cut-power", "move-to-dc1", "move-to-dc2", "run-failback", "run-failover"]
    assert (moves[0], moves[-1]) == ("move-to-dc2", "move-to-dc1")
    detail = next(record["detail"] for record in world.records["events"] if record["event"] == "fault-begun")
    assert "db-dc2" in str(detail)
    assert "db-dc1" not in str(detail)


def test_nothing_is_injected_when_operations_could_not_be_moved() -> None:
    world = SimulatedDrill(run_state={"move-to-dc2": "failed"})

    with pytest.raises(SecondsiteError, match="failed"):
        conductor(world, scenario=REVERSED).conduct()

    assert "cut-power" not in world.done
    assert world.serves_at == "dc1"


@pytest.mark.parametrize(
    "world", [SimulatedDrill(unsteady_at_check=1), SimulatedDrill(run_state={"move-to-dc1": "failed"})]
)
def test_operations_that_were_not_brought_back_are_named(world: SimulatedDrill) -> None:
    with pytest.raises(SecondsiteError):
        conductor(world, scenario=REVERSED).conduct()

    left = world.records["events"][-1]["detail"]
    assert isinstance(left, dict)
    assert left["left"] == ["operations were moved to dc2 for this drill and not brought back"]


def scenario(name: str) -> Scenario:
    return load_scenario(name, folder=FOLDER, estate=ESTATE)


@pytest.mark.parametrize("name", ["partition-one-way", "quorum-member-loss", "quorum-loss", "controller-cut-off"])
def test_a_fault_that_cuts_no_power_is_proven_endured_and_taken_back(name: str) -> None:
    world, told = SimulatedDrill(), scenario(name)

    conductor(world, scenario=told).conduct()

    assert_world_is_whole(world)
    assert not world.broken
    assert "cut-power" not in world.done
    at = {str(event["event"]): float(str(event["t"])) for event in world.records["events"]}
    assert at["fault-begun"] <= at["fault-proven"] < at["fault-ended"] < at["steady-again"]
    assert at["fault-ended"] - at["fault-begun"] >= told.lasts.total_seconds()


@pytest.mark.parametrize("name", ["partition-one-way", "quorum-loss", "controller-cut-off"])
def test_a_fault_that_cuts_no_power_is_taken_back_whatever_breaks(name: str) -> None:
    world = SimulatedDrill(breaks={"final-read": BROKEN, f"prove-{scenario(name).fault.value}": BROKEN})

    with pytest.raises(SecondsiteError):
        conductor(world, scenario=scenario(name)).conduct()

    assert not world.broken
    assert world.events()[-1] == "cleanup-proven"


def test_two_sites_without_power_get_it_back_before_anybody_waits_for_service() -> None:
    world = SimulatedDrill()

    conductor(world, scenario=scenario("both-sites-restart")).conduct()

    assert_world_is_whole(world)
    events = world.events()
    assert events.index("fault-proven") < events.index("power-restored") < events.index("sustained")
    lost = next(event for event in world.records["events"] if event["event"] == "fault-begun")
    assert {"web-dc1", "db-dc1", "web-dc2", "db-dc2"} == set(str(lost["detail"]).split(", "))


@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("return-while-promoting", "run-ended"),
        ("return-once-promoted", "sustained"),
        ("return-a-day-later", "failback-started"),
    ],
)
def test_a_lost_primary_comes_back_when_the_scenario_says(name: str, before: str) -> None:
    world = SimulatedDrill()

    conductor(world, scenario=scenario(name)).conduct()

    assert_world_is_whole(world)
    events = world.events()
    assert events.count("power-restored") == 1
    assert events.index("power-restored") < events.index(before)
    assert world.aged == (name == "return-a-day-later")
    assert ("aged" in events) == world.aged


def test_a_failover_on_the_word_of_a_lying_fence_is_refused_and_the_origin_serves_again() -> None:
    world = SimulatedDrill()

    conductor(world, scenario=scenario("lying-fence")).conduct()

    assert_world_is_whole(world)
    assert not world.promoted
    events = world.events()
    assert events.index("fence-lies") < events.index("fault-begun") < events.index("fault-ended")
    assert "run-failback" not in world.done


@pytest.mark.parametrize("moment", ["cut-power", "prove-silence", "restore-power", "final-read"])
def test_a_fence_lies_no_longer_than_the_drill(moment: str) -> None:
    world = SimulatedDrill(breaks={moment: BROKEN})

    with pytest.raises(SecondsiteError):
        conductor(world, scenario=scenario("lying-fence")).conduct()

    assert not world.lying


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("site-loss", {"together_with": DC2}, "for what is endured"),
        ("secondary-loss", {"together_with": DC2}, "another site"),
        ("secondary-loss", {"lying_fence": "carrier-b"}, "nothing fails over"),
        ("lying-fence", {"comes_back": ComesBack.ONCE_PROMOTED}, "no return"),
        ("site-loss", {"fault_hosts": ("db-dc1",)}, "only for that"),
        ("hq-loss", {"comes_back": ComesBack.A_DAY_LATER}, "goes with neither"),
    ],
)
def test_what_does_not_go_together_is_refused(name: str, change: dict[str, Any], told: str) -> None:
    whole = load_estate(ROOT / "inventories" / "lab")
    with pytest.raises(ValueError, match=told):
        replace(load_scenario(name, folder=FOLDER, estate=whole), **change)


@pytest.mark.parametrize("name", ["quorum-loss", "both-sites-restart"])
def test_what_names_its_places_has_no_other_direction(name: str) -> None:
    with pytest.raises(ValueError, match="no other direction"):
        scenario(name).directed(origin=DC1, target=DC2)


def test_a_fault_under_which_nobody_can_be_served_lasts_no_longer_than_it_should() -> None:
    world, told = SimulatedDrill(), scenario("quorum-loss")
    world.suffering_under_fault = True

    conductor(world, scenario=told).conduct()

    at = {str(event["event"]): float(str(event["t"])) for event in world.records["events"]}
    lasted = at["fault-ended"] - at["fault-begun"]
    assert told.lasts.total_seconds() <= lasted <= told.lasts.total_seconds() + SLACK_S


@pytest.mark.parametrize("after_s", [0.0, 3.0])
def test_a_drill_ends_at_once_when_two_nodes_write_the_same_data_and_takes_its_fault_back(after_s: float) -> None:
    world = SimulatedDrill(split_s=after_s)

    with pytest.raises(Refused, match="two nodes accept writes to the same data: billing at db-dc1, db-dc2"):
        conductor(world).conduct()

    assert not world.dark
    assert "traffic-stopped" in world.events()
    assert world.events().count("aborted") == 1
    assert "failback-started" not in world.events()
    assert "cleanup-proven" in world.events()
