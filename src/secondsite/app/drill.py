"""Conduct a drill on an estate: get it ready, run the scenario, measure, seal the evidence, write the report."""

from __future__ import annotations

import contextlib
import datetime as dt
import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path

from ..drill.conduct import Conductor
from ..drill.kit import Kit as DrillKit
from ..drill.load import load_scenario
from ..drill.model import ComesBack, FaultKind, Scenario
from ..drill.ports import View
from ..drill.rules import reasons_not_now, reasons_not_to_disrupt
from ..errors import JournalError, Refused, SecondsiteError, Unreachable, UsageError
from ..estate.model import Estate, SiteKind, SiteName, StandingOrderReference
from ..evidence import Identity, seal, sha256
from ..hands.approvers import LAB_LIMITATION
from ..lab import service as lab_service
from ..lab.faults import LabInjector
from ..lab.limits import limitations as lab_limitations
from ..lab.model import LabSettings
from ..lab.processors import ProcessorTime, read_processor_time, stolen_time_limitation
from ..measure import Verdict, exit_code, read_records, recompute, to_document
from ..plan.load import load_plan
from ..plan.model import Plan
from ..probes.steady import CheckedByUse, EstateChecks
from ..reports import REPORTED, Seal, assess_command, render_html
from ..run.rules import is_break_glass
from ..run.stop import Stop
from ..store.folders import RunFolder
from ..store.records import RecordFolder
from ..store.runs import RunStore, Session
from ..workloads.aging import LIMITATION as AGING_LIMITATION
from .anew import PersonsAnew, RunsAnew
from .bench import Bench, checks_environment, open_bench, run_store
from .by_hand import RunsByHand
from .cold import ColdKit
from .desks import Desks, desks_of
from .instruments import DrillIsolation, Instruments
from .persons import LabPersons
from .places import CHECKS, PROJECT, RUNBOOKS, SCENARIOS, lab_of
from .preparation import (
    is_provisioned,
    left_open,
    look_up_authors,
    orders_for,
    provision,
    require_nothing_left,
    sign_standing_orders,
    signing_identities,
)
from .promised import promised
from .roles import NO_ROLES, roles_record
from .roles import limitations as roles_limitations
from .runs import DrillRuns
from .second import second_controller
from .standby import Standby

