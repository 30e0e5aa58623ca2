"""Conduct a drill: bring the fault about, let the runbooks answer it, and record everything that will be judged.

Nothing is judged here. Room ``measure`` computes times, losses and the verdict from the records alone, so that an
outsider with the same records comes to the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import TypeVar

from ..errors import MeasurementError, Refused, SecondsiteError
from ..estate.model import Estate, SiteName, WorkloadName
from .fault import Fault
from .kit import Kit
from .model import ComesBack, Scenario
from .ports import Anew, RunEnd
from .rules import as_record, passage_of, reasons_not_steady

T = TypeVar("T")

_ARMING_S = 1.0
_BACK_AGAIN_WATCHED_S = 5.0
"""For how long a primary that came back is watched before anything is done about it."""
_CONTROL_HELD_AT_LEAST_S = 1.0
_REJOINS_WITHIN_S = 60.0
_SETTLES_WITHIN_S = 30.0
_HOME_AGAIN_S = 8.0
"""How long customers must be served well after the return: caches turn over, then the service must hold."""


@dataclass(slots=True, kw_only=True)
class Conductor:
    """One drill, from steady state to steady state. Use it once."""

    scenario: Scenario
    estate: Estate
    kit: Kit
    stopping: Callable[[], bool]
    promised: Mapping[str, object]
    _is_away: bool = field(default=False, init=False)
    _deadline: float = field(default=0.0, init=False)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(max_workers=2), init=False)
    _fault: Fault = field(init=False)
    _has_two_writers: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        """Break nothing yet."""
        self._fault = Fault(scenario=self.scenario, estate=self.estate, kit=self.kit, note=self._event, pool=self._pool)

    def conduct(self) -> None:
        """Carry the drill to its end; whatever happens, faults are taken back and instruments are stopped.

        Raises:
            Refused: the estate isn't in a steady state, or does not permit the fault; nothing was injected.
            SecondsiteError: the drill could not go on; the records say how far it came.
        """
        self._deadline = self.kit.clock.monotonic() + self.scenario.maximum.total_seconds()
        pinned = self.kit.records.write("promised", self.promised)
        self._event("drill-started", detail={"promised_sha256": pinned, "scenario_digest": self.scenario.digest})
        try:
            self._before()
            self._disrupt()
            self._after()
        except KeyboardInterrupt:
            self._event("aborted", detail={"reason": "interrupted by a person or a signal"})
            raise
        except Refused as refusal:
            self._event("aborted", detail={"reason": refusal.what})
            raise
        except SecondsiteError as error:
            self._event("ended-early", detail={"reason": error.what})
            raise
        finally:
            self.kit.runs.stop()
            self._pool.shutdown()
            self._clean_up()

    def _disrupt(self) -> None:
        if self.scenario.endured:
            self._endure()
        elif self.scenario.refused:
            self._fault_and_refusal()
        elif self.scenario.begins_anew:
            self._begin_anew()
        else:
            self._fault_and_failover()
            self._hold_at_secondary()
            self._return_home()

    def _before(self) -> None:
        if self.scenario.begins_at is not None:
            self._move(origin=self.scenario.begins_at, target=self.scenario.origin)
            self._is_away = True
        self.kit.view.phase("Steady state")
        self._require_steady("steady", phase="before", within_s=_SETTLES_WITHIN_S)
        self.kit.view.phase("Customers arrive")
        self.kit.writability.start()
        self.kit.traffic.start(self.scenario.traffic)
        if self.kit.markers is not None:
            self.kit.markers.start()
        self._event("traffic-started")
        if self.scenario.begins_anew:
            self._grow()
        begun = self.kit.clock.monotonic()
        self._watch_service(self.scenario.warm_up.total_seconds())
        self._require_customers_served(begun)

    def _fault_and_failover(self) -> None:
        kit, scenario = self.kit, self.scenario
        if scenario.hold is None:
            raise SecondsiteError(f"{scenario.name} holds no control arm back", not_done="no fault was injected")
        kit.view.phase("Fault")
        kit.replication.hold_back(scenario.hold, at=scenario.target)
        self._event("held-back", detail=str(scenario.hold))
        self._wait(max(scenario.hold_for.total_seconds(), _CONTROL_HELD_AT_LEAST_S))
        run = self._pool.submit(kit.runs.run, scenario.runbook, origin=scenario.origin, target=scenario.target)
        self._wait(_ARMING_S)
        if run.done():
            ended = run.result()
            raise Refused(f"run {scenario.runbook} ended {ended.state} before the fault was injected: {ended.why}")
        proof = self._fault.bring_about()
        if scenario.consent_at is not None:
            self._lose_headquarters(run)
        if scenario.comes_back is ComesBack.WHILE_PROMOTING:
            self._result(proof)
            while not kit.runs.reached("approved") and not run.done():
                self._wait(0.01)
            self._fault.power_back()
        ended = self._result(run)
        self._result(proof)
        self._require_completed(ended)
        kit.replication.let_go(scenario.hold, at=scenario.target)
        if scenario.comes_back is ComesBack.ONCE_PROMOTED:
            self._fault.power_back()

    def _fault_and_refusal(self) -> None:
        """Let the fence lie, lose the origin, see the failover refused, and give the origin its power back."""
        kit, scenario = self.kit, self.scenario
        kit.view.phase("Fault")
        run = self._pool.submit(kit.runs.run, scenario.runbook, origin=scenario.origin, target=scenario.target)
        self._wait(_ARMING_S)
        self._fault.lie()
        self._result(self._fault.bring_about())
        ended = self._result(run)
        self._event("run-ended", detail=f"{ended.number} {ended.name} {ended.state} {ended.why}".strip())
        kit.view.say(f"the failover ended {ended.state}: {ended.why}")
        kit.view.phase("Return")
        self._fault.take_back()
        self._lift()
        kit.view.phase(f"{scenario.origin} serves customers again")
        self._watch_service(scenario.sustained.total_seconds())
        self._event("sustained")

    def _grow(self) -> None:
        """Have restores of several sizes to time: what production holds can't be tried, and is projected from them."""
        if self._anew.erasures is not None:
            self._result(self._pool.submit(self._anew.erasures.open))
        for number, size in enumerate(self.scenario.trials, start=1):
            self.kit.view.say(f"backed up at size {number} of {len(self.scenario.trials)}: {size}")
            self._result(self._pool.submit(self._anew.vault.grow, size))

    def _begin_anew(self) -> None:
        """Lose both live copies and the controller, begin anew with what the vault kept, and see customers served."""
        kit, scenario = self.kit, self.scenario
        kit.view.phase("Fault")
        self._attack()
        self._erase()
        self._result(self._fault.bring_about())
        kit.writability.stop()  # its keys open no new machine, and sshd turns away whoever keeps trying
        image = self._fetch_image()
        self._result(self._pool.submit(self._fault.throw_away, scenario.target, image))
        kit.view.phase("Another controller begins with what the vault kept")
        run = self._pool.submit(kit.runs.run, scenario.runbook, origin=scenario.origin, target=scenario.target)
        while not run.done():
            gate = kit.runs.waits_at()
            if gate is not None and kit.persons is not None:
                kit.persons.consent(gate, at=scenario.target)
                self._event("persons-consented", detail=gate)
            self._wait(0.2)
        self._require_completed(self._result(run))
        self._look_with_the_new_controllers_keys()
        self._look_for_the_erased()
        self._hold_at_secondary()
        kit.view.phase("Restores of several sizes are timed")
        for passage in self._anew.vault.trials():
            kit.records.append("restores", as_record(passage))

    def _fetch_image(self) -> str:
        """Fetch what new machines are made from, and say how long that took; nothing where the vault keeps none."""
        fetched = self._result(self._pool.submit(self._anew.fetch_image))
        if fetched is None:
            return ""
        self.kit.records.append("restores", as_record(passage_of(fetched)))
        self.kit.view.say(f"{fetched.bytes} bytes of operating system come from {fetched.source}")
        return fetched.path

    def _attack(self) -> None:
        """Try to destroy what the vault keeps with what an intruder at each producer would have."""
        for attempt in self._result(self._pool.submit(self._anew.vault.attack)):
            self.kit.records.append("attempts", {"t": self.kit.clock.monotonic(), **asdict(attempt)})

    def _erase(self) -> None:
        """Erase customers whom every backup holds, so late that no log at the vault tells of it."""
        if self._anew.erasures is not None:
            erased = self._result(self._pool.submit(self._anew.erasures.erase))
            self._event("erased", detail={"customers": list(erased)})

    def _look_for_the_erased(self) -> None:
        if self._anew.erasures is not None:
            found = self._result(self._pool.submit(self._anew.erasures.present))
            self._event("erased-looked-for", detail={"present": dict(found)})

    def _look_with_the_new_controllers_keys(self) -> None:
        """Go on measuring: the first controller's keys open nothing any more, and half of the hosts are others."""
        left = self._anew.left()
        self.kit = replace(
            self.kit,
            isolation=left.isolation,
            replication=left.replication,
            steady=left.steady,
            writability=left.writability,
        )
        self.kit.writability.start()

    @property
    def _anew(self) -> Anew:
        if self.kit.anew is None:
            raise SecondsiteError(f"{self.scenario.name} begins anew, and nothing here can")
        return self.kit.anew

    def _endure(self) -> None:
        self._fault_endured()
        if self.scenario.writers_may_stop:  # nobody can be served before the fault is taken back
            self._lost_site_back()
            self._hold_at_secondary()
        else:
            self._hold_at_secondary()
            self._lost_site_back()

    def _fault_endured(self) -> None:
        """Pull the plug of the origin, and do nothing else: the target must go on by itself."""
        self.kit.view.phase("Fault")
        self._result(self._fault.bring_about())

    def _lost_site_back(self) -> None:
        """Give the origin back what it lost, and wait until its nodes copy again, while customers go on."""
        lasts = self.scenario.lasts.total_seconds()
        left = max(0.0, self._fault.begun_at + lasts - self.kit.clock.monotonic())
        if self.scenario.writers_may_stop:  # nobody is served while the fault lasts, so that is not waited for
            self._wait(left)
        else:
            self._watch_service(left)
        self.kit.view.phase("Return")
        hosts = [str(host.name) for host in self.estate.hosts_at(self.scenario.fault_site)]
        self._fault.take_back()
        until = self.kit.clock.monotonic() + _REJOINS_WITHIN_S
        while (away := self._away_from(hosts)) and self.kit.clock.monotonic() < until:
            self._wait(0.5)
        self.kit.view.say(f"not copying again: {', '.join(away)}" if away else "the lost site copies again")
        self._event("rejoined" if not away else "not-rejoined", detail=", ".join(away))
        self._watch_service(_HOME_AGAIN_S)

    def _away_from(self, hosts: Sequence[str]) -> list[str]:
        """Name what the newest polls of these hosts found to be no standby."""
        states = self.kit.writability.states()
        return sorted(
            f"{node} of {name}" for (name, node), state in states.items() if node in hosts and state != "read-only"
        )

    def _lose_headquarters(self, run: Future[RunEnd]) -> None:
        """Wait until the run waits for persons, take the place where they sit away, and have their deputies consent."""
        scenario, kit = self.scenario, self.kit
        while (gate := kit.runs.waits_at()) is None and not run.done():
            self._wait(0.05)
        if gate is None or scenario.consent_at is None or kit.persons is None:
            return
        if scenario.also_lost is not None:
            self._fault.lose_as_well(scenario.also_lost)
        kit.persons.consent(gate, at=scenario.consent_at)
        self._event("deputies-answered", detail=f"{gate}, at {scenario.consent_at}")

    def _hold_at_secondary(self) -> None:
        seconds = self.scenario.sustained.total_seconds()
        self.kit.view.phase(f"{self.scenario.target} serves customers for {seconds:.0f} s")
        self._watch_service(seconds)
        self._event("sustained")

    def _watch_service(self, seconds: float) -> None:
        """Wait until customers were served well for that long; a bad answer begins it anew.

        At most as long as it takes to know that service was not restored in time, and never so long that what follows
        would have to be hurried.
        """
        clock = self.kit.clock
        begun = clock.monotonic()
        promised = max(one.objectives.rto.total_seconds() for one in self.estate.workloads.values())
        latest = begun + max(seconds, min(promised + seconds, (self._deadline - begun) / 2))
        while (until := min(latest, self._served_well_since(begun) + seconds)) > clock.monotonic():
            self._wait(until - clock.monotonic())

    def _served_well_since(self, begun: float) -> float:
        bad = self.kit.traffic.tally().last_bad_due_at
        return begun if bad is None else max(begun, bad)

    def _return_home(self) -> None:
        scenario, kit = self.scenario, self.kit
        kit.view.phase("Return")
        if scenario.comes_back is ComesBack.A_DAY_LATER:
            self._event("aged", detail=kit.replication.age(at=scenario.target))
        if self._fault.keeps_hosts_dark:
            self._fault.power_back()
        # long enough for the polls to see what the returned hosts try
        self._wait(2.0 if scenario.comes_back is ComesBack.AT_THE_END else _BACK_AGAIN_WATCHED_S)
        self._event("failback-started")
        back = self._pool.submit(kit.runs.run, scenario.return_runbook, origin=scenario.target, target=scenario.origin)
        ended = self._result(back)
        self._require_completed(ended)
        self._event("failback-done")
        self._watch_service(_HOME_AGAIN_S)

    def _after(self) -> None:
        self.kit.view.phase("The final read, and steady state again")
        self._stop_traffic()
        for workload in self.estate.workloads:
            self._final_read(workload)
        self._event("final-read")
        self.kit.writability.stop()
        # what was lost becomes whole by itself where no runbook made sure of that, as one does at a return
        within_s = 0.0 if self.scenario.returns else _REJOINS_WITHIN_S
        self._require_steady("steady-again", phase="after", within_s=within_s)
        if self.scenario.begins_at is not None and self.scenario.returns:
            self._move(origin=self.scenario.origin, target=self.scenario.begins_at)
            self._is_away = False
        if self.scenario.begins_anew:  # what the lost site held is destroyed, too: nothing of it may come back
            self._result(self._pool.submit(self._fault.throw_away, self.scenario.origin))

    def _move(self, *, origin: SiteName, target: SiteName) -> None:
        """Move operations while nothing is wrong: they were elsewhere than at the site that is to be lost."""
        self.kit.view.phase(f"Operations move from {origin} to {target}")
        runs, runbook = self.kit.runs, self.scenario.return_runbook
        ended = self._result(self._pool.submit(runs.move, runbook, origin=origin, target=target))
        self._require_completed(ended)
        self._event("moved", detail=f"operations moved from {origin} to {target}")

    def _clean_up(self) -> None:
        self._stop_instruments()
        left: list[str] = []
        for undo in (self._let_go, *self._fault.undoing(), self._lift):
            try:
                undo()
            except SecondsiteError as error:
                left.append(str(error))
        if self._is_away:
            left.append(f"operations were moved to {self.scenario.origin} for this drill and not brought back")
        left += [*self.kit.injector.leftovers(), *self.kit.replication.held(), *self.kit.isolation.in_force()]
        self._event("cleanup-proven", detail={"left": left})
        if self.kit.anew is not None:
            self.kit.anew.close()

    def _let_go(self) -> None:
        if self.scenario.hold is not None and self.kit.replication.held():
            self.kit.replication.let_go(self.scenario.hold, at=self.scenario.target)

    def _lift(self) -> None:
        if self.kit.isolation.in_force():
            self.kit.isolation.lift_unless_promoted(origin=self.scenario.origin, target=self.scenario.target)

    def _stop_instruments(self) -> None:
        self._stop_traffic()
        self.kit.writability.stop()

    def _stop_traffic(self) -> None:
        """End customers and markers, and state how many of each there were; once."""
        planted = self.kit.markers.stop() if self.kit.markers is not None else None
        recorded = self.kit.traffic.stop()
        if recorded is not None:
            stated: dict[str, object] = {"requests": recorded}
            self._event("traffic-stopped", detail=stated | ({"markers": dict(planted)} if planted else {}))

    def _final_read(self, workload: WorkloadName) -> None:
        marked = self.estate.workloads[workload].takes_markers
        arm = "control" if self.estate.workloads[workload].is_control_arm else "main"
        try:
            read = self.kit.replication.final_read(workload)
        except MeasurementError as error:
            self.kit.view.say(f"the final read of {workload} could not be made: {error}")
            return
        kind, of = ("kept", {"workload": workload}) if marked else ("final", {"arm": arm})
        self.kit.records.append(kind, {**of, "node": read.node, "read_at": read.read_at, "rows": len(read.ids)})
        for found in read.ids:
            self.kit.records.append(kind, {**of, "node": read.node, "id": found})

    def _require_steady(self, event: str, *, phase: str, within_s: float) -> None:
        """Refuse an estate that isn't healthy, nor becomes so in time; the look that decides is recorded."""
        until = self.kit.clock.monotonic() + within_s
        home = self.scenario.target if self.scenario.begins_anew and phase == "after" else self.scenario.home
        results = self.kit.steady.check(home=home)
        while (bad := list(reasons_not_steady(results))) and self.kit.clock.monotonic() < until:
            self.kit.view.say(f"not steady yet: {bad[0]}")
            self._wait(1.0)
            results = self.kit.steady.check(home=home)
        for result in results:
            self.kit.records.append(
                "steady",
                {
                    "t": self.kit.clock.monotonic(),
                    "phase": phase,
                    "check": result.id,
                    "state": result.state,
                    "saw": result.saw,
                    "expected": result.expected,
                },
            )
        if bad:
            raise Refused(*bad, next_step="secondsite check, or provision again: secondsite run provision")
        self._event(event, detail=f"{len(results)} checks passed")
        self.kit.view.say(f"{len(results)} checks passed")

    def _require_customers_served(self, begun: float) -> None:
        tally, asked = self.kit.traffic.tally(), self.scenario.warm_up.total_seconds()
        well = self.kit.clock.monotonic() - self._served_well_since(begun)
        if not tally.ok or well < asked:
            raise Refused(
                f"customers are not served before the fault: {tally.ok} ok, {tally.failed} failed,"
                f" {tally.unknown} unknown; well for {max(0.0, well):.1f} s at the end, {asked:g} s are needed",
                next_step="secondsite check says what is wrong with the service",
            )

    def _require_completed(self, ended: RunEnd) -> None:
        self._event("run-ended", detail=f"{ended.number} {ended.name} {ended.state} {ended.why}".strip())
        if self.stopping():
            raise KeyboardInterrupt
        if ended.state != "done":
            raise SecondsiteError(
                f"run {ended.number} ({ended.name}) ended {ended.state}: {ended.why}",
                next_step=f"secondsite runs show {ended.number}",
            )

    def _wait(self, seconds: float) -> None:
        until = self.kit.clock.monotonic() + seconds
        while (left := until - self.kit.clock.monotonic()) > 0:
            if self.stopping():
                raise KeyboardInterrupt
            if self.kit.clock.monotonic() > self._deadline:
                raise Refused(f"the drill exceeded its maximum duration of {self.scenario.maximum}")
            self._require_one_writer()
            self.kit.clock.sleep(min(left, 0.1))

    def _require_one_writer(self) -> None:
        """End the drill at once where two nodes write the same data: nothing it could still show is worth that.

        Raises:
            Refused: they do. It is said once, so that everything that follows can take back what was broken.
        """
        found = self.kit.writability.several()
        if found and not self._has_two_writers:
            self._has_two_writers = True
            raise Refused(
                f"two nodes accept writes to the same data: {found}",
                next_step="secondsite runs list, and look at both nodes before anything else: their data has parted",
            )

    def _event(self, name: str, *, at: float | None = None, detail: object = "") -> None:
        record: dict[str, object] = {"t": self.kit.clock.monotonic() if at is None else at, "event": name}
        if detail:
            record["detail"] = detail
        self.kit.records.append("events", record)

    def _result(self, future: Future[T]) -> T:
        """Wait for work in a thread, but not through a stop, and not past the scenario's maximum."""
        while not future.done():
            self._wait(0.05)
        return future.result()
