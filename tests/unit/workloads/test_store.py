"""Moving the lease of what storekeepers keep, in a world that remembers who believes what."""

from __future__ import annotations

import datetime as dt

import pytest

from secondsite.errors import ActionError, ActionTimeout, MeasurementError, Unreachable
from secondsite.sim.stores import SimulatedStores
from secondsite.workloads.model import Role
from secondsite.workloads.store import Stored, StoredWorkload

OLD, NEW, THIRD = "store-dc1", "store-dc2", "vault"


class Clock:
    """Time passes when somebody waits."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def workload(stores: SimulatedStores, *, loses_nothing: bool = False) -> StoredWorkload:
    clock = Clock()
    stored = Stored(
        name=stores.workload, members=(OLD, NEW), lease_hosts=(THIRD, NEW, OLD), loses_nothing=loses_nothing
    )
    return StoredWorkload(stored, hands=stores, monotonic=clock.monotonic, sleep=clock.sleep)


def test_a_promotion_begins_an_epoch_and_the_new_site_writes() -> None:
    stores = SimulatedStores.at(OLD, NEW)
    stores.dark.add(OLD)
    workload(stores).promote(old=OLD, new=NEW)
    assert stores.lease == {"primary": NEW, "epoch": 2, "in_sync": []}
    assert workload(stores).is_writable(NEW)


def test_a_promotion_repeated_after_a_crash_changes_nothing_more() -> None:
    stores = SimulatedStores.at(OLD, NEW)
    stores.dark.add(OLD)
    workload(stores).promote(old=OLD, new=NEW)
    workload(stores).promote(old=OLD, new=NEW)
    assert stores.lease["epoch"] == 2


@pytest.mark.parametrize("silent_for", [0.0, 3.0])
def test_a_moment_without_the_quorum_after_a_promotion_is_no_failure(silent_for: float) -> None:
    stores, clock = SimulatedStores.at(OLD, NEW), Clock()
    stored = Stored(name=stores.workload, members=(OLD, NEW), lease_hosts=(THIRD, NEW, OLD), loses_nothing=False)

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.now > 100.0 + silent_for:
            stores.silent.discard(OLD)

    stores.silent.add(OLD)
    keeper = StoredWorkload(stored, hands=stores, monotonic=clock.monotonic, sleep=sleep)
    keeper.verify(OLD, within=dt.timedelta(seconds=7))
    assert clock.now <= 100.0 + silent_for + 1


def test_a_primary_that_refuses_all_the_time_is_a_failure() -> None:
    stores = SimulatedStores.at(OLD, NEW)
    stores.silent.add(OLD)
    with pytest.raises(ActionError, match=r"store-dc1 refuses a write to .*, for 7 s"):
        workload(stores).verify(OLD, within=dt.timedelta(seconds=7))


def test_a_lease_that_somebody_else_holds_is_not_taken() -> None:
    stores = SimulatedStores.at("store-dc3", NEW)
    with pytest.raises(ActionError, match=r"held by store-dc3, not by store-dc1; nothing was changed"):
        workload(stores).promote(old=OLD, new=NEW)
    assert stores.lease["primary"] == "store-dc3"


def test_a_promotion_whose_storekeeper_never_writes_is_told_as_a_timeout() -> None:
    stores = SimulatedStores.at(OLD, NEW)
    stores.silent.add(NEW)
    with pytest.raises(ActionTimeout, match="accepts no write"):
        workload(stores).promote(old=OLD, new=NEW)
    assert stores.lease["primary"] == NEW


def test_a_fenced_primary_that_comes_back_still_believes_until_it_is_made_to_read() -> None:
    stores = SimulatedStores.at(OLD, NEW)
    stores.dark.add(OLD)
    workload(stores).promote(old=OLD, new=NEW)
    stores.dark.clear()
    assert workload(stores).writers() == (OLD, NEW)
    stores.copies[OLD].add("written alone")
    workload(stores).rejoin(OLD, leader=NEW)
    assert workload(stores).writers() == (NEW,)
    assert stores.copies[OLD] == stores.copies[NEW] == {"first"}


def test_a_handover_moves_the_lease_with_everything_copied() -> None:
    stores = SimulatedStores.at(OLD, NEW)
    stores.copies[OLD].add("last")
    workload(stores).demote(OLD, successor=NEW)
    assert workload(stores).writers() == (NEW,)
    assert workload(stores).ids(NEW) == ("first", "last")


def test_a_refused_handover_leaves_the_primary_what_it_was() -> None:
    stores = SimulatedStores.at(OLD, NEW)
    stores.refuses_to_hand_over = True
    with pytest.raises(ActionError, match="did not hand over to store-dc2: not now"):
        workload(stores).demote(OLD, successor=NEW)
    assert workload(stores).writers() == (OLD,)


@pytest.mark.parametrize(("in_sync", "caught_up"), [((NEW,), True), ((), False)])
def test_where_nothing_may_be_lost_a_copy_has_caught_up_when_the_quorum_says_so(
    in_sync: tuple[str, ...],
    caught_up: bool,  # noqa: FBT001  a parameter of the test
) -> None:
    stores = SimulatedStores.at(OLD, NEW, in_sync=in_sync)
    mail = workload(stores, loses_nothing=True)
    if caught_up:
        mail.catch_up(NEW, leader=OLD, within=dt.timedelta(seconds=1))
        return
    with pytest.raises(ActionTimeout):
        mail.catch_up(NEW, leader=OLD, within=dt.timedelta(seconds=1))


def test_a_copy_that_was_made_the_primary_meanwhile_holds_everything() -> None:
    stores = SimulatedStores.at(OLD, NEW, in_sync=(NEW,))
    mail = workload(stores, loses_nothing=True)
    mail.demote(OLD, successor=NEW)
    mail.catch_up(NEW, leader=OLD, within=dt.timedelta(seconds=1))


def test_the_lease_is_read_from_a_voter_that_is_not_on_the_lost_site() -> None:
    stores = SimulatedStores.at(OLD, NEW)
    stores.dark.add(THIRD)
    lease = workload(stores).lease(avoiding=(OLD,))
    assert (lease.read_at, lease.leader, lease.epoch) == (NEW, OLD, 1)


class Election:
    """A clock, and a quorum that elects its leader at an instant: until then none of its voters answers."""

    def __init__(self, stores: SimulatedStores, *, at: float) -> None:
        self.stores, self.at, self.now = stores, at, 100.0
        stores.dark |= {THIRD, NEW}

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= self.at:
            self.stores.dark -= {THIRD, NEW}

    def workload(self) -> StoredWorkload:
        stored = Stored(
            name=self.stores.workload, members=(OLD, NEW), lease_hosts=(THIRD, NEW, OLD), loses_nothing=False
        )
        return StoredWorkload(stored, hands=self.stores, monotonic=self.monotonic, sleep=self.sleep)


def test_the_lease_is_read_though_the_quorum_has_first_to_elect_its_leader() -> None:
    election = Election(SimulatedStores.at(OLD, NEW), at=106.0)
    assert election.workload().lease(avoiding=(OLD,)).leader == OLD
    assert 106.0 <= election.now < 107.0


def test_the_lease_is_taken_once_though_the_quorum_has_first_to_elect_its_leader() -> None:
    stores = SimulatedStores.at(OLD, NEW)
    election = Election(stores, at=106.0)
    election.workload().promote(old=OLD, new=NEW)
    assert 106.0 <= election.now < 107.0
    assert stores.lease == {"primary": NEW, "epoch": 2, "in_sync": []}


def test_a_copy_catches_up_though_its_host_did_not_answer_for_a_moment() -> None:
    stores = SimulatedStores.at(OLD, NEW)
    election = Election(stores, at=104.0)
    election.workload().catch_up(NEW, leader=OLD, within=dt.timedelta(seconds=30))
    assert 104.0 <= election.now < 105.0


def test_a_copy_whose_host_never_answers_is_told_as_a_timeout_with_the_reason() -> None:
    stores = SimulatedStores.at(OLD, NEW)
    election = Election(stores, at=1000.0)
    with pytest.raises(ActionTimeout, match=r"does not hold all of .*; at the end: store-dc2 is dark"):
        election.workload().catch_up(NEW, leader=OLD, within=dt.timedelta(seconds=30))


def test_a_lease_nobody_can_be_asked_for_is_unknown_and_not_free() -> None:
    stores = SimulatedStores.at(OLD, NEW)
    stores.dark |= {THIRD, NEW}
    with pytest.raises(Unreachable, match="can't be read"):
        workload(stores).lease(avoiding=(OLD,))


def test_a_host_without_a_storekeeper_writes_nothing_and_one_that_is_dark_is_unknown() -> None:
    stores = SimulatedStores.at(OLD, NEW)
    stores.silent.add(OLD)
    assert not workload(stores).is_writable(OLD)
    stores.dark.add(OLD)
    with pytest.raises(Unreachable):
        workload(stores).is_writable(OLD)


def test_a_copy_that_is_not_whole_in_this_epoch_has_no_lag_to_speak_of() -> None:
    stores = SimulatedStores.at(OLD, NEW)
    assert workload(stores).lag(NEW, leader=OLD).seconds == pytest.approx(0.5)
    stores.copies[OLD].add("newer")
    with pytest.raises(MeasurementError, match="not yet whole"):
        workload(stores).lag(NEW, leader=OLD)


def test_each_host_knows_what_it_is() -> None:
    stores = SimulatedStores.at(OLD, NEW)
    assert [workload(stores).role(host) for host in (OLD, NEW)] == [Role.PRIMARY, Role.STANDBY]