AnyRuns = DrillRuns | RunsByHand | RunsAnew
_ORDERS = "standing-orders"
_EVIDENCE = ("records", "estate", "plans", "standing-order.json", _ORDERS)
_KINDS = ("requests", "writability", "events", "final", "markers", "kept", "steps", "steady")
_KINDS_ANEW = ("restores", "attempts")


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillEnd:
    """How a drill ended. ``trouble`` is what ended it early, if anything did."""

    document: Mapping[str, object]
    verdict: Verdict
    exit_code: int
    folder: Path
    trouble: SecondsiteError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Direction:
    """From which site to which a drill is asked to go."""

    origin: SiteName
    target: SiteName


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a person may wish for a drill.

    ``keep`` leaves a lab up that was started for it; ``by`` is who begins it. With a direction, operations are moved to
    its origin first if they are at its target, and back at the end. For ``soak`` the target serves, instead of seconds.
    """

    direction: Direction | None = None
    soak: dt.timedelta | None = None
    keep: bool = False
    by: str = ""


def run_drill(estate: Estate, name: str, wishes: Wishes, *, view: View, stop: Stop) -> DrillEnd:
    """Conduct the drill of that name and return how it ended. A lab is started for it, and removed unless it is kept.

    Raises:
        UsageError: no such scenario or site, or the machine lacks something; nothing was done.
        ConfigError: the scenario does not fit the estate; nothing was done.
        Refused: a stop order is in force, no window of the estate is open for so long, or the estate is no lab.
        LockHeld: another run is under way.
        KeyboardInterrupt: a person stopped it; the faults were taken back and the record kept.
    """
    scenario = load_scenario(name, folder=SCENARIOS, estate=estate)
    if wishes.direction is not None:
        scenario = _directed(scenario, wishes.direction, estate)
    if wishes.soak is not None:
        scenario = _soaked(scenario, wishes.soak)
    lab, store = lab_of(estate), run_store(estate)
    reasons = [
        *reasons_not_to_disrupt(scenario, estate, is_lab=lab is not None),
        *reasons_not_now(scenario, estate, now=store.clock.now()),
    ]
    if reasons:
        raise Refused(*reasons, next_step="secondsite drill list, and drills in docs/reference/estate.md")
    with (
        store.session(purpose=f"drill {name}") as session,
        _lab_up(lab, view=view, keep=wishes.keep, store=store, session=session) as fresh,
        open_bench(estate, by=wishes.by) as bench,
    ):
        return _DrillRun(
            estate=estate,
            scenario=scenario,
            is_directed=wishes.direction is not None,
            bench=bench,
            store=store,
            session=session,
            lab=lab,
            fresh=fresh,
            view=view,
            stop=stop,
        ).carry_out()


def _directed(scenario: Scenario, direction: Direction, estate: Estate) -> Scenario:
    datacenters = sorted(name for name, site in estate.sites.items() if site.kind is SiteKind.DATACENTER)
    strange = [name for name in (direction.origin, direction.target) if name not in datacenters]
    if strange or direction.origin == direction.target:
        what = (
            f"{strange[0]!r} is no datacenter of this estate; there are: {', '.join(datacenters)}"
            if strange
            else f"--from and --to are both {direction.origin}"
        )
        raise UsageError(
            what, not_done="no drill was begun", next_step=f"secondsite drill run {scenario.name} --from SITE --to SITE"
        )
    return scenario.directed(origin=direction.origin, target=direction.target)


def _soaked(scenario: Scenario, soak: dt.timedelta) -> Scenario:
    try:
        return scenario.soaked(soak)
    except ValueError as error:
        raise UsageError(
            f"--soak: {error}", not_done="no drill was begun", next_step="secondsite drill run cold-restart --soak 24h"
        ) from error


@contextlib.contextmanager
def _lab_up(lab: LabSettings | None, *, view: View, keep: bool, store: RunStore, session: Session) -> Iterator[bool]:
    """Start the lab if there is one; say whether its hosts are fresh.

    Raises:
        UsageError: faults are in force, or a run was left in the middle; the lab and the run are as they were.
    """
    if lab is None:
        require_nothing_left(store, faults=())
        yield False
        return
    view.phase("Two datacenters come up")
    report = lab_service.up(lab, say=view.say)
    if report.is_fresh:
        for gone in left_open(store):
            view.say(f"{gone.id} is given up: the hosts it worked on are no more")
            session.give_up(gone, who="a drill that began on a fresh lab")
    require_nothing_left(store, faults=tuple(map(str, report.faults)))
    view.say(f"{report.hosts} hosts answer SSH")
    try:
        yield not report.already_up
    finally:
        if not keep:
            left = lab_service.down(lab)
            view.say("the lab is removed" if not left else f"left behind: {', '.join(str(one) for one in left)}")


@dataclass(kw_only=True)
class _DrillRun:
    estate: Estate
    scenario: Scenario
    is_directed: bool
    bench: Bench
    store: RunStore
    session: Session
    lab: LabSettings | None
    fresh: bool
    view: View
    stop: Stop
    _began: ProcessorTime | None = field(default=None, init=False)
    standby: Standby = field(init=False)

    def __post_init__(self) -> None:
        """Send the copies from which another controller could go on in a drill too: what is measured includes it."""
        hands, say = self.bench.hands, self.view.say
        self.standby = Standby(estate=self.estate, store=self.store, hands=hands, say=say)

    def carry_out(self) -> DrillEnd:
        self._provisioned()
        self._connected()
        if self.is_directed and self.scenario.returns and self._serving_site() == self.scenario.target:
            self.scenario = replace(self.scenario, begins_at=self.scenario.target)
        sign_standing_orders(self.bench, self.scenario, plan_for=self._plan, view=self.view)
        look_up_authors(self.bench, self.scenario, plan_for=self._plan, view=self.view)
        identities = signing_identities(self.bench)
        folder = self.session.new_folder(self.scenario.name)
        records = RecordFolder(folder.records)
        records.touch(*_KINDS, *(_KINDS_ANEW if self.scenario.begins_anew else ()))
        instruments, desks = self._instruments(records), self._desks()
        runs = self._runs(folder, records, desks)
        trouble: SecondsiteError | None = None
        self._began = read_processor_time()
        try:
            records.write("clocks", instruments.clocks())
            self._conduct(folder, records, instruments, runs)
        except JournalError:
            raise
        except KeyboardInterrupt:
            trouble = self._stopped()
        except SecondsiteError as error:
            trouble = error
        finally:
            desks.stop()
            self.standby.stop()
            self._record_what_is_known(records, runs)
            records.close()
        return self._judged(folder, identities, trouble)

    def _record_what_is_known(self, records: RecordFolder, runs: AnyRuns) -> None:
        roles = self._roles(runs)
        if roles is not None:
            records.write("roles", roles)
        records.write("limitations", self._all_limitations(runs, roles))
        records.write("approvals", self._approvals(runs))

    def _all_limitations(self, runs: AnyRuns, roles: Mapping[str, object] | None) -> list[str]:
        of_roles = [NO_ROLES] if roles is None else roles_limitations(roles, is_lab=self.lab is not None)
        return [*runs.limitations(), *self._limitations(), *of_roles, *broken_glass(runs.approvals())]

    def _roles(self, runs: AnyRuns) -> Mapping[str, object] | None:
        """Return who had which part, or None if that can't be read any more: the drill is judged all the same."""
        engine = runs.engine if isinstance(runs, RunsByHand) else runs
        store = runs.second.store() if isinstance(runs, RunsAnew) else self.store
        try:
            return roles_record(
                by=self.bench.by,
                runs={folder.id: store.notes(folder) for folder in engine.begun},
                by_hand=runs.authorships(),
                order_signers=self.bench.orders.signers(),
            )
        except SecondsiteError:
            return None

    def _give_up_runs(self) -> None:
        """End what was left in the middle, now that what it answered was taken back: nobody may go on with it.

        While a site is still isolated, or nobody knows, the run is left to whoever looks: it may be the way forward.
        """
        try:
            if not left_open(self.store) or DrillIsolation(bench=self.bench).in_force():
                return
        except SecondsiteError:
            return
        for begun in left_open(self.store):
            self.session.give_up(begun, who="the drill that began it and ended early")

    def _runs(self, folder: RunFolder, records: RecordFolder, desks: Desks) -> AnyRuns:
        if self.scenario.begins_anew and self.lab is not None:
            self.standby.stop()  # the copy at the vault is what this controller sent before it is lost
            second = second_controller(self.estate, self.lab, folder=folder.path)
            return RunsAnew(
                bench=self.bench, second=second, records=records, plans=folder.path / "plans", view=self.view
            )
        engine = DrillRuns(
            bench=self.bench,
            session=self.session,
            plan_for=self._plan,
            records=records,
            plans=folder.path / "plans",
            view=self.view,
            desks=desks,
            standby=self.standby,
            by_persons=self.scenario.consent_at is not None,
        )
        if not self.scenario.by_hand:
            return engine
        return RunsByHand(runbook=self.scenario.runbook, engine=engine)

    def _stopped(self) -> Refused:
        order = self.store.stops.order()
        who = f"{order}: the drill was stopped" if order else "a person or a signal stopped the drill"
        return Refused(f"{who}; the faults were taken back")

    def _instruments(self, records: RecordFolder) -> Instruments:
        scenario = self.scenario
        without_power = (*scenario.sites_without_power, scenario.also_lost)
        lost = frozenset(site for site in without_power if site is not None)
        deaf = scenario.lasts.total_seconds() if scenario.fault is FaultKind.CUT_CONTROLLER else 0.0
        return Instruments(bench=self.bench, records=records, lost=lost, deaf_for_s=deaf)

    def _desks(self) -> Desks:
        return Desks(
            store=self.store,
            approvers=self.bench.approvers,
            hands=self.bench.runner,
            desks=desks_of(self.estate) if self.scenario.consent_at is not None else (),
            say=self.view.say,
        )

    def _provisioned(self) -> None:
        before = None if self.fresh else is_provisioned(self.store, plan_for=self._plan)
        if before is not None:
            self.view.say(f"the estate was provisioned by run {before}; that is not repeated")
            return
        provision(
            self.bench, self.session, plan_for=self._plan, view=self.view, stop=self.stop, observers=(self.standby,)
        )

    def _connected(self) -> None:
        """Log in everywhere beforehand, as an operator on watch would be: a runbook then waits for no login."""
        silent = self.bench.runner.open([str(name) for name in self.estate.hosts])
        if silent:
            what = "; ".join(f"{host}: {why}" for host, why in sorted(silent.items()))
            raise Unreachable(f"runbooks can't log in: {what}", not_done="no fault was injected")

    def _serving_site(self) -> SiteName | None:
        """Return the site that leads every workload, or None when no one site does; the checks will say more then."""
        leads: set[SiteName | None] = set()
        for name, adapter in self.bench.adapters.items():
            leader = adapter.lease().leader
            members = self.estate.workloads[name].members
            leads.add(next((site for site, host in members.items() if host == leader), None))
        return leads.pop() if len(leads) == 1 else None

    def _conduct(self, folder: RunFolder, records: RecordFolder, instruments: Instruments, runs: AnyRuns) -> None:
        kit = DrillKit(
            clock=self.bench.clock,
            injector=self._injector(),
            isolation=DrillIsolation(bench=self.bench),
            records=records,
            replication=instruments.replication,
            runs=runs,
            steady=CheckedByUse(
                checks=EstateChecks(
                    estate=self.estate,
                    folder=CHECKS,
                    ssh_config=self.bench.trust.ssh_config,
                    environment=checks_environment(),
                ),
                hands=self.bench.hands,
                customer=instruments.journeying_customer(),
            ),
            traffic=instruments.traffic,
            view=self.view,
            writability=instruments.writability,
            markers=instruments.markers,
            persons=self._persons(runs) if self.lab is not None else None,
            anew=self._anew(runs, records) if isinstance(runs, RunsAnew) else None,
        )
        drill_id = f"{folder.number}-{self.scenario.name}"
        digest = self._plan_digest()
        terms = promised(
            self.estate,
            self.scenario,
            drill=drill_id,
            plan_digest=digest,
            versions=_versions(),
            started_by=self.bench.by,
        )
        Conductor(
            scenario=self.scenario, estate=self.estate, kit=kit, stopping=self._is_stopped, promised=terms
        ).conduct()

    def _persons(self, runs: AnyRuns) -> LabPersons | PersonsAnew:
        if isinstance(runs, RunsAnew):
            return PersonsAnew(bench=self.bench, second=runs.second, runs=runs, view=self.view)
        return LabPersons(bench=self.bench, view=self.view, run=runs.number)

    def _anew(self, runs: RunsAnew, records: RecordFolder) -> ColdKit:
        scenario = self.scenario
        return ColdKit(
            bench=self.bench, second=runs.second, records=records, origin=scenario.origin, target=scenario.target
        )

    def _is_stopped(self) -> bool:
        """Say whether a signal or a stop order ends the drill: its faults are taken back then."""
        return self.stop.asked() or self.store.stops.order() is not None

    def _plan_digest(self) -> str:
        """Return the digest of the plan that is to answer the fault; empty when none is."""
        scenario = self.scenario
        return self._plan(scenario.runbook, scenario.origin, scenario.target).digest if scenario.runbook else ""

    def _injector(self) -> LabInjector:
        if self.lab is None:
            raise SecondsiteError(
                "only the lab's faults can be injected so far",
                not_done="nothing was injected",
                next_step="secondsite drill run site-loss --estate inventories/lab",
            )
        return LabInjector(self.lab)

    def _plan(self, runbook: str, origin: SiteName | None, target: SiteName | None) -> Plan:
        return load_plan(runbook, directory=RUNBOOKS, root=PROJECT, estate=self.estate, origin=origin, target=target)

    def _limitations(self) -> list[str]:
        if self.lab is None:
            return list(self.bench.limitations())
        of_machine = stolen_time_limitation(self._began, read_processor_time())
        of_persons = [LAB_LIMITATION] if self.scenario.consent_at is not None else []
        of_a_day = [AGING_LIMITATION] if self.scenario.comes_back is ComesBack.A_DAY_LATER else []
        return [*lab_limitations(self.lab), *of_machine, *of_persons, *of_a_day, *self.bench.limitations()]

    def _approvals(self, runs: AnyRuns) -> dict[str, object]:
        order = self._order()
        signed = self.bench.orders.document(order) if order is not None else None
        return {"standing_order": signed, "approvals": runs.approvals()}

    def _order(self) -> StandingOrderReference | None:
        """Return the standing order for this drill's runbook and direction, if it has one and may use it."""
        if not self.scenario.may_use_an_order:
            return None
        asked = (self.scenario.runbook, self.scenario.origin, self.scenario.target)
        orders = self.estate.standing_orders
        return next((one for one in orders if (one.runbook, one.origin, one.target) == asked), None)

    def _judged(self, folder: RunFolder, identities: list[Identity], trouble: SecondsiteError | None) -> DrillEnd:
        self._give_up_runs()
        shutil.copytree(self.estate.directory, folder.path / "estate", dirs_exist_ok=True)
        names = [name for name in REPORTED if (folder.records / name).exists()]
        files = {name: (folder.records / name).read_bytes() for name in names}
        result = recompute(read_records(files))
        order = self._order()
        for reference in orders_for(self.estate, self.scenario):
            if (signed := self.bench.orders.path_of(reference)).exists():
                name = "standing-order.json" if reference == order else f"{_ORDERS}/{reference.name}.json"
                (folder.path / name).parent.mkdir(exist_ok=True)
                shutil.copyfile(signed, folder.path / name)
        bundle = seal(folder.path, identities, names=_EVIDENCE)
        manifest = (folder.path / "evidence" / "manifest.json").read_bytes()
        sealed = Seal(
            manifest_sha256=sha256(manifest),
            signed_by=tuple(identity.name for identity in identities),
            verify_command=f"./secondsite evidence verify {bundle}",
            assess_command=assess_command(bundle),
        )
        report = folder.path / "report.html"
        report.write_text(render_html(files, seal=sealed), encoding="utf-8")
        return DrillEnd(
            document=to_document(result, report=str(report), evidence=str(bundle)),
            verdict=result.verdict,
            exit_code=exit_code(result),
            folder=folder.path,
            trouble=trouble,
        )


def broken_glass(approvals: Sequence[Mapping[str, object]]) -> Iterator[str]:
    """Say of every consent that only the sealed key made whole that it shows no second person."""
    for one in approvals:
        persons = one.get("persons")
        if isinstance(persons, list) and any(map(is_break_glass, persons)):
            names = ", ".join(map(str, persons))
            yield f"THE GLASS WAS BROKEN at {one.get('gate')} ({names}): this shows no consent of two persons"


def _versions() -> dict[str, str]:
    names = ("ansible-core", "ansible-runner", "dbos", "fabric", "paramiko", "jinja2", "pytest-testinfra")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}
