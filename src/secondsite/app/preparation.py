"""Get an estate ready for a drill: provisioned, with a standing order that covers it, and identities to sign with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence

from ..drill.model import Scenario
from ..drill.ports import View
from ..errors import SecondsiteError, UsageError
from ..estate.model import Estate, SiteName, StandingOrderReference
from ..evidence import Identity
from ..plan.model import Plan
from ..run.model import RunState, StepState, Transition
from ..run.ports import Observer
from ..run.roles import nobody_answers
from ..run.service import require_no_stop
from ..run.stop import Stop
from ..store.folders import RunFolder
from ..store.runs import RunStore, Session
from .bench import Bench

_ORDER_LASTS = dt.timedelta(days=92)
PlanFor = Callable[[str, SiteName | None, SiteName | None], Plan]


def is_provisioned(store: RunStore, *, plan_for: PlanFor) -> int | None:
    """Return the number of the last run of provisioning if it came to its end with today's plan, else None.

    What became of the hosts since then is for the steady state's checks to say: a drill that brought an estate back
    to its desired state first would hide that it had drifted.
    """
    last = store.last_run("provision")
    if last is None:
        return None
    folder, state = last
    today = plan_for("provision", None, None)
    return folder.number if state is RunState.DONE and folder.plan().digest == today.digest else None


def left_open(store: RunStore) -> Sequence[RunFolder]:
    """Return every run that was begun and has not ended. Ask while the estate is held: nothing is at work then."""
    return [one.folder for one in store.summaries() if one.state in {RunState.OPEN, RunState.INTERRUPTED}]


def require_nothing_left(store: RunStore, *, faults: Sequence[str]) -> None:
    """Refuse to begin a drill where another one, or a run, ended in the middle.

    Raises:
        UsageError: everything that was left is named, with what to do about it.
    """
    runs = [folder.id for folder in left_open(store)]
    left = [*(f"fault in force: {fault}" for fault in faults), *(f"{run} was interrupted" for run in runs)]
    if not left:
        return
    ways = ["`secondsite runs resume` (or `runs abort`)"] if runs else []
    ways += ["`secondsite lab fault restore-power`, `repair-link` or `repair-duct`"] if faults else []
    ways += ["`secondsite run failback` if operations were moved"] if any("failover" in run for run in runs) else []
    anew = "; on a lab `secondsite lab down` begins anew"
    raise UsageError(
        f"a drill or a run ended in the middle: {'; '.join(left)}",
        not_done="no drill was begun, and everything is as it was left",
        next_step=f"{', then '.join(ways)}{anew}",
    )


def provision(
    bench: Bench, session: Session, *, plan_for: PlanFor, view: View, stop: Stop, observers: Sequence[Observer] = ()
) -> None:
    """Bring every host to the state its roles describe, and use the service.

    Raises:
        SecondsiteError: the run did not come to its end.
    """
    view.phase("The estate is provisioned")
    plan = plan_for("provision", None, None)
    titles = {step.name: step.title for step in plan.steps}

    def tell(transition: Transition, /) -> None:
        if transition.state in (StepState.DONE, StepState.VERIFIED):
            told = transition.detail.get("said")
            view.say(f"provision: {titles.get(transition.step, transition.step)}" + (f" ({told})" if told else ""))

    folder = session.begin(plan)
    result = session.start(folder, bench.crew(tell, *observers), stop=stop)
    require_no_stop(result.stopped_by)
    if stop.asked():
        raise KeyboardInterrupt
    if result.state is not RunState.DONE:
        raise SecondsiteError(
            f"provisioning ended {result.state.value}: {'; '.join(result.reasons)}",
            not_done="no fault was injected",
            next_step=f"secondsite runs show {folder.number}",
        )


def sign_standing_orders(bench: Bench, scenario: Scenario, *, plan_for: PlanFor, view: View) -> None:
    """Have the lab's two identities sign an order for exactly each plan that the scenario will need."""
    for reference in orders_for(bench.estate, scenario):
        plan = plan_for(reference.runbook, reference.origin, reference.target)
        bench.orders.sign_as_lab(plan, reference=reference, lasts=_ORDER_LASTS)
        view.say(f"standing order {reference.name}: signed by two lab identities for plan {plan.digest[:12]}")


def look_up_authors(bench: Bench, scenario: Scenario, *, plan_for: PlanFor, view: View) -> None:
    """Say beforehand who answers for the runbooks that the scenario will need; the lab signs them now, if nobody did.

    That takes a moment, which is no part of what a drill measures.
    """
    for runbook in dict.fromkeys(name for name in (scenario.runbook, scenario.return_runbook) if name):
        found = bench.authors.answering_for(plan_for(runbook, scenario.origin, scenario.target))
        if found.is_signed:
            view.say(f"runbook {runbook}: {found.name} answers for version {found.version[:12]}")
        else:
            view.say(nobody_answers(found))


def orders_for(estate: Estate, scenario: Scenario) -> list[StandingOrderReference]:
    """Return the estate's orders for a scenario's runs: for what answers the fault, if it may use one, and its return.

    The return goes both ways, because it also brings operations to where a scenario begins.
    """
    origin, target = scenario.origin, scenario.target
    wanted = [(scenario.runbook, origin, target)] if scenario.may_use_an_order else []
    if scenario.return_runbook:
        wanted += [(scenario.return_runbook, target, origin), (scenario.return_runbook, origin, target)]
    return [one for one in estate.standing_orders if (one.runbook, one.origin, one.target) in wanted]


def signing_identities(bench: Bench) -> list[Identity]:
    """Return the lab's two identities, which also sign the evidence."""
    return bench.orders.lab_identities()
